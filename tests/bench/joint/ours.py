"""Our side's steps, each in a process of its own: `python -m tests.bench.joint.ours STEP JSON` prints figures.

A step counts from its first work on, with code that an earlier run compiled; what starting the process takes is told
apart, as it is of the JVM. `repeat` 2 takes the second turn of a process, in which that code is loaded too.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.joint.cohort import CONTIG, ORIGIN, Cohort, load

BATCH = 1000
"""Samples of a batch in the store."""
RECORDS_PER_BASE = 0.107


@dataclass(kw_only=True)
class Figures:
    """`start_cpu_s`: processor seconds before the first work. `split`: CPU seconds by part of the work."""

    start_cpu_s: float = 0.0
    work_cpu_s: float = 0.0
    work_wall_s: float = 0.0
    split: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begun = time.process_time()
        yield
        self.split[name] = self.split.get(name, 0.0) + time.process_time() - begun

    def add(self, name: str, count: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + count


def import_cohort(figures: Figures, *, cohort: Cohort, store: Path, people: Sequence[int], bases: int) -> None:
    """gVCFs of these people, over the window's first `bases`, into batches of a new folder `store`."""
    from contracts.values import Interval
    from services.jointcall.columnar.reading import parse, target_of, windows_of
    from services.jointcall.columnar.store.batch import BatchWriter
    from services.jointcall.columnar.store.schema import BatchPlace, window_bases
    from services.jointcall.engines.protocol import GvcfInput

    first, last = ORIGIN, ORIGIN + bases - 1
    interval = Interval(contig=CONTIG, start=first, end=last, contig_length=ORIGIN + cohort.bases + 999)
    with figures.part("reference"):
        target = target_of(interval, _reference(cohort))
    for begin in range(0, len(people), BATCH):
        batch = people[begin : begin + BATCH]
        names = tuple(cohort.names[person] for person in batch)
        parsed = []
        with figures.part("decode"):
            for person in batch:
                path = cohort.gvcfs[person]
                gvcf = GvcfInput(name=cohort.names[person], path=path, index=path.with_name(path.name + ".tbi"))
                parsed.append(parse(gvcf, target=target))
        width = window_bases(samples=len(batch), records_per_base=RECORDS_PER_BASE)
        place = BatchPlace(contig=CONTIG, first=first, last=last, window_bp=width, samples=names)
        with BatchWriter(place=place, folder=store / f"batch{begin // BATCH:04d}") as writer:
            windows = windows_of(parsed, first=first, last=last, window_bp=width)
            while True:
                with figures.part("cut"):
                    window = next(windows, None)
                if window is None:
                    break
                with figures.part("write"):
                    writer.write(window)
            with figures.part("write"):
                written = writer.finish()
        figures.add("store_bytes", written.blocks.size + written.variants.size)
    figures.add("text_bytes", sum(cohort.profiles[person].text_bytes for person in people) * bases // cohort.bases)
    figures.add("bgzip_bytes", sum(cohort.profiles[person].bgzip_bytes for person in people) * bases // cohort.bases)


def genotype(figures: Figures, *, cohort: Cohort, store: Path, bases: int, out: Path | None, level: int) -> None:
    """Sites of the window's first `bases` from the batches in `store`: VCF.gz in `out`, or (None) columns."""
    import numpy as np

    from services.jointcall.columnar.genotype.records import lines
    from services.jointcall.columnar.genotype.stretch import Piece
    from services.jointcall.columnar.genotype.stretch import genotype as called_in
    from services.jointcall.columnar.store.batch import BatchReader
    from tests.bench.joint.bgzf import Packer

    readers = [
        BatchReader(blocks=folder / "blocks.arrow", variants=folder / "variants.arrow", where=folder.name)
        for folder in sorted(store.iterdir())
    ]
    names = [name for reader in readers for name in reader.samples]
    place = {name: at for at, name in enumerate(sorted(names))}
    columns = [np.array([place[name] for name in reader.samples], np.int32) for reader in readers]
    masks = [np.zeros(len(reader.samples), np.uint8) for reader in readers]
    packer = Packer(out, level=level) if out else None
    if packer:
        packer.add(_head(sorted(names), cohort))
    open_until = 0
    for first, last in readers[0].windows():
        with figures.part("decode"):
            windows = [reader.read(reader.index_of(first)) for reader in readers]
        if any((window.first, window.last) != (first, last) for window in windows):
            raise SystemExit("batches with windows of different widths are not read here")
        with figures.part("merge and EM"):
            pieces = [
                Piece(window=window, columns=column, masked=mask)
                for window, column, mask in zip(windows, columns, masks, strict=True)
            ]
            stretch = called_in(
                pieces, first=first, last=last, samples=len(names), open_until=open_until, want_dense=packer is not None
            )
            open_until = stretch.open_until
        figures.add("windows", 1)
        figures.add("sites", int(np.count_nonzero(stretch.called.written)))
        figures.add("candidate_sites", len(stretch.positions))
        figures.add("explicit_cells", len(stretch.cells.row))
        if packer:
            with figures.part("annotate and text"):
                text = [line + b"\n" for line in lines(stretch, contig=CONTIG, samples=len(names))]
            with figures.part("compress"):
                for line in text:
                    packer.add(line)
    if packer:
        with figures.part("compress"):
            packer.close()
        figures.add("vcf_text_bytes", packer.text_bytes)
        figures.add("vcf_bytes", packer.file_bytes)


def _reference(cohort: Cohort) -> Any:
    from chassis.reference.local import LocalReference
    from contracts.values import Interval, ReferenceId

    length = ORIGIN + cohort.bases + 999
    window = Interval(contig=CONTIG, start=ORIGIN, end=ORIGIN + cohort.bases - 1, contig_length=length)
    return LocalReference(
        id=ReferenceId(name="simulated", digest="0" * 32), fasta=cohort.reference, intervals=(window,)
    )


def _head(names: Sequence[str], cohort: Cohort) -> bytes:
    """Enough for any reader."""
    columns = "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *names))
    contig = f"##contig=<ID={CONTIG},length={ORIGIN + cohort.bases + 999}>"
    return f"##fileformat=VCFv4.2\n{contig}\n{columns}\n".encode()


STEPS: dict[str, Callable[..., None]] = {"import": import_cohort, "genotype": genotype}


def main(argv: Sequence[str]) -> int:
    step, given = argv[0], json.loads(argv[1])
    given = {name: Path(value) if name in ("store", "out") and value else value for name, value in given.items()}
    given["cohort"] = load(Path(given["cohort"]))
    repeat = given.pop("repeat", 1)
    figures = Figures()
    for _ in range(repeat):  # the first turn of two loads the compiled code
        figures = Figures(start_cpu_s=time.process_time())
        wall = time.perf_counter()
        STEPS[step](figures, **given)
        figures.work_wall_s = time.perf_counter() - wall
        figures.work_cpu_s = time.process_time() - figures.start_cpu_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(asdict(figures) | {"peak_bytes": peak}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
