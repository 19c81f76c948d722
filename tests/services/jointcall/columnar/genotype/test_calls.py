"""Genotypes left in columns: what is written, and that with the blocks it is the dense VCF."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from contracts.values import Interval
from services.jointcall.columnar.genotype.calls import write_columns
from services.jointcall.columnar.genotype.expanded import records
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
from tests.oracle.made import cohort


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
        named = [(sample_name_of(path), path) for path in made.gvcfs]
        self.names = sorted(name for name, _ in named)
        self.members = []
        for number, batch in enumerate((named[::3], [one for at, one in enumerate(named) if at % 3])):

            def parsed(at: int, batch: list[tuple[str, Path]] = batch) -> Parsed:
                name, path = batch[at]
                return parse(GvcfInput(name=name, path=path, index=path.with_name(path.name + ".tbi")), target=target)

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


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    return Made(cohort(4, folder, people=12, sites=120), folder)


@pytest.mark.parametrize("all_sites", [False, True])
def test_columns_and_blocks_are_the_vcf(made: Made, all_sites: bool, tmp_path: Path) -> None:
    written = write_columns(
        made.called(dense=False, all_sites=all_sites), contigs=made.contigs, samples=made.names, folder=tmp_path
    )
    vcf = made.vcf(all_sites=all_sites)
    again = list(records(tmp_path, made.members, contig=made.cohort.contig, samples=len(made.names)))
    for mine, theirs in zip(again, vcf, strict=True):
        assert mine == theirs
    assert written.sites == len(vcf)
    assert 0 < written.explicit < written.dense
