"""Faults of the object store, between a worker's child and a real store: what networks and busy stores do, and what a
policy refuses."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import web

from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import NewTask
from chassis.storage import open_store
from chassis.storage.store import Store, tags_of
from contracts.values import ArtifactKind
from tests.chassis.storage.shim import Fault, Rule, Shim, shim_before
from tests.conftest import until
from tests.faults.conftest import Settled
from tests.faults.signs import done_soon, in_state
from tests.support import tiny
from tests.support.site import Site, sample_key, task_row
from tests.support.working import enqueue, worker_of

OF_TASKS = "/working/tiny/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A site whose store is S3, reached through a shim; `plain` reaches it without."""

    site: Site
    shim: Shim
    plain: Store

    def strike(self, fault: Fault, *, times: int, method: str = "PUT", of: str = OF_TASKS) -> None:
        """The first so many of these requests that are about a task's objects meet the fault."""
        self.shim.rule = only(fault, times=times, method=method, of=of)

    def asked(self, method: str) -> int:
        """Requests of the tasks' objects."""
        return sum(1 for path in self.shim.paths if path[0] == method and OF_TASKS in path[1])


def only(fault: Fault, *, times: int, method: str, of: str) -> Rule:
    left = times

    def rule(request: web.Request) -> Fault | None:
        nonlocal left
        if left and request.method == method and of in request.path:
            left -= 1
            return fault
        return None

    return rule


@pytest.fixture
async def remote(site: Site, announced: None) -> AsyncIterator[Remote]:
    at = site.endpoints
    assert at.s3_endpoint is not None
    async with shim_before(at.s3_endpoint) as shim:
        section: dict[str, str | float] = {
            "base": f"s3://{at.bucket}/{secrets.token_hex(6)}",
            "endpoint": shim.url,
            "access_key": at.s3_access_key,
            "secret_key": at.s3_secret_key,
            "patience_seconds": 1.0,
        }
        plainly = site.beside("plain", store=section | {"endpoint": at.s3_endpoint})
        site.store = section
        async with open_store(plainly.settings.store) as plain:
            yield Remote(site=site, shim=shim, plain=plain)


def body_of(task: NewTask) -> bytes:
    """What tiny writes as its only chunk."""
    return f"{task.subject} chunk-0\n".encode()


async def test_fault_26_a_busy_store_is_asked_again(remote: Remote, ledger: Ledger, settled: Settled) -> None:
    """500 and 503 in turn, for some of the requests; what it costs is time."""
    task = tiny.steps_task(sample_key(), chunks=1)
    busy, internal = (only(fault, times=2, method="PUT", of=OF_TASKS) for fault in (Fault.busy, Fault.internal))
    remote.shim.rule = lambda request: busy(request) or internal(request)
    await enqueue(ledger, task)
    async with worker_of(remote.site, ledger):
        await settled(task.key)
    assert (await task_row(ledger, task.key))["epoch"] == 1
    assert remote.asked("PUT") == 5


async def test_fault_27_a_store_that_goes_silent_meets_a_deadline(
    remote: Remote, ledger: Ledger, settled: Settled
) -> None:
    task = tiny.steps_task(sample_key(), chunks=1)
    remote.strike(Fault.silent, times=1)
    await enqueue(ledger, task)
    async with worker_of(remote.site, ledger):
        await settled(task.key)
    row = await task_row(ledger, task.key)
    assert (row["epoch"], row["retries"]) == (1, 0)
    assert remote.asked("PUT") == 2
    assert (row["finished_at"] - row["started_at"]).total_seconds() > 1.0, "one patience long"


async def test_fault_28_a_download_that_is_cut_goes_on_where_it_was(
    remote: Remote, ledger: Ledger, settled: Settled
) -> None:
    content = b"".join(hashlib.sha256(bytes([number])).digest() * (1 << 14) for number in range(6))
    tags = tags_of(kind="log", stage="test", subject="test")
    artifact = (await remote.plain.put_bytes("released/reads", content, tags=tags)).artifact(ArtifactKind.log)
    task = tiny.steps_task(sample_key(), chunks=0, fetch=artifact.model_dump(mode="json"))
    remote.strike(Fault.cut, times=2, method="GET", of="/released/reads")
    await enqueue(ledger, task)
    async with worker_of(remote.site, ledger):
        await settled(task.key)
    row = await task_row(ledger, task.key)
    assert row["epoch"] == 1
    assert await remote.plain.get_bytes(row["result"]["uris"]["fetched"], limit=len(content)) == content
    asked = [part for method, path, part in remote.shim.paths if method == "GET" and path.endswith("/released/reads")]
    offsets = [int(str(each).removeprefix("bytes=").rstrip("-")) for each in asked[1:]]
    assert asked[0] is None
    assert len(offsets) == 2 and 0 < offsets[0] < offsets[1] < len(content)


