"""bwa mem as a stream of aligned batches: in this process through pybwa, or as the program.

Both cut the reads into batches of `batch_bases` (bwa's -K, which makes the result independent of the number of
threads), estimate insert sizes per batch, and yield records as `bwa mem` writes them. The program numbers reads over
all batches where pybwa begins anew in each: from the second batch on, the two may choose another one among equally
good places of a repeat.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version as version_of
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

from chassis.errors import ToolFailed, reject
from chassis.tools import measured
from chassis.tools.bwa_flags import Pairing, complete, pairing_in
from chassis.tools.descriptors import output_to
from chassis.tools.fastq import Read

if TYPE_CHECKING:
    from pysam import AlignedSegment

BATCH_BASES = 100_000_000
"""As the centres' common pipelines have it (`-K 100000000`): about 330,000 pairs of 150 bases, 1.5 GB of memory."""

Pair = tuple[Read, Read]


class Aligner(Protocol):
    """Aligns pairs of one read group to one reference."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, int]:
        """What the result depends on, besides reads and reference."""
        ...

    def align(self, pairs: Iterable[Pair], *, fasta: Path, threads: int, log: Path) -> Iterator[list[AlignedSegment]]:
        """A list of records for each batch of pairs, in the order of the reads, without read group.

        `fasta` has bwa's index files and `<stem>.dict` beside it. Raises Rejected (CONFIG_TOOL) when bwa or its index
        is missing, ToolFailed when it fails; what `pairs` raises passes through.
        """
        ...


class Pybwa:
    """bwa in this process. The index of the reference used last stays loaded."""

    name = "pybwa"

    def __init__(self, *, batch_bases: int = BATCH_BASES) -> None:
        self._batch_bases = batch_bases
        self._loaded: tuple[Path, Any] | None = None

    @property
    def version(self) -> str:
        return version_of("pybwa")

    @property
    def parameters(self) -> Mapping[str, int]:
        return {"batch_bases": self._batch_bases}

    def align(self, pairs: Iterable[Pair], *, fasta: Path, threads: int, log: Path) -> Iterator[list[AlignedSegment]]:
        with measured.tool("bwa mem", executable="bwa") as usage:
            yield from self._align(pairs, fasta=fasta, threads=threads, log=log, usage=usage)

    def _align(
        self, pairs: Iterable[Pair], *, fasta: Path, threads: int, log: Path, usage: measured.Usage
    ) -> Iterator[list[AlignedSegment]]:
        from pybwa import BwaMemOptions
        from pysam import FastxRecord

        with usage.in_process():
            mem = self._load(fasta, log)
        # pybwa cuts batches too, a little differently: its limit lies beyond ours, so that each call is one batch
        options = BwaMemOptions(
            interleaved_paired_end=True, threads=threads, chunk_size=min(2 * self._batch_bases + 100_000, 2**31 - 1)
        ).finalize()
        for batch in batches(pairs, self._batch_bases):
            queries = [
                FastxRecord(name=read.name, sequence=read.bases, quality=read.qualities)
                for pair in batch
                for read in pair
            ]
            begin = log.stat().st_size
            with output_to(log), usage.in_process():
                aligned = mem.align(queries, options)
            del queries
            pairing = _pairing_since(log, begin)
            yield [
                record
                for pair, first, second in zip(batch, aligned[::2], aligned[1::2], strict=True)
                for record in complete(pair, first, second, pairing)
            ]

    def _load(self, fasta: Path, log: Path) -> Any:
        from pybwa import BwaMem

        if self._loaded is None or self._loaded[0] != fasta:
            self._loaded = None  # two indexes of a human genome do not fit where one does
            try:
                with output_to(log), warnings.catch_warnings():
                    warnings.simplefilter("ignore", ResourceWarning)  # pybwa leaves the dictionary open
                    self._loaded = (fasta, BwaMem(prefix=str(fasta)))
            except FileNotFoundError as error:
                raise _no_index(fasta) from error
        return self._loaded[1]


class BwaProgram:
    """`bwa` as a child in this process's group; for large samples, where pybwa's copying in Python costs too much."""

    name = "bwa"

    def __init__(self, *, batch_bases: int = BATCH_BASES, executable: str = "bwa") -> None:
        self._batch_bases = batch_bases
        found = shutil.which(executable)
        if found is None:
            raise reject(
                code="CONFIG_TOOL",
                message="the bwa program was not found",
                where="PATH",
                rule="the settings ask for the bwa program",
                fix="install bwa, or choose the aligner that is built in (pybwa)",
            )
        self._executable = found

    @property
    def version(self) -> str:
        said = subprocess.run([self._executable], capture_output=True, text=True, check=False).stderr
        found = re.search(r"^Version: (\S+)", said, re.MULTILINE)
        if found is None:
            raise ToolFailed(tool="bwa", status="no version", said=said[-300:])
        return found.group(1)

    @property
    def parameters(self) -> Mapping[str, int]:
        return {"batch_bases": self._batch_bases}

    def align(self, pairs: Iterable[Pair], *, fasta: Path, threads: int, log: Path) -> Iterator[list[AlignedSegment]]:
        from pysam import AlignmentFile

        if not fasta.with_name(fasta.name + ".bwt").exists():
            raise _no_index(fasta)
        argv = [self._executable, "mem", "-K", f"{self._batch_bases}", "-t", f"{threads}", "-p", str(fasta), "-"]
        with (
            measured.tool("bwa mem", executable="bwa") as usage,
            log.open("ab") as stream,
            subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stream) as bwa,
        ):
            assert bwa.stdin is not None and bwa.stdout is not None
            feeder = _Feeder(pairs, bwa.stdin)
            feeder.start()
            try:
                held: list[AlignedSegment] = []
                bases = 0
                # closing pysam's file leaves the pipe to Popen
                with AlignmentFile(bwa.stdout.fileno(), "r", check_sq=False) as records:
                    for record in records:
                        held.append(record)
                        bases += record.query_length
                        if bases >= self._batch_bases:
                            yield held
                            held, bases = [], 0
                if held:
                    yield held
            except (OSError, ValueError) as error:  # its output broke off; the status says why
                log_line = f"its output could not be read: {error}\n"
                stream.write(log_line.encode())
            finally:
                bwa.stdout.close()
                feeder.join()
                status = usage.wait(bwa)
            feeder.raise_again()
            if status != 0:
                stream.flush()
                said = " | ".join(log.read_text(errors="replace").splitlines()[-3:])
                raise ToolFailed(tool="bwa mem", status=status, said=said, out_of_memory=status == -9)


class _Feeder(threading.Thread):
    """Writes interleaved FASTQ to bwa while its output is read; keeps the error that ended it."""

    def __init__(self, pairs: Iterable[Pair], sink: IO[bytes]) -> None:
        super().__init__(name="bwa-feeder", daemon=True)
        self._pairs, self._sink = pairs, sink
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            with self._sink:
                for pair in self._pairs:
                    for name, bases, qualities in pair:
                        self._sink.write(f"@{name}\n{bases}\n+\n{qualities}\n".encode())
        except BrokenPipeError:
            return  # bwa ended first: its status tells more
        except Exception as error:  # noqa: BLE001 - carried to the thread that waits for it
            self._error = error

    def raise_again(self) -> None:
        if self._error is not None:
            raise self._error


def batches(pairs: Iterable[Pair], batch_bases: int) -> Iterator[list[Pair]]:
    """Pairs in lists of at least `batch_bases` bases each (the last may be shorter), cut as bwa's -K cuts."""
    held: list[Pair] = []
    bases = 0
    for pair in pairs:
        held.append(pair)
        bases += len(pair[0].bases) + len(pair[1].bases)
        if bases >= batch_bases:
            yield held
            held, bases = [], 0
    if held:
        yield held


def _pairing_since(log: Path, begin: int) -> Pairing:
    with log.open("rb") as stream:
        stream.seek(begin)
        return pairing_in(stream.read().decode(errors="replace"))


def _no_index(fasta: Path) -> Exception:
    return reject(
        code="REFERENCE_INCOMPLETE",
        message="bwa's index files are not all there",
        where=fasta.name,
        rule="a reference bundle holds .amb, .ann, .bwt, .pac and .sa beside the FASTA",
        fix="add the reference again with `cohortstream reference add`",
    )
