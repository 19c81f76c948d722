"""The inventory: every byte in the store is named by an event or shown, with its price."""

from __future__ import annotations

import pytest

from contracts.values import ArtifactKind
from services.archive.inventory import Inventory, what
from services.archive.named import artifacts_in
from tests.services.archive.yard import Yard, journey
from tests.support import events

pytestmark = pytest.mark.stack


async def test_it_finds_what_no_event_names_and_prices_it(yard: Yard) -> None:
    told = await journey(yard)
    await yard.hear(*told.facts)
    await yard.work_only("enrol:")
    await yard.sweep()
    await yard.put(ArtifactKind.workspace, "working/jointcall/import-x/1-1/workspace.tar", b"w" * 1000, subject="c:1")
    await yard.put(ArtifactKind.fastq, "landing/run9/left.fastq.gz", b"left", subject="run9")
    await yard.put(ArtifactKind.reference, "reference/" + "0" * 32 + "/ref.fa", b"ACGT", subject="ref")
    inventory = Inventory(ledger=yard.ledger, store=yard.store, rules=yard.rules)
    await inventory.run()
    rows = await yard.rows("select what, kind, tier, objects, bytes from status_inventory order by what")
    assert rows == [
        {
            "what": "left by an attempt of jointcall",
            "kind": "workspace",
            "tier": "STANDARD",
            "objects": 1,
            "bytes": 1000,
        },
        {"what": "orphan in landing", "kind": "fastq", "tier": "STANDARD", "objects": 1, "bytes": 4},
        {"what": "reference bundle", "kind": "reference", "tier": "STANDARD", "objects": 1, "bytes": 4},
    ]
    [run] = await yard.rows("select number, objects, ended_at from status_inventory_run")
    assert run["objects"] == 11
    priced = await yard.rows("select monthly from status_inventory where kind = 'workspace'")
    assert priced[0]["monthly"] == pytest.approx(1000 / (1 << 30) * 0.023)

    await inventory.run()
    assert len(await yard.rows("select * from status_inventory_object")) == 3, "the last one alone is shown"


async def test_a_manifests_artifacts_are_recorded_wherever_they_stand_in_it(yard: Yard) -> None:
    told = await journey(yard)
    await yard.hear(told.facts[3], told.facts[4])
    await yard.work()
    kinds = await yard.rows("select kind, stage, subject from status_artifact order by kind, stage")
    assert [(row["kind"], row["stage"]) for row in kinds] == [
        ("gvcf", "jointcall"),
        ("manifest", "annotate"),
        ("manifest", "jointcall"),
        ("manifest", "jointcall"),
        ("report", "annotate"),
    ]
    await yard.hear(told.facts[2])
    assert (await yard.copy(told.gvcf))["stage"] == "align", "an event's own word counts more than a list's"
    assert (await yard.copy(told.gvcf))["subject"] == told.facts[2].subject


def test_artifacts_are_found_at_any_depth_and_once() -> None:
    one = events.artifact(ArtifactKind.vcf, "a").model_dump(mode="json")
    two = events.artifact(ArtifactKind.vcf_index, "b").model_dump(mode="json", exclude_none=True)
    found = artifacts_in([{"x": [{"vcf": one}, {"deeper": {"index": two}}]}, {"again": one}, {"kind": "no"}], where="m")
    assert [artifact.kind.value for artifact in found] == ["vcf", "vcf_index"]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("working/align/t/1-2/x.bam", "left by an attempt of align"),
        ("working/manifests/" + "0" * 64 + ".json", "manifest that no event names"),
        ("working/jointcall/columnar/of-1-2/c1_1_9/objects/aa/x.arrow", "columns that freezes of a cohort share"),
        ("released/c/1/x", "orphan in released"),
        ("something/else", "not written by this system"),
    ],
)
def test_unnamed_objects_are_told_apart(key: str, words: str) -> None:
    assert what(key) == words
