"""The seeded engines from reads to an annotated panel: the same bytes again, and other bytes when reads are lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from chassis.reference.local import LocalReference
from contracts.events import FilterDecision
from services.align.engines.protocol import LaneInput, ReadGroup
from services.annotate import consequences, records
from services.annotate.gather import gather
from services.annotate.summary import count
from services.jointcall.engines.protocol import GvcfInput
from tests.support.seeded import people
from tests.support.seeded.align import SeededAlign
from tests.support.seeded.annotate import SeededAnnotate
from tests.support.seeded.jointcall import SeededJointcall
from tests.support.seeded.vqsr import SeededFilters

HARD = [
    FilterDecision(variant_type=kind, method="hard-filter", rule="too few", training_variants=0)
    for kind in ("snp", "indel")
]
LANES = (1, 2)
PEOPLE = (4, 5, 6)
"""Each has reads of both lanes that begin at the same base: their order must come from the reads."""


@dataclass(frozen=True, kw_only=True)
class Chain:
    """From reads to a panel in `folder`, cut into pieces as told."""

    folder: Path
    reference: LocalReference
    chunk_bp: int = 1000
    intervals_per_part: int = 1

    def gvcf(self, person: int, *, lanes: Sequence[int] = LANES) -> GvcfInput:
        engine, folder = SeededAlign(), self.folder / f"S{person}"
        folder.mkdir(parents=True)
        bams = [self._lane(engine, person, lane, folder) for lane in lanes]
        cram, gvcf = folder / "sample.cram", folder / "sample.g.vcf.gz"
        engine.merge(
            inputs=bams,
            previous=None,
            reference=self.reference,
            optical_distance=2500,
            out_cram=cram,
            scratch=folder,
            threads=1,
        )
        parts = []
        for at in range(0, len(self.reference.intervals), self.intervals_per_part):
            parts.append(folder / f"{at}.g.vcf.gz")
            engine.call(
                cram=cram,
                reference=self.reference,
                intervals=self.reference.intervals[at : at + self.intervals_per_part],
                out_gvcf=parts[-1],
                scratch=folder,
            )
        engine.gather(parts=parts, out_gvcf=gvcf)
        return GvcfInput(name=f"S{person}", path=gvcf, index=gvcf.with_name("sample.g.vcf.gz.tbi"))

    def _lane(self, engine: SeededAlign, person: int, lane: int, folder: Path) -> Path:
        r1, r2, bam = folder / f"L{lane}R1.fastq.gz", folder / f"L{lane}R2.fastq.gz", folder / f"L{lane}.bam"
        pair = people.fastq_pair(person=person, lane=lane, contigs=people.bases_of(self.reference.fasta))
        for path, packed in zip((r1, r2), pair, strict=True):
            path.write_bytes(packed)
        group = ReadGroup(id=f"FC1.{lane}.ACGT", sample=f"S{person}", library="LIB1")
        engine.align_lane(
            lane=LaneInput(r1=r1, r2=r2, read_group=group),
            reference=self.reference,
            out_bam=bam,
            scratch=folder,
            threads=1,
        )
        return bam

    def panel(self, gvcfs: Sequence[GvcfInput]) -> tuple[Path, ...]:
        """Every interval's annotated VCF."""
        engine = SeededJointcall(chunk_bp=self.chunk_bp)
        panel = []
        for interval in self.reference.intervals:
            folder = self.folder / interval.slug
            folder.mkdir()
            called, filtered, annotated = (folder / f"{name}.vcf.gz" for name in ("called", "filtered", "annotated"))
            engine.add_samples(
                generation=None,
                batch=gvcfs,
                interval=interval,
                reference=self.reference,
                out=folder / "generation",
                scratch=folder,
            )
            engine.genotype(
                generation=folder / "generation",
                interval=interval,
                reference=self.reference,
                out_vcf=called,
                out_sites=folder / "sites.vcf.gz",
                scratch=folder,
            )
            SeededFilters().filter(vcf_in=called, decisions=HARD, models={}, out=filtered, scratch=folder)
            SeededAnnotate().annotate(
                vcf=filtered, reference=self.reference, out=annotated, scratch=folder, log=folder / "log"
            )
            panel.append(annotated)
        return tuple(panel)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> LocalReference:
    return people.local_reference(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def first(reference: LocalReference, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    chain = Chain(folder=tmp_path_factory.mktemp("first"), reference=reference)
    return chain.panel([chain.gvcf(person) for person in PEOPLE])


def written(panel: Sequence[Path]) -> list[bytes]:
    return [path.read_bytes() for path in panel]


def crams(panel: Sequence[Path]) -> list[bytes]:
    folder = panel[0].parents[1]
    return [(folder / f"S{person}" / "sample.cram").read_bytes() for person in PEOPLE]


def test_the_chain_again_in_other_pieces_and_another_order_gives_the_same_bytes(
    reference: LocalReference, first: tuple[Path, ...], tmp_path: Path
) -> None:
    chain = Chain(folder=tmp_path, reference=reference, chunk_bp=123, intervals_per_part=4)
    again = chain.panel([chain.gvcf(person, lanes=LANES[::-1]) for person in (6, 4, 5)])
    assert written(again) == written(first)
    assert crams(again) == crams(first)


def test_a_lane_lost_shows_in_every_interval(
    reference: LocalReference, first: tuple[Path, ...], tmp_path: Path
) -> None:
    chain = Chain(folder=tmp_path, reference=reference)
    other = chain.panel([chain.gvcf(4), chain.gvcf(5, lanes=LANES[:1]), chain.gvcf(6)])
    assert not set(written(other)) & set(written(first))


def test_the_panel_has_what_a_report_tells_of(first: tuple[Path, ...], tmp_path: Path) -> None:
    counts = count([one.vcf for one in gather(first, tmp_path / "panel")])
    assert [one.name for one in counts.samples] == ["S4", "S5", "S6"]
    assert counts.variants > 60
    assert min(counts.snps, counts.indels, counts.multiallelic, counts.variants - counts.passed) > 1
    told = [entry for path in first for one in records.read(path) for entry in consequences.of(one.info)]
    assert {entry.gene for entry in told} == {"GENE1", "GENE2"}
