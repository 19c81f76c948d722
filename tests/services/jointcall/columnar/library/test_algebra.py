"""However a store came to its samples, it says what one made from scratch says: bit for bit, at every step."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.jointcall.columnar.alone import joint_call
from services.jointcall.columnar.library import exporting, operations
from services.jointcall.columnar.library.opening import current
from tests.services.jointcall.columnar.library.algebra import live, people, records, scratch_digest, workplace


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


def test_shards_are_one_call_over_all(tmp_path: Path) -> None:
    cohort = people(3, tmp_path, number=8, sites=150)
    paths = list(cohort.own.values())
    joint_call(
        gvcfs=paths, fasta=cohort.fasta, contig=cohort.contig, first=1, last=cohort.length, out=tmp_path / "a.vcf.gz"
    )
    with workplace(tmp_path / "store") as at:
        operations.import_first(at, [str(path) for path in paths], reference=cohort.fasta, shard_bp=97)
        assert len(current(at.depot).shards) > 20
        exporting.export(at, current(at.depot), exporting.Wanted(), out=tmp_path / "b.vcf.gz")
    assert (tmp_path / "a.vcf.gz").read_bytes() == (tmp_path / "b.vcf.gz").read_bytes()
