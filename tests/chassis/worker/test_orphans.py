"""The sweep of what attempts left behind."""

from __future__ import annotations

from datetime import timedelta

from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import Lease, NewTask
from chassis.storage import keys, open_store
from chassis.storage.store import Store, tags_of
from chassis.worker.sweeper import sweep_orphans
from tests.support.site import Site
from tests.support.working import enqueue

NOT_YOUNG = timedelta(seconds=-5)


async def claim(ledger: Ledger) -> Lease:
    async with ledger.connection() as conn:
        (lease,) = await queue.claim(
            conn, pools=("default",), memory_classes=("small",), owner="w", host="h", ttl=timedelta(minutes=1)
        )
    return lease


async def put(store: Store, lease: Lease, name: str) -> str:
    prefix = keys.attempt(service="tiny", task_key=lease.key, incarnation=lease.incarnation, epoch=lease.epoch)
    stored = await store.put_bytes(
        prefix.key(name), name.encode(), tags=tags_of(kind="log", stage="tiny", subject="smp_x")
    )
    return stored.uri


async def keys_in(store: Store) -> set[str]:
    return {facts.key async for facts in store.list("")}


async def test_only_what_nothing_names_is_removed(site: Site, ledger: Ledger) -> None:
    async with open_store(site.settings.store) as store:
        await enqueue(ledger, NewTask(key="a/task", kind="steps", subject="s"))
        first = await claim(ledger)
        chunk = await put(store, first, "chunk-0")
        orphan = await put(store, first, "half-a-chunk")
        async with ledger.connection() as conn:
            await queue.checkpoint(conn, first, chunk="chunk-0", value={"uri": chunk})
        async with ledger.transaction() as tx:
            await queue.release(tx, first)
        second = await claim(ledger)
        live = await put(store, second, "chunk-1")
        foreign = (
            await store.put_bytes("released/c/1/panel", b"p", tags=tags_of(kind="vcf", stage="x", subject="c"))
        ).uri
        forgotten = await put(store, Lease(**{**_fields(second), "key": "of-no-task"}), "x")

        assert await sweep_orphans(ledger, store, older_than=timedelta(hours=1)) == []
        removed = await sweep_orphans(ledger, store, older_than=NOT_YOUNG)
        assert set(removed) == {store.key_of(orphan), store.key_of(forgotten)}

        unnamed = await put(store, second, "listed-in-a-manifest")
        async with ledger.transaction() as tx:
            await queue.finish(tx, second, result={"chunk": live})
        assert await sweep_orphans(ledger, store, older_than=NOT_YOUNG) == []
        assert await keys_in(store) == {store.key_of(uri) for uri in (chunk, live, foreign, unnamed)}


async def test_a_zombies_late_output_goes(site: Site, ledger: Ledger) -> None:
    """Fault 7: it lies under its own epoch, where nobody looks."""
    async with open_store(site.settings.store) as store:
        await enqueue(ledger, NewTask(key="t", kind="steps", subject="s"))
        zombie = await claim(ledger)
        async with ledger.transaction() as tx:
            await queue.release(tx, zombie)
        heir = await claim(ledger)
        result = await put(store, heir, "out")
        async with ledger.transaction() as tx:
            await queue.finish(tx, heir, result={"out": result})
        late = await put(store, zombie, "out")

        assert await sweep_orphans(ledger, store, older_than=NOT_YOUNG) == [store.key_of(late)]
        assert await keys_in(store) == {store.key_of(result)}


def _fields(lease: Lease) -> dict[str, object]:
    return {name: getattr(lease, name) for name in Lease.__dataclass_fields__}
