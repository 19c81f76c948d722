"""From one generation the next: who counts, who is masked, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from chassis.errors import Rejected
from services.jointcall.columnar.store.generation import (
    Batch,
    BatchSample,
    Generation,
    ShardFiles,
    StoredFile,
    added,
    due,
    parsed,
    regrouped,
    replaced,
    small,
    withdrawn,
)
from services.jointcall.columnar.store.inspect import facts_of
from tests.services.jointcall.columnar.store.cohort import SHARDS, first

SOON = datetime(2026, 1, 2, tzinfo=UTC)


def batch(*names: str, mark: str = "1") -> Batch:
    file = StoredFile(sha256=mark * 64, size=1000, rows=50)
    samples = tuple(BatchSample(name=name, digest=mark * 64) for name in names)
    return Batch(samples=samples, shards=tuple(ShardFiles(blocks=file, variants=file, window_bp=1024) for _ in SHARDS))


def test_names_are_sorted_whatever_the_order_of_the_batches() -> None:
    one = first(batch("n", "b"), batch("a", "z", mark="2"))
    assert one.samples == ("a", "b", "n", "z")
    assert one.operation == "import" and one.parent is None


def test_a_sample_twice_is_refused() -> None:
    with pytest.raises(Rejected, match="COHORT_DUPLICATE: 1 samples"):
        first(batch("a", "b"), batch("b", mark="2"))
    with pytest.raises(Rejected, match="COHORT_DUPLICATE"):
        added(first(batch("a", "b")), [batch("c", "a", mark="2")])
    with pytest.raises(Rejected, match="COHORT_DUPLICATE"):
        first(batch("a"), batch("a"))


def test_an_add_names_its_parent() -> None:
    one = first(batch("a"))
    two = added(one, [batch("b", mark="2")])
    assert (two.parent, two.operation, two.samples) == (one.id, "add", ("a", "b"))
    assert two.id != one.id


def test_a_withdrawn_sample_counts_no_more_and_its_batch_is_due_at_the_deadline() -> None:
    one = first(batch("a", "b"), batch("c", mark="2"))
    two = withdrawn(one, ["b"], deadline=SOON)
    assert two.samples == ("a", "c")
    assert two.counting(two.batches[0]) == (0,)
    assert due(two, now=SOON - timedelta(seconds=1)) == ()
    assert due(two, now=SOON) == (two.batches[0].id,)
    with pytest.raises(Rejected, match="SAMPLE_UNKNOWN"):
        withdrawn(two, ["b"], deadline=SOON)


def test_a_withdrawn_sample_may_come_back() -> None:
    two = withdrawn(first(batch("a", "b")), ["b"], deadline=SOON)
    three = added(two, [batch("b", mark="2")])
    assert three.members["b"] == three.batches[1].id


def test_a_replaced_sample_counts_once_and_both_batches_hold_it() -> None:
    one = first(batch("a", "b"))
    two = replaced(one, [batch("b", mark="2")], deadline=SOON)
    assert two.samples == ("a", "b")
    assert two.members["b"] == two.batches[1].id
    assert [(mask.sample, mask.why) for mask in two.masks] == [("b", "replaced")]
    with pytest.raises(Rejected, match="SAMPLE_UNKNOWN"):
        replaced(one, [batch("c", mark="2")], deadline=SOON)


def test_regrouping_takes_what_counts_and_nothing_else() -> None:
    one = withdrawn(first(batch("a", "b"), batch("c", mark="2"), batch("d", mark="3")), ["b"], deadline=SOON)
    ids = [held.id for held in one.batches[:2]]
    two = regrouped(one, gone=ids, batch=batch("a", "c", mark="4"), operation="compact")
    assert two.samples == ("a", "c", "d") and two.masks == () and len(two.batches) == 2
    for wrong in (batch("a", "b", "c", mark="4"), batch("a", mark="4"), None):
        with pytest.raises(ValueError, match="samples that count"):
            regrouped(one, gone=ids, batch=wrong, operation="compact")


def test_a_batch_without_a_sample_that_counts_goes() -> None:
    one = withdrawn(first(batch("a"), batch("b", mark="2")), ["a"], deadline=SOON)
    two = regrouped(one, gone=[one.batches[0].id], batch=None, operation="rewrite")
    assert [held.names for held in two.batches] == [("b",)]


def test_small_batches_are_chosen_up_to_the_limit() -> None:
    one = first(batch("a", "b", "c"), batch("d", mark="2"), batch("e", "f", mark="3"))
    assert set(small(one, limit=3)) == {one.batches[1].id, one.batches[2].id}
    assert small(one, limit=2) == ()
    assert len(small(one, limit=6)) == 3


def test_a_generation_reads_back_and_its_name_is_its_content() -> None:
    one = withdrawn(first(batch("a", "b")), ["a"], deadline=SOON)
    assert parsed(one.canonical(), sha256=one.id, where="here") == one
    with pytest.raises(Rejected, match="CONTENT_CHANGED"):
        parsed(one.canonical().replace(b"withdraw", b"withdrew"), sha256=one.id, where="here")


def test_a_generation_of_another_schema_version_is_refused() -> None:
    one = first(batch("a"))
    newer = Generation.model_construct(**{**dict(one), "schema_version": 7})
    with pytest.raises(Rejected, match=r"SCHEMA_VERSION.*version 7"):
        parsed(newer.canonical(), sha256=newer.id, where="here")


def test_facts_come_from_the_manifest_alone() -> None:
    facts = facts_of(withdrawn(first(batch("a", "b"), batch("c", mark="2")), ["a"], deadline=SOON))
    assert (facts.samples, facts.masked, facts.bases) == (2, 1, 6000)
    # two batches of two shards of two files
    assert (facts.size, facts.block_rows, facts.variant_rows) == (8000, 200, 200)
    assert [(held.samples, held.masked) for held in facts.batches] == [(2, 1), (1, 0)]
    assert facts.ratio(80_000) == 0.1
    assert facts.bytes_per_sample_megabase == pytest.approx(8000 * 1e6 / (3 * 6000))
