"""What is GATK's own: the QD that it draws by lot, the deletion that spans an edge, its version."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.tools.gatk import Gatk
from contracts.values import Interval
from services.jointcall.engines.gatk import GatkEngine
from services.jointcall.engines.jitter import HIGH_QD, settle, variant_depth
from tests.services.jointcall.engines.conftest import WHOLE, Cohort, genotype, records
from tests.services.jointcall.engines.written import block, het, sequence, write_gvcf, write_reference

pytestmark = pytest.mark.tools


def test_drawn_qd_is_told_from_computed_qd_as_gatk_does(
    real: Cohort, gatk: Gatk, interval: Interval, gatk_generation: Path, tmp_path: Path
) -> None:
    """What `jitter` takes for QD's denominator is GATK's: where the ratio is below 35, QD is the ratio."""
    chunk = GatkEngine(gatk=gatk, chunk_bp=WHOLE).genotype_chunk(
        generation=gatk_generation,
        chunk=interval,
        reference=real.reference,
        out=tmp_path / "raw.vcf.gz",
        scratch=tmp_path,
    )
    computed = drawn = 0
    for line in records(chunk.vcf):
        columns = line.rstrip("\n").encode().split(b"\t")
        qd = next(entry[3:] for entry in columns[7].split(b";") if entry.startswith(b"QD="))
        ratio = float(columns[5]) / variant_depth(columns[8], columns[9:])
        if ratio < HIGH_QD:
            assert float(qd) == pytest.approx(ratio, abs=0.011)
            assert settle(line.rstrip("\n").encode()) == line.rstrip("\n").encode()
            computed += 1
        else:
            assert settle(line.rstrip("\n").encode()) != line.rstrip("\n").encode()
            drawn += 1
    assert computed >= 5
    assert drawn >= 5


@pytest.fixture(scope="module")
def spanned(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A deletion of 20 bases at 1,000 in one person, a SNP inside it, at 1,010, in another."""
    folder = tmp_path_factory.mktemp("spanned")
    bases = sequence(3000)
    reference = write_reference(folder, bases)
    snp = "ACGT"[("ACGT".index(bases[1009]) + 1) % 4]
    contigs = [("c1", 3000)]
    deletion = [block(bases, 1, 999), het(bases[999:1020], bases[999], 1000), block(bases, 1021, 3000)]
    inside = [block(bases, 1, 1009), het(bases[1009], snp, 1010), block(bases, 1011, 3000)]
    return Cohort(
        reference=reference,
        gvcfs=(
            write_gvcf(folder, "deleted", deletion, contigs=contigs),
            write_gvcf(folder, "substituted", inside, contigs=contigs),
        ),
    )


@pytest.mark.parametrize("margin_bp", [1000, 0])
def test_a_deletion_across_an_edge_keeps_its_star(
    spanned: Cohort, gatk: Gatk, scratch_for: Callable[[str], Path], margin_bp: int
) -> None:
    def call(name: str, start: int, end: int, chunk_bp: int) -> list[str]:
        folder = scratch_for(name)
        engine = GatkEngine(gatk=gatk, chunk_bp=chunk_bp, margin_bp=margin_bp)
        interval = spanned.interval(start, end)
        engine.add_samples(
            generation=None,
            batch=spanned.gvcfs,
            interval=interval,
            reference=spanned.reference,
            out=folder / "workspace",
            scratch=folder,
        )
        genotype(engine, spanned, folder / "workspace", interval, folder)
        return records(folder / "out.vcf.gz")

    whole = call("whole", 5, 2004, WHOLE)
    in_chunks = call("in-chunks", 5, 2004, 1000)  # cut between 1,004 and 1,005
    in_intervals = call("left", 5, 1004, WHOLE) + call("right", 1005, 2004, WHOLE)
    assert "*" in whole[1].split("\t")[4].split(",")
    if margin_bp:
        assert in_chunks == whole
        assert in_intervals == whole
    else:
        assert in_chunks != whole, "the margin is there for nothing"


def test_provenance_names_what_matters_and_not_how_an_interval_is_cut(gatk: Gatk) -> None:
    one, other = GatkEngine(gatk=gatk, chunk_bp=1000), GatkEngine(gatk=gatk, chunk_bp=2000)
    assert one.provenance() == other.provenance()
    assert one.provenance() != GatkEngine(gatk=gatk, chunk_bp=1000, margin_bp=0).provenance()
    assert one.provenance().version == "4.6.2.0"
