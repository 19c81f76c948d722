"""However a store came to its samples, it says what one made from scratch says: bit for bit, at every step."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from services.jointcall.columnar.alone import joint_call
from services.jointcall.columnar.library import exporting, operations
from services.jointcall.columnar.library.fasta import opened_fasta
from services.jointcall.columnar.library.opening import current
from tests.oracle.cohorts import Texts, write
from tests.services.jointcall.columnar.library.algebra import (
    DEADLINE,
    live,
    people,
    records,
    scratch_digest,
    workplace,
)


@pytest.mark.parametrize(("seed", "number", "sites"), [(1, 5, 60), (2, 9, 60), (7, 12, 40)])
def test_every_step_equals_scratch(seed: int, number: int, sites: int, tmp_path: Path) -> None:
    done = live(seed, tmp_path, number=number, sites=sites, steps=7)
    assert len(set(done)) >= 3


def test_names_that_sort_earlier_reorder_alts(tmp_path: Path) -> None:
    """ALTs come by the first carrier in the order of names, so a newcomer changes records of those who were there."""
    cohort = people(11, tmp_path, number=10, sites=80)
    late, early = sorted(cohort.own)[5:], sorted(cohort.own)[:5]
    with workplace(tmp_path / "store") as at:
        operations.import_first(at, [str(cohort.own[name]) for name in late], reference=cohort.fasta)
        alts = {tuple(line.split(b"\t")[1:5:3]) for line in records(at)}
        operations.add(at, [str(cohort.own[name]) for name in early], reference=cohort.fasta)
        after = {tuple(line.split(b"\t")[1:5:3]) for line in records(at)}
        old = {position: alt.split(b",") for position, alt in alts}
        new = {position: alt.split(b",") for position, alt in after}
        shared = {at: [one for one in new[at] if one in old[at]] for at in old.keys() & new.keys()}
        assert any(kept != [one for one in old[at] if one in kept] for at, kept in shared.items())
        mine = exporting.digest(at, current(at.depot), exporting.Wanted())
    assert mine.digest == scratch_digest(cohort, list(cohort.own.values())).digest


def test_nothing_of_a_withdrawn_sample_shows(tmp_path: Path) -> None:
    """Its deletion would make a site's REF longer: with all sites that is read; beside `*` it makes another prior."""
    bases = "".join(Random(5).choices("ACGT", k=300))
    ref = bases[99]
    snp = "C" if ref != "C" else "G"
    block = "chrX\t{}\t.\t{}\t<NON_REF>\t.\t.\tEND={}\tGT:DP:GQ:MIN_DP:PL\t0/0:20:45:20:0,45,600"
    tail = block.format(120, bases[119], 300)

    def carrying(first: int, last: int, alt: str, cell: str) -> tuple[str, ...]:
        record = f"chrX\t{first}\t.\t{bases[first - 1 : last]}\t{alt},<NON_REF>\t50\t.\tDP=20\tGT:AD:DP:GQ:PL\t{cell}"
        head = block.format(1, bases[0], first - 1)
        between = (block.format(last + 1, bases[last], 119),) if last < 119 else ()
        return head, record, *between, tail

    cohort = write(
        Texts(
            contig="chrX",
            bases=bases,
            first=1,
            last=300,
            records={
                "long": carrying(90, 115, bases[89], "0/1:15,5,0:20:50:50,0,300,80,330,400"),
                "snp": carrying(100, 100, snp, "0/1:16,4,0:20:60:60,0,500,110,510,620"),
                "gone": carrying(117, 118, bases[116], "0/1:10,10,0:20:99:300,0,300,330,330,660"),
            },
        ),
        tmp_path / "three",
    )
    with workplace(tmp_path / "store") as at:
        operations.import_first(at, [str(path) for path in cohort.gvcfs], reference=cohort.fasta)
        operations.withdraw(at, ["gone"], deadline=DEADLINE)
        assert [line.split(b"\t")[3:5] for line in records(at)][-1] == [ref.encode(), b"*," + snp.encode()]
        mine = everywhere(at, cohort.fasta)
    with workplace(tmp_path / "scratch") as at:
        operations.import_first(at, [str(path) for path in cohort.gvcfs[:2]], reference=cohort.fasta)
        assert everywhere(at, cohort.fasta) == mine


def everywhere(at: operations.Workplace, fasta: Path) -> list[bytes]:
    """Records of every base."""
    with opened_fasta(fasta) as opened:
        wanted = exporting.Wanted(bases=opened.bases)
        return [line for _, line in exporting.records(at, current(at.depot), wanted)]


def test_shards_are_one_call_over_all(tmp_path: Path) -> None:
    cohort = people(3, tmp_path, number=8, sites=100)
    paths = list(cohort.own.values())
    joint_call(
        gvcfs=paths, fasta=cohort.fasta, contig=cohort.contig, first=1, last=cohort.length, out=tmp_path / "a.vcf.gz"
    )
    with workplace(tmp_path / "store") as at:
        operations.import_first(at, [str(path) for path in paths], reference=cohort.fasta, shard_bp=97)
        assert len(current(at.depot).shards) > 20
        exporting.export(at, current(at.depot), exporting.Wanted(), out=tmp_path / "b.vcf.gz")
    assert (tmp_path / "a.vcf.gz").read_bytes() == (tmp_path / "b.vcf.gz").read_bytes()
