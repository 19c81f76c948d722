"""The columnar engine's generations: what is added, masked, replaced, put together and written anew, and where they are
kept. Whatever the way, the same bytes as from scratch."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chassis.errors import Rejected
from chassis.reference.local import LocalReference
from chassis.settings import StoreSettings
from contracts.values import Interval
from services.jointcall.columnar.folder import GenerationFolder
from services.jointcall.columnar.store.depot import opened
from services.jointcall.engines.columnar import DEADLINE, ColumnarEngine
from services.jointcall.engines.protocol import GvcfInput
from tests.services.jointcall.engines.conftest import WHOLE
from tests.services.jointcall.engines.written import (
    block,
    het,
    het_without_pl,
    sequence,
    write_gvcf,
    write_reference,
)

LENGTH = 3000
BASES = sequence(LENGTH)
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True)
class Bench:
    folder: Path
    reference: LocalReference
    engine: ColumnarEngine
    made: int = 0

    def gvcf(self, name: str, *places: int, end: int = LENGTH, without_pl: Collection[int] = ()) -> GvcfInput:
        self.made += 1
        folder = self.folder / f"gvcf-{self.made}"
        folder.mkdir()
        records, at = [], 1
        for place in places:
            kind = het_without_pl if place in without_pl else het
            records += [block(BASES, at, place - 1), kind(BASES[place - 1], OTHER[BASES[place - 1]], place)]
            at = place + 1
        return write_gvcf(folder, name, [*records, block(BASES, at, end)], contigs=[("c1", LENGTH)])

    def extend(
        self,
        earlier: Path | None,
        *batch: GvcfInput,
        without: Collection[str] = (),
        now: datetime = NOW,
        interval: Interval | None = None,
    ) -> Path:
        self.made += 1
        out = self.folder / f"generation-{self.made}"
        self.uncovered = self.engine.extend(
            generation=earlier,
            batch=batch,
            without=without,
            interval=interval or self.reference.intervals[0],
            reference=self.reference,
            now=now,
            out=out,
            scratch=self.folder,
        )
        return out

    def said(self, generation: Path, interval: Interval | None = None) -> bytes:
        folder = self.folder / f"said-{self.made}-{generation.name}"
        folder.mkdir()
        self.engine.genotype(
            generation=generation,
            interval=interval or self.reference.intervals[0],
            reference=self.reference,
            out_vcf=folder / "out.vcf.gz",
            out_sites=folder / "sites.vcf.gz",
            scratch=folder,
        )
        return (folder / "out.vcf.gz").read_bytes()

    def objects(self, generation: Path) -> set[str]:
        return {path.name for path in (generation / "objects").iterdir()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(folder=tmp_path, reference=write_reference(tmp_path, BASES), engine=ColumnarEngine(chunk_bp=WHOLE))


def test_added_withdrawn_and_replaced_in_one_step(bench: Bench) -> None:
    first = bench.extend(None, bench.gvcf("b", 100), bench.gvcf("d", 200, 900), bench.gvcf("c", 300))
    before = bench.said(first)
    new = (bench.gvcf("a", 100, 400), bench.gvcf("c", 500))
    second = bench.extend(first, *new, without=["d", "c"])
    assert list(bench.engine.members(second)) == ["a", "b", "c"]
    assert bench.objects(first) < bench.objects(second), "what was there is shared, not written again"
    (b,) = (one for one in GenerationFolder(first).read().batches[0].samples if one.name == "b")
    assert bench.engine.members(second)["b"] == b.digest

    scratch = bench.extend(None, *new, bench.gvcf("b", 100))
    assert bench.said(second) == bench.said(scratch) != before
    assert {mask.sample for mask in GenerationFolder(second).read().masks} == {"c", "d"}
    assert GenerationFolder(second).read().parent == GenerationFolder(first).read().id
    assert bench.said(first) == before, "the earlier generation stays what it was"


def test_bytes_of_who_left_go_with_the_deadline(bench: Bench) -> None:
    first = bench.extend(None, bench.gvcf("a", 100), bench.gvcf("b", 200))
    left = bench.extend(first, without=["b"])
    assert bench.objects(left) == bench.objects(first)
    early = bench.extend(left, bench.gvcf("c", 300), now=NOW + DEADLINE - timedelta(days=1))
    late = bench.extend(left, bench.gvcf("c", 300), now=NOW + DEADLINE)
    assert bench.objects(first) <= bench.objects(early)
    assert not bench.objects(first) & bench.objects(late)
    assert bench.said(early) == bench.said(late)
    assert not GenerationFolder(late).read().masks
    assert GenerationFolder(late).read().parent == GenerationFolder(left).read().id


def test_many_small_batches_are_put_together(bench: Bench) -> None:
    bench.engine = ColumnarEngine(chunk_bp=WHOLE, most_batches=2)
    gvcfs = [bench.gvcf(name, 100 + 10 * at) for at, name in enumerate("cabd")]
    generation: Path | None = None
    batches = []
    for one in gvcfs:
        generation = bench.extend(generation, one)
        batches.append(len(GenerationFolder(generation).read().batches))
    assert generation is not None
    assert batches == [1, 2, 1, 2]
    assert bench.said(generation) == bench.said(bench.extend(None, *gvcfs))


def test_a_sample_of_another_gvcf_is_refused_unless_it_is_replaced(bench: Bench) -> None:
    first = bench.extend(None, bench.gvcf("a", 100), bench.gvcf("b", 100))
    again = bench.gvcf("a", 200)
    with pytest.raises(Rejected) as refused:
        bench.extend(first, again)
    assert refused.value.rejection.code == "COHORT_DUPLICATE"
    assert refused.value.rejection.where == again.path.name
    assert not (bench.folder / f"generation-{bench.made}").exists()
    second = bench.extend(first, again, without=["a"])
    assert bench.engine.members(second)["a"] != bench.engine.members(first)["a"]
    assert [mask.why for mask in GenerationFolder(second).read().masks] == ["replaced"]


def test_who_leaves_and_comes_back_again_and_again(bench: Bench) -> None:
    """The batch that the same gVCF makes is the one that is there already, with its sample masked."""
    stays, comes = bench.gvcf("a", 100), bench.gvcf("b", 200)
    both = bench.said(bench.extend(None, stays, comes))
    generation = bench.extend(None, stays)
    for _ in range(2):
        generation = bench.extend(generation, comes)
        assert bench.said(generation) == both
        generation = bench.extend(generation, without=["b"])
        assert list(bench.engine.members(generation)) == ["a"]


def test_gaps_are_told(bench: Bench) -> None:
    short = bench.gvcf("a", end=2500)
    bench.extend(None, short, bench.gvcf("b"))
    assert bench.uncovered == (short,)


def test_a_deletion_in_front_of_an_interval_keeps_its_star(bench: Bench) -> None:
    """Both samples' records lie across the edge; each interval's columns begin a margin before it."""
    deletion = [block(BASES, 1, 994), het(BASES[994:1014], BASES[994], 995), block(BASES, 1015, LENGTH)]
    gvcfs = (
        write_gvcf(bench.folder, "deleted", deletion, contigs=[("c1", LENGTH)]),
        bench.gvcf("substituted", 1005),
    )
    (whole,) = bench.reference.intervals
    right = whole.model_copy(update={"start": 1001})

    def called(margin_bp: int) -> bytes:
        bench.engine = ColumnarEngine(chunk_bp=WHOLE, margin_bp=margin_bp)
        generation = bench.extend(None, *gvcfs, interval=right)
        return _records(bench.said(generation, right))

    behind = b"".join(
        line for line in _records(bench.said(bench.extend(None, *gvcfs))).splitlines(True) if b"\t1005\t" in line
    )
    assert b"*" in behind
    assert called(1000) == behind
    assert called(0) != behind, "the margin is there for nothing"


def test_a_generation_comes_back_from_the_store_as_it_was(bench: Bench, tmp_path: Path) -> None:
    first = bench.extend(None, bench.gvcf("a", 100))
    second = bench.extend(first, bench.gvcf("b", 200))
    with opened(StoreSettings(base=(tmp_path / "store").as_uri()), cohort="c", folder="of-c/1") as depot:
        kept = bench.engine.keep(first, depot)
        more = bench.engine.keep(second, depot)
        bench.engine.take(more.generation, depot, out=tmp_path / "back")
        sizes = _sizes(second)
        assert kept.bytes_written == _sizes(first)
        assert more.bytes_written == sizes - kept.bytes_written
        assert bench.engine.members(tmp_path / "back") == bench.engine.members(second)
        assert bench.said(tmp_path / "back") == bench.said(second)
        damaged = next(iter((tmp_path / "store").rglob("*.arrow")))
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
        with pytest.raises(Rejected, match="CONTENT_CHANGED"):
            bench.engine.take(more.generation, depot, out=tmp_path / "again")
        assert not (tmp_path / "again").exists()


def test_a_chunk_tells_how_many_sites_are_left_out(bench: Bench) -> None:
    gvcfs = (bench.gvcf("a", 100, 200, 2000, 2500, without_pl=[200, 2000]), bench.gvcf("b", 100, 200, 300))
    generation = bench.extend(None, *gvcfs)
    (whole,) = bench.reference.intervals
    told = [
        bench.engine.genotype_chunk(
            generation=generation,
            chunk=whole.model_copy(update={"start": first, "end": last}),
            reference=bench.reference,
            out=bench.folder / f"{first}.vcf.gz",
            scratch=bench.folder,
        ).left_out
        for first, last in ((1, 199), (200, 2100), (2101, LENGTH))
    ]
    assert told == [0, 2, 0]
    places = [line.split(b"\t")[1] for line in _records(bench.said(generation)).splitlines()]
    assert places == [b"100", b"300", b"2500"]


def test_a_chunk_outside_of_the_interval_is_a_fault_of_ours(bench: Bench) -> None:
    (whole,) = bench.reference.intervals
    left = whole.model_copy(update={"end": 1000})
    generation = bench.extend(None, bench.gvcf("a", 100), interval=left)
    with pytest.raises(ValueError, match="no part"):
        bench.said(generation, whole)


def test_provenance_names_what_decides_the_records() -> None:
    one, other = ColumnarEngine(chunk_bp=1000), ColumnarEngine(chunk_bp=2000)
    assert one.provenance() == other.provenance()
    assert one.provenance() != ColumnarEngine(chunk_bp=1000, margin_bp=0).provenance()
    assert one.lineage != ColumnarEngine(chunk_bp=1000, margin_bp=0).lineage


def _records(content: bytes) -> bytes:
    import gzip

    return b"".join(line for line in gzip.decompress(content).splitlines(True) if not line.startswith(b"#"))


def _sizes(generation: Path) -> int:
    return sum(path.stat().st_size for path in (generation / "objects").iterdir())