@pytest.mark.parametrize("fault", [Fault.flipped, Fault.short])
async def test_fault_29_an_upload_that_is_damaged_is_never_committed(
    fault: Fault, remote: Remote, ledger: Ledger, settled: Settled
) -> None:
    task = tiny.steps_task(sample_key(), chunks=1)
    remote.strike(fault, times=1)
    await enqueue(ledger, task)
    async with worker_of(remote.site, ledger):
        await until(lambda: done_soon(ledger, task.key))
    await settled(task.key)
    row = await task_row(ledger, task.key)
    assert (row["epoch"], row["retries"], row["crashes"]) == (2, 1, 0)
    (uri,) = row["result"]["uris"].values()
    assert uri.split("/")[-2] == "1-2"
    assert [facts.uri async for facts in remote.plain.list("working/tiny")] == [uri], "the damaged one is gone"
    assert await remote.plain.get_bytes(uri, limit=100) == body_of(task)


async def test_fault_30_an_answer_lost_after_the_store_committed_is_success(
    remote: Remote, ledger: Ledger, settled: Settled
) -> None:
    """Of a plain upload, and of a manifest that is written once: its second try finds its own content."""
    task = tiny.steps_task(sample_key(), chunks=1, manifest=True)
    chunk, manifest = (only(Fault.lost, times=1, method="PUT", of=name) for name in ("/chunk-0", "/manifest"))
    remote.shim.rule = lambda request: chunk(request) or manifest(request)
    await enqueue(ledger, task)
    async with worker_of(remote.site, ledger):
        await settled(task.key)
    row = await task_row(ledger, task.key)
    assert (row["epoch"], row["retries"], row["crashes"]) == (1, 0, 0)
    assert remote.asked("PUT") == 4
    assert await remote.plain.get_bytes(row["result"]["uris"]["chunk-0"], limit=100) == body_of(task)
    assert await remote.plain.head(row["result"]["uris"]["manifest"]) is not None


async def test_fault_38_a_missing_grant_ends_the_task_at_once_and_is_named(
    remote: Remote, ledger: Ledger, settled: Settled
) -> None:
    """Asked once, not again and again; given the grant, the revived task is done."""
    task = tiny.steps_task(sample_key(), chunks=1)
    remote.strike(Fault.denied, times=100)
    await enqueue(ledger, task)
    async with worker_of(remote.site, ledger):
        await until(lambda: in_state(ledger, task.key, "failed"))
        row = await task_row(ledger, task.key)
        assert (row["error"]["code"], row["epoch"]) == ("ACCESS_DENIED", 1)
        assert "s3:PutObject" in row["error"]["fix"]
        assert remote.asked("PUT") == 1

        remote.shim.rule = lambda request: None
        async with ledger.transaction() as tx:
            await queue.revive_subject(tx, task.subject)
        await settled(task.key)


async def test_fault_38_a_wrong_key_ends_the_worker_and_costs_the_task_nothing(
    remote: Remote, ledger: Ledger, settled: Settled
) -> None:
    """The store itself refuses it. The task waits for a worker with the right one."""
    task = tiny.steps_task(sample_key(), chunks=1)
    await enqueue(ledger, task)
    wrong = remote.site.beside("wrong", store=remote.site.store | {"access_key": "AKIA" + "A" * 16})
    worker = await wrong.start("work", tiny.BUILDER)
    assert await worker.ended() != 0

    said = worker.log.read_text(encoding="utf-8")
    assert "ACCESS_DENIED" in said and "InvalidAccessKeyId" in said and "renew the store's keys" in said
    row = await task_row(ledger, task.key)
    assert (row["state"], row["crashes"], row["losses"], row["preemptions"]) == ("ready", 0, 0, 1)
    assert len(remote.shim.paths) <= 2, "no hot loop"
    async with worker_of(remote.site, ledger):
        await settled(task.key)
