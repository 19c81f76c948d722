"""GATK, warm in this process or in a JVM of its own per call: the same records either way, the same errors.

Starting a JVM and letting it compile takes longer than most of our chunks, so a worker's child keeps one warm. What
makes two calls in one JVM independent of each other is here: GATK's random generator is a static of the process
(downsampling, QD jitter, VQSR draw from it) and is reset before each call.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, Protocol

from chassis.errors import ToolFailed
from chassis.tools import jars, java, measured
from chassis.tools.gatk_jvm import Jvm, jvm_of_this_process
from chassis.tools.gatk_said import failure, last_lines, user_error_in

PINS = Path(__file__).parent / "pins" / "gatk-4.6.2.0.pins"
MAIN = "org.broadinstitute.hellbender.Main"
HEAP_FRACTION = 0.8
"""Of the task's memory; the rest is for the JVM itself, native PairHMM and zlib. GenomicsDB wants 0.6."""

PICARD_TOOLS = frozenset({"MarkDuplicates", "SortSam", "GatherVcfs", "MergeVcfs", "SortVcf"})
"""Tools of the Picard part of GATK: they spell `--tmp-dir` as `--TMP_DIR`."""

SYSTEM_PROPERTIES = (
    "-Djava.awt.headless=true",
    # as GATK's own launcher has them, except for asynchronous writing: a worker slot has the one core it computes on
    "-Dsamjdk.use_async_io_read_samtools=false",
    "-Dsamjdk.use_async_io_write_samtools=false",
    "-Dsamjdk.use_async_io_write_tribble=false",
    "-Dsamjdk.compression_level=2",
)
JVM_FLAGS = (
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    # MarkDuplicates and JPype ask for full collections just to report memory: half a second for each small sample
    "-XX:+DisableExplicitGC",
)
QUICK = "-XX:TieredStopAtLevel=1"
QUICK_BELOW_MB = 4096
"""In a smaller slot only the quick compiler runs. Measured on samples of 100 kb at 28x, processor seconds from reads to
gVCF in one warm JVM: 10 for the first and 5.4 for each other with the quick compiler; 16, 10, 6.5, 6.4, then 5 with
both. Small slots are for small samples, which end before the better code has paid for its making."""

_USER_ERROR = 2
_COMMAND_LINE_ERROR = 1


class Gatk(Protocol):
    """Runs GATK tools one at a time."""

    @property
    def version(self) -> str: ...

    def run(self, tool: str, arguments: Sequence[str], *, log: Path) -> None:
        """Run `tool` with an argument list; all that GATK prints is appended to `log`.

        Scratch is a folder beside `log` that is removed afterwards, unless `arguments` name one themselves.
        Raises Rejected for what GATK calls a user error (its exit status 2), ToolFailed for any other end, with
        `out_of_memory` when the heap was too small. Both carry what GATK said, without this machine's folders.
        """
        ...


def gatk_for(
    *,
    memory_mb: int,
    mode: Literal["warm", "per-call"] = "warm",
    heap_fraction: float = HEAP_FRACTION,
    quick: bool | None = None,
) -> Gatk:
    """GATK from the pinned jars (fetched when the cache lacks them) on the Java that `find_java` names.

    `memory_mb` is what the task may use in all. `quick` asks for the quick compiler only (None: by the memory, see
    QUICK_BELOW_MB). Nothing is started before the first `run`.
    """
    make = warm if mode == "warm" else per_call
    return make(
        memory_mb=memory_mb,
        heap_fraction=heap_fraction,
        quick=quick,
        jars=jars.fetch(jars.load(PINS)),
        java=java.find_java(),
    )


def warm(
    *,
    memory_mb: int,
    heap_fraction: float = HEAP_FRACTION,
    quick: bool | None = None,
    jars: Sequence[Path],
    java: Path,
) -> Gatk:
    """One JVM in this process, started by the first `run` and kept until the process ends; its heap and compiler are
    fixed then."""
    return _Warm(
        heap_mb=_heap_mb(memory_mb, heap_fraction), flags=_jvm_flags(memory_mb, quick), jars=tuple(jars), java=java
    )


