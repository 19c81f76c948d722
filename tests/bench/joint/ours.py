"""Our side's steps, each in a process of its own: `python -m tests.bench.joint.ours STEP FILE` prints figures.

FILE is the step's arguments as JSON. Before a step is measured it is run on `few`, a cohort of a few people, so that
its code is compiled and loaded; what that and starting the process take is told apart, as it is of the JVM.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
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
    """`start_cpu_s`: processor seconds before the first measured work. `split`: CPU seconds by part of the work."""

    start_cpu_s: float = 0.0
    work_cpu_s: float = 0.0
    work_wall_s: float = 0.0
    peak_bytes: int = 0
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
    """gVCFs of these people, over the window's first `bases`, into new batches in the folder `store`."""
    from contracts.values import Interval
    from services.jointcall.columnar.reading import parse, target_of, windows_of
    from services.jointcall.columnar.store.batch import BatchWriter
    from services.jointcall.columnar.store.schema import BatchPlace, window_bases
    from services.jointcall.engines.protocol import GvcfInput

    first, last = ORIGIN, ORIGIN + bases - 1
    interval = Interval(contig=CONTIG, start=first, end=last, contig_length=_contig_bases(cohort))
    with figures.part("decode"):
        target = target_of(interval, _reference(cohort))
    for begin in range(0, len(people), BATCH):
        batch = people[begin : begin + BATCH]
        names = tuple(cohort.names[person] for person in batch)
        with figures.part("decode"):
            parsed = []
            for person in batch:
                path = cohort.gvcfs[person]
                gvcf = GvcfInput(name=cohort.names[person], path=path, index=path.with_name(path.name + ".tbi"))
                parsed.append(parse(gvcf, target=target))
        width = window_bases(samples=len(batch), records_per_base=RECORDS_PER_BASE)
        place = BatchPlace(contig=CONTIG, first=first, last=last, window_bp=width, samples=names)
        with BatchWriter(place=place, folder=store / f"batch{len(list(store.glob('batch*'))):04d}") as writer:
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


class _Held:
    """A batch and the window of it that is in memory: a narrower one of another batch may need it again."""

    def __init__(self, folder: Path) -> None:
        from services.jointcall.columnar.store.batch import BatchReader

        self.reader = BatchReader(blocks=folder / "blocks.arrow", variants=folder / "variants.arrow", where=folder.name)
        self.bytes = sum(path.stat().st_size for path in folder.iterdir())
        self._index = -1
        self._window: Any = None

    def window(self, position: int) -> Any:
        index = self.reader.index_of(position)
        if index != self._index:
            self._index, self._window = index, self.reader.read(index)
        return self._window


def genotype(figures: Figures, *, cohort: Cohort, store: Path, bases: int, out: Path | None, level: int) -> None:
    """Sites of the window's first `bases` from the batches in `store`: VCF.gz in `out`, or (None) columns."""
    import numpy as np

    from services.jointcall.columnar.genotype.records import lines
    from services.jointcall.columnar.genotype.stretch import Piece
    from services.jointcall.columnar.genotype.stretch import genotype as called_in
    from tests.bench.joint.bgzf import Packer

    batches = [_Held(folder) for folder in sorted(store.iterdir())]
    names = sorted(name for batch in batches for name in batch.reader.samples)
    place = {name: at for at, name in enumerate(names)}
    columns = [np.array([place[name] for name in batch.reader.samples], np.int32) for batch in batches]
    masks = [np.zeros(len(batch.reader.samples), np.uint8) for batch in batches]
    packer = Packer(out, level=level) if out else None
    if packer:
        packer.add(_head(names, cohort))
    end, open_until = ORIGIN + bases - 1, 0
    narrowest = min((batch.reader for batch in batches), key=lambda reader: reader.window_bp)
    for first, last in narrowest.windows():
        if first > end:
            break
        with figures.part("decode"):
            windows = [batch.window(first) for batch in batches]
        with figures.part("merge and EM"):
            pieces = [
                Piece(window=window, columns=column, masked=mask)
                for window, column, mask in zip(windows, columns, masks, strict=True)
            ]
            stretch = called_in(
                pieces,
                first=first,
                last=min(last, end),
                samples=len(names),
                open_until=open_until,
                want_dense=packer is not None,
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
    figures.add("bytes_read", sum(batch.bytes for batch in batches))
    if packer:
        with figures.part("compress"):
            packer.close()
        figures.add("vcf_text_bytes", packer.text_bytes)
        figures.add("vcf_bytes", packer.file_bytes)


def _reference(cohort: Cohort) -> Any:
    from chassis.reference.local import LocalReference
    from contracts.values import Interval, ReferenceId

    window = Interval(contig=CONTIG, start=ORIGIN, end=ORIGIN + cohort.bases - 1, contig_length=_contig_bases(cohort))
    return LocalReference(
        id=ReferenceId(name="simulated", digest="0" * 32), fasta=cohort.reference, intervals=(window,)
    )


def _contig_bases(cohort: Cohort) -> int:
    return ORIGIN + cohort.bases + 999


def _head(names: Sequence[str], cohort: Cohort) -> bytes:
    """Enough for any reader."""
    columns = "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *names))
    contig = f"##contig=<ID={CONTIG},length={_contig_bases(cohort)}>"
    return f"##fileformat=VCFv4.2\n{contig}\n{columns}\n".encode()


STEPS: dict[str, Callable[..., None]] = {"import": import_cohort, "genotype": genotype}


def _warm(step: str, few: Cohort, given: dict[str, Any], folder: Path) -> None:
    """The same step on a few people."""
    people = range(len(few.names))
    import_cohort(Figures(), cohort=few, store=folder / "store", people=people, bases=few.bases)
    if step == "genotype":
        out = folder / "few.vcf.gz" if given["out"] else None
        genotype(Figures(), cohort=few, store=folder / "store", bases=few.bases, out=out, level=given["level"])


def main(argv: Sequence[str]) -> int:
    step, given = argv[0], json.loads(Path(argv[1]).read_text())
    given = {name: Path(value) if name in ("store", "out") and value else value for name, value in given.items()}
    given["cohort"] = load(Path(given["cohort"]))
    with tempfile.TemporaryDirectory(prefix="cohortstream-bench-") as folder:
        _warm(step, load(Path(given.pop("few"))), given, Path(folder))
    figures = Figures(start_cpu_s=time.process_time())
    wall = time.perf_counter()
    STEPS[step](figures, **given)
    figures.work_wall_s = time.perf_counter() - wall
    figures.work_cpu_s = time.process_time() - figures.start_cpu_s
    figures.peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(asdict(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
