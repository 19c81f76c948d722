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
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from services.jointcall.columnar.tables import Window
from tests.bench.joint.cohort import CONTIG, ORIGIN, Cohort, load

BATCH = 1000
"""Samples of a batch in the store."""


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
        """Parts may lie within parts: what is within counts for the inner one alone."""
        begun, inside = time.process_time(), sum(self.split.values())
        yield
        within = sum(self.split.values()) - inside
        self.split[name] = self.split.get(name, 0.0) + time.process_time() - begun - within

    def add(self, name: str, count: int) -> None:
        self.counts[name] = self.counts.get(name, 0) + count


def import_cohort(figures: Figures, *, cohort: Cohort, store: Path, people: Sequence[int], bases: int) -> None:
    """gVCFs of these people, over the window's first `bases`, into new batches in the folder `store`."""
    from contracts.values import Interval
    from services.jointcall.columnar.importing import write_batch
    from services.jointcall.columnar.reading import Parsed, parse, target_of
    from services.jointcall.engines.protocol import GvcfInput

    first, last = ORIGIN, ORIGIN + bases - 1
    interval = Interval(contig=CONTIG, start=first, end=last, contig_length=_contig_bases(cohort))
    target = target_of(interval, _reference(cohort))
    store.mkdir(parents=True, exist_ok=True)

    for begin in range(0, len(people), BATCH):
        batch = people[begin : begin + BATCH]

        def parsed(at: int, batch: Sequence[int] = batch) -> Parsed:
            path = cohort.gvcfs[batch[at]]
            gvcf = GvcfInput(name=cohort.names[batch[at]], path=path, index=path.with_name(path.name + ".tbi"))
            with figures.part("decode"):
                return parse(gvcf, target=target)

        folder = store / f"batch{len(list(store.iterdir())):04d}"
        names = [cohort.names[person] for person in batch]
        with figures.part("cut and write"):
            written = write_batch(names=names, parse=parsed, contig=CONTIG, first=first, last=last, folder=folder)
        figures.add("store_bytes", written.blocks.size + written.variants.size)
    figures.add("text_bytes", sum(cohort.profiles[person].text_bytes for person in people) * bases // cohort.bases)
    figures.add("bgzip_bytes", sum(cohort.profiles[person].bgzip_bytes for person in people) * bases // cohort.bases)


class _Timed:
    """A batch's reader: what it takes is decoding."""

    def __init__(self, folder: Path, figures: Figures) -> None:
        from services.jointcall.columnar.store.batch import BatchReader

        self._reader = BatchReader(
            blocks=folder / "blocks.arrow", variants=folder / "variants.arrow", where=folder.name
        )
        self._figures = figures
        self.samples = self._reader.samples
        figures.add("bytes_read", sum(path.stat().st_size for path in folder.iterdir()))

    def windows(self) -> list[tuple[int, int]]:
        return self._reader.windows()

    def read(self, index: int, *, variants_only: bool = False) -> Window:
        with self._figures.part("decode"):
            return self._reader.read(index, variants_only=variants_only)


def genotype(figures: Figures, *, cohort: Cohort, store: Path, bases: int, out: Path | None, level: int) -> None:
    """Sites of the window's first `bases` from the batches in `store`: VCF.gz in `out`, or (None) columns."""
    import numpy as np

    from services.jointcall.columnar.genotype.bgzf import BgzfWriter
    from services.jointcall.columnar.genotype.header import header
    from services.jointcall.columnar.genotype.records import lines
    from services.jointcall.columnar.genotype.streaming import Member, stretches

    readers = [_Timed(folder, figures) for folder in sorted(store.iterdir())]
    names = sorted(name for reader in readers for name in reader.samples)
    place = {name: at for at, name in enumerate(names)}
    members = [
        Member(
            reader=reader,
            columns=np.array([place[name] for name in reader.samples], np.int32),
            masked=np.zeros(len(reader.samples), np.uint8),
        )
        for reader in readers
    ]
    with ExitStack() as stack:
        writer = stack.enter_context(BgzfWriter(out, level=level)) if out else None
        if writer:
            contigs = ((CONTIG, _contig_bases(cohort)),)
            writer.write(b"\n".join(header(contigs=contigs, samples=names)) + b"\n")
        called = stretches(
            members, first=ORIGIN, last=ORIGIN + bases - 1, samples=len(names), want_dense=writer is not None
        )
        while True:
            with figures.part("merge and EM"):
                stretch = next(called, None)
            if stretch is None:
                break
            figures.add("sites", int(np.count_nonzero(stretch.called.written)))
            figures.add("candidate_sites", len(stretch.positions))
            figures.add("explicit_cells", len(stretch.cells.row))
            if writer:
                with figures.part("annotate and text"):
                    text = [line + b"\n" for line in lines(stretch, contig=CONTIG, samples=len(names))]
                with figures.part("compress"):
                    for line in text:
                        writer.write(line)


def _reference(cohort: Cohort) -> Any:
    from chassis.reference.local import LocalReference
    from contracts.values import Interval, ReferenceId

    window = Interval(contig=CONTIG, start=ORIGIN, end=ORIGIN + cohort.bases - 1, contig_length=_contig_bases(cohort))
    return LocalReference(
        id=ReferenceId(name="simulated", digest="0" * 32), fasta=cohort.reference, intervals=(window,)
    )


def _contig_bases(cohort: Cohort) -> int:
    return ORIGIN + cohort.bases + 999


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
