"""The one JVM of this process, through JPype. Only `chassis.tools.gatk` uses it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from chassis.errors import Rejected, ToolFailed
from chassis.tools.descriptors import output_to
from chassis.tools.gatk_said import failure, last_lines

_only_one = Lock()
_running: Jvm | None = None


def jvm_of_this_process(*, heap_mb: int, jars: Sequence[Path], java: Path, flags: Sequence[str]) -> Jvm:
    """Started on first use. Raises ToolFailed when it runs already with a smaller heap, or cannot start."""
    global _running
    with _only_one:
        if _running is None:
            _running = Jvm(heap_mb=heap_mb, jars=jars, java=java, flags=flags)
        elif _running.heap_mb < heap_mb:
            raise ToolFailed(
                tool="GATK",
                status="not started",
                said=f"this process's JVM has a heap of {_running.heap_mb} MB, {heap_mb} MB are asked for: "
                "a process of its own is needed for each memory class",
            )
        return _running


class Jvm:
    """`call` runs one GATK command line at a time, with the process's stdout and stderr in the call's log."""

    def __init__(self, *, heap_mb: int, jars: Sequence[Path], java: Path, flags: Sequence[str]) -> None:
        import jpype

        self.heap_mb = heap_mb
        self.spent: str | None = None
        self._turn = Lock()
        try:
            jpype.startJVM(
                str(java.resolve().parent.parent / "lib" / "server" / "libjvm.so"),
                f"-Xmx{heap_mb}m",
                # the JVM takes no signal: SIGTERM must end this process, SIGINT is Python's
                "-Xrs",
                *flags,
                classpath=[str(jar) for jar in jars],
                convertStrings=False,
                interrupt=False,
            )
        except (OSError, RuntimeError) as error:
            raise ToolFailed(tool="GATK", status="not started", said=str(error)) from error
        self._main = jpype.JClass("org.broadinstitute.hellbender.Main")
        self._random = jpype.JClass("org.broadinstitute.hellbender.utils.Utils")
        self._system = jpype.JClass("java.lang.System")
        self._tmpdir = str(self._system.getProperty("java.io.tmpdir"))

    def call(self, arguments: Sequence[str], *, tool: str, log: Path) -> None:
        """Raises Rejected or ToolFailed as `Gatk.run` says. After an error of the JVM itself it refuses all calls."""
        import jpype

        with self._turn:
            if self.spent is not None:
                raise ToolFailed(
                    tool=f"GATK {tool}", status="not started", said=f"this process's JVM is spent after {self.spent}"
                )
            with output_to(log):
                try:
                    self._random.resetRandomGenerator()
                    self._main().instanceMain([str(argument) for argument in arguments])
                except jpype.JException as error:
                    error.printStackTrace()
                    raise self._failure(error, tool, log) from None
                finally:
                    # GATK points it to the call's scratch folder, which is about to go
                    self._system.setProperty("java.io.tmpdir", self._tmpdir)
                    self._system.out.flush()
                    self._system.err.flush()

    def _failure(self, error: Any, tool: str, log: Path) -> Rejected | ToolFailed:
        chain = list(_causes(error))
        kinds = [kind for one in chain for kind in _ancestry(one)]
        if "java.lang.VirtualMachineError" in kinds:
            self.spent = str(chain[-1].getClass().getName())
        user_error = next((one for one in chain if _USER_EXCEPTION in _ancestry(one)), None)
        if user_error is not None:
            said = str(user_error.getMessage())
        elif chain[0].getMessage() is None:  # Picard has said it in the log alone
            said = last_lines(log.read_text(errors="replace"))
        else:
            said = " | ".join(f"{one.getClass().getSimpleName()}: {one.getMessage()}" for one in chain)
        return failure(
            tool=tool,
            status=str(chain[0].getClass().getSimpleName()),
            said=said,
            is_user_error=user_error is not None,
            out_of_memory="java.lang.OutOfMemoryError" in kinds,
        )


_USER_EXCEPTION = "org.broadinstitute.hellbender.exceptions.UserException"
_MOST_CAUSES = 8  # a cycle of causes must not hang the report


def _causes(error: Any) -> Iterator[Any]:
    for _ in range(_MOST_CAUSES):
        yield error
        error = error.getCause()
        if error is None:
            return


def _ancestry(error: Any) -> Iterator[str]:
    kind = error.getClass()
    while kind is not None:
        yield str(kind.getName())
        kind = kind.getSuperclass()
