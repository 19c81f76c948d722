"""A made cohort in batches, called stretch by stretch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from contracts.values import Interval
from services.jointcall.columnar.genotype.records import lines
from services.jointcall.columnar.genotype.streaming import Member, stretches
from services.jointcall.columnar.genotype.stretch import Stretch
from services.jointcall.columnar.importing import write_batch
from services.jointcall.columnar.reading.columns import Parsed
from services.jointcall.columnar.reading.parsing import Target, parse
from services.jointcall.columnar.store.batch import BatchReader
from services.jointcall.engines.gvcf import sample_name_of
from services.jointcall.engines.protocol import GvcfInput
from tests.oracle.cohorts import Cohort


class Made:
    """A made cohort in batches of two sizes, whose names interleave."""

    def __init__(self, made: Cohort, folder: Path) -> None:
        import pysam

        self.cohort = made
        with pysam.FastaFile(str(made.fasta)) as reference:
            self.contigs = tuple(zip(reference.references, reference.lengths, strict=True))
            self.bases = reference.fetch(made.contig)
        interval = Interval(contig=made.contig, start=made.first, end=made.last, contig_length=self.contigs[0][1])
        target = Target(
            interval=interval,
            bases=np.frombuffer(self.bases[made.first - 1 : made.last].encode(), np.uint8),
            contigs=self.contigs,
        )
        self._target = target
        named = [(sample_name_of(path), path) for path in made.gvcfs]
        self.names = sorted(name for name, _ in named)
        self.members = []
        for number, batch in enumerate((named[::3], [one for at, one in enumerate(named) if at % 3])):

            def parsed(at: int, batch: list[tuple[str, Path]] = batch) -> Parsed:
                return self.parsed(batch[at][1])

            out = folder / f"batch{number}"
            names = [name for name, _ in batch]
            write_batch(names=names, parse=parsed, contig=made.contig, first=made.first, last=made.last, folder=out)
            self.members.append(
                Member(
                    reader=BatchReader(blocks=out / "blocks.arrow", variants=out / "variants.arrow", where="batch"),
                    columns=np.array([self.names.index(name) for name in names], np.int32),
                    masked=np.zeros(len(names), np.uint8),
                )
            )

    def parsed(self, path: Path) -> Parsed:
        gvcf = GvcfInput(name=sample_name_of(path), path=path, index=path.with_name(path.name + ".tbi"))
        return parse(gvcf, target=self._target)

    def called(self, *, dense: bool, all_sites: bool = False, stretch_bp: int = 0) -> Iterator[tuple[str, Stretch]]:
        found = stretches(
            self.members,
            first=self.cohort.first,
            last=self.cohort.last,
            samples=len(self.names),
            want_dense=dense,
            stretch_bp=stretch_bp,
            bases=(lambda first, last: self.bases[first - 1 : last].encode()) if all_sites else None,
        )
        return ((self.cohort.contig, one) for one in found)

    def vcf(self, *, all_sites: bool = False) -> list[bytes]:
        return [
            line
            for contig, stretch in self.called(dense=True, all_sites=all_sites)
            for line in lines(stretch, contig=contig, samples=len(self.names))
        ]
