"""The archive as it runs: `consume` and `work` as processes, Kafka before them, a folder as the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from chassis.ledger.ledger import Ledger
from chassis.storage import open_store
from chassis.storage.manifests import write_manifest
from contracts.values import ArtifactKind
from services.archive.main import build
from tests.conftest import until
from tests.services.archive.yard import cram_ready, frozen, lane, restore_requested, run_completed, sample
from tests.support import events
from tests.support.site import Site

pytestmark = pytest.mark.stack
BUILDER = "services.archive.main:build"


async def test_facts_become_a_plan_a_manifest_is_read_and_a_restore_is_answered(
    site: Site, ledger_for: Callable[..., Awaitable[Ledger]]
) -> None:
    with site.config.open("a", encoding="utf-8") as config:
        config.write("[archive]\nsweep_seconds = 0.2\n")
    ledger = await ledger_for("archive", versions=build(site.settings).migrations)
    async with open_store(site.settings.store) as store:
        gvcf = events.artifact(ArtifactKind.gvcf, "s.g.vcf.gz")
        members = await write_manifest(store, None, [{"gvcf": gvcf.model_dump(mode="json")}])
        intervals = await write_manifest(store, None, [])
        tags = {"kind": "cram", "stage": "align", "subject": sample().key, "retain": "policy"}
        cram = (await store.put_bytes("working/align/t/1-1/s.cram", b"cram", tags=tags)).artifact(ArtifactKind.cram)
        await store.put_bytes("working/align/t/1-1/left.bam", b"left", tags=tags)
    r1, r2 = (events.artifact(ArtifactKind.fastq, name) for name in ("r1", "r2"))
    await site.start("consume", BUILDER)
    await site.start("work", BUILDER)
    await site.publish(
        run_completed(sample(), lane(1, r1, r2)),
        cram_ready(sample(), cram),
        frozen(members, intervals),
        restore_requested(cram),
    )

    async def said(statement: str, *values: object) -> bool:
        async with ledger.connection() as conn:
            return bool(await conn.fetchval(statement, *values))

    kept = "select exists (select from status_plan where artifact = $1 and $2 = any(why_not))"
    why_not = "the file:// store has no storage classes, and [cold] names no place for copies"
    await until(lambda: said(kept, cram.id, why_not))
    await until(lambda: said("select exists (select from status_artifact where artifact = $1)", gvcf.id))
    await until(lambda: said("select exists (select from status_restore where state = 'readable')"))
    left = "select exists (select from status_inventory_object where uri like '%left.bam')"
    await until(lambda: said(left))
    assert await said("select count = 1 from status_artifact where artifact = $1", cram.id)