def per_call(
    *,
    memory_mb: int,
    heap_fraction: float = HEAP_FRACTION,
    quick: bool | None = None,
    jars: Sequence[Path],
    java: Path,
) -> Gatk:
    """A JVM of its own for each `run`, in this process's group, so that it dies when the group is killed."""
    return _PerCall(
        heap_mb=_heap_mb(memory_mb, heap_fraction), flags=_jvm_flags(memory_mb, quick), jars=tuple(jars), java=java
    )


def pinned_version() -> str:
    """The version that `gatk_for` brings, without bringing it."""
    return version_of([jar.path_in(Path()) for jar in jars.load(PINS).jars])


@dataclass(frozen=True, kw_only=True)
class _Installed:
    heap_mb: int
    flags: tuple[str, ...]
    jars: tuple[Path, ...]
    java: Path

    @property
    def version(self) -> str:
        return version_of(self.jars)


class _Warm(_Installed):
    def run(self, tool: str, arguments: Sequence[str], *, log: Path) -> None:
        with (
            TemporaryDirectory(prefix="gatk-", dir=log.parent) as scratch,
            measured.tool(tool, executable="gatk") as usage,
            usage.in_process(),
        ):
            self._jvm().call([tool, *with_scratch(tool, arguments, Path(scratch))], tool=tool, log=log)

    def _jvm(self) -> Jvm:
        return jvm_of_this_process(heap_mb=self.heap_mb, jars=self.jars, java=self.java, flags=self.flags)


class _PerCall(_Installed):
    def run(self, tool: str, arguments: Sequence[str], *, log: Path) -> None:
        begin = log.stat().st_size if log.exists() else 0
        with (
            TemporaryDirectory(prefix="gatk-", dir=log.parent) as scratch,
            measured.tool(tool, executable="gatk") as usage,
        ):
            argv = [
                str(self.java),
                f"-Xmx{self.heap_mb}m",
                *self.flags,
                f"-Djava.io.tmpdir={scratch}",
                "-cp",
                jars.classpath(self.jars),
                MAIN,
                tool,
                *with_scratch(tool, arguments, Path(scratch)),
            ]
            try:
                status = measured.run(argv, usage=usage, log=log)
            except OSError as error:
                raise ToolFailed(tool=f"GATK {tool}", status="not started", said=str(error)) from error
        if status == 0:
            return
        said = log.read_bytes()[begin:].decode(errors="replace")
        user_error = user_error_in(said) if status in (_USER_ERROR, _COMMAND_LINE_ERROR) else None
        raise failure(
            tool=tool,
            status=status,
            said=user_error or last_lines(said),
            is_user_error=status == _USER_ERROR and user_error is not None,
            # the kernel's killer leaves no word of its own
            out_of_memory="java.lang.OutOfMemoryError" in said or status == -signal.SIGKILL,
        )


def version_of(jar_paths: Sequence[Path]) -> str:
    """GATK's version as the name of its jar has it. Raises ToolFailed when none of the jars is GATK's."""
    for path in jar_paths:
        if path.name.startswith("gatk-") and path.name[5:6].isdigit():
            return path.stem.removeprefix("gatk-")
    raise ToolFailed(tool="GATK", status="not found", said="no gatk-<version>.jar is among the jars")


def with_scratch(tool: str, arguments: Sequence[str], scratch: Path) -> list[str]:
    option = "--TMP_DIR" if tool in PICARD_TOOLS else "--tmp-dir"
    return [*arguments] if option in arguments else [*arguments, option, os.fspath(scratch)]


def _jvm_flags(memory_mb: int, quick: bool | None) -> tuple[str, ...]:
    if quick is None:
        quick = memory_mb < QUICK_BELOW_MB
    return (*JVM_FLAGS, *([QUICK] if quick else []), *SYSTEM_PROPERTIES)


def _heap_mb(memory_mb: int, heap_fraction: float) -> int:
    if not 0.1 <= heap_fraction <= 0.95:
        raise ValueError(f"heap_fraction {heap_fraction} leaves no room for the heap or for what lies outside it")
    return int(memory_mb * heap_fraction)
