"""Two versions of a service beside each other: events and tasks that one knows and the other does not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import NewTask
from chassis.messaging.common import with_common
from chassis.messaging.receive import replay
from chassis.service import Service, build
from contracts.envelope import decode, encode
from contracts.events import BY_TYPE, SampleTagRequested
from contracts.generate import schemas
from deploy.embedded.stack import Endpoints
from tests.conftest import until
from tests.faults.conftest import Settled
from tests.faults.signs import done
from tests.support import tiny
from tests.support.consuming import consuming, fresh_name, relaying
from tests.support.messages import delivery_of, tag
from tests.support.site import Site, sample_key, task_row
from tests.support.working import enqueue, worker_of

TOPIC = SampleTagRequested.TYPE
RELEASES = schemas.released()
NEXT = "tests.support.tiny:build_next"


def tiny_of(site: Site) -> Service:
    return replace(with_common(build(tiny.BUILDER, site.settings)), name=fresh_name())


async def test_fault_24_an_event_of_a_future_version_is_kept_and_replayed_after_the_upgrade(
    site: Site, ledger: Ledger, endpoints: Endpoints, settled: Settled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what comes behind it on its partition is not held up."""
    service, sample, behind = tiny_of(site), sample_key(), sample_key()
    event = delivery_of(tag(sample))
    headers = dict(event.headers)
    future = headers | {"ce_type": headers["ce_type"].replace(b".v1", b".v2")}
    async with (
        consuming(service, ledger, endpoints.kafka_bootstrap) as offsets,
        relaying(ledger, endpoints.kafka_bootstrap),
        worker_of(site, ledger),
    ):
        await site.publish_raw(TOPIC, event.body, list(future.items()))
        await site.publish(tag(behind))
        await until(lambda: offsets.caught_up((TOPIC,)))
        await settled(f"steps:{behind}")
        (item,) = await _held(ledger)
        assert (item["code"], item["state"]) == ("EVENT_VERSION", "held")

        with monkeypatch.context() as upgrade:
            upgrade.setattr(SampleTagRequested, "MAJOR", 2)
            await replay(ledger, service.subscriptions, item["id"], actor="ada", reason="upgraded")
        await settled(f"steps:{behind}", f"steps:{sample}")
    assert [row["state"] for row in await _held(ledger)] == ["replayed"]


async def test_fault_39_workers_of_two_versions_each_take_what_they_know(
    site: Site, ledger: Ledger, announced: None, settled: Settled
) -> None:
    """The new kind waits while only the old version works, at nobody's cost."""
    known = [tiny.steps_task(sample_key(), chunks=1) for _ in range(2)]
    new = _leaping(sample_key())
    await enqueue(ledger, new, known[0])
    async with worker_of(site, ledger, host="old"):
        await until(lambda: done(ledger, known[0].key))
        row = await task_row(ledger, new.key)
        assert (row["state"], row["epoch"]) == ("ready", 0)

        async with worker_of(site, ledger, builder=NEXT, host="new"):
            await enqueue(ledger, known[1])
            await settled(new.key, *(task.key for task in known))
    row = await task_row(ledger, new.key)
    assert (row["host"], row["epoch"], row["losses"]) == ("new", 1, 0)


async def test_fault_39_an_event_with_fields_of_the_next_version_is_handled(
    site: Site, ledger: Ledger, endpoints: Endpoints, settled: Settled
) -> None:
    service, sample = tiny_of(site), sample_key()
    event = delivery_of(tag(sample))
    body = json.dumps(json.loads(event.body) | {"colour": "blue", "nested": {"of": ["the", "next"]}}).encode()
    async with (
        consuming(service, ledger, endpoints.kafka_bootstrap),
        relaying(ledger, endpoints.kafka_bootstrap),
        worker_of(site, ledger),
    ):
        await site.publish_raw(TOPIC, body, [*event.headers, ("ce_next", b"1")])
        await settled(f"steps:{sample}")
    assert await _held(ledger) == []


@pytest.mark.parametrize("release", sorted(RELEASES))
def test_fault_39_this_version_and_every_release_read_each_other(release: int) -> None:
    """An event of today, and of tomorrow with more fields, is valid by the released schema; one of that release, with
    only the fields that it knew, is read by today's model."""
    for type_, schema in RELEASES[release].items():
        today = schemas.example(type_)
        tomorrow = today | {"not_yet_known": {"a": 1}}
        of_release = {name: value for name, value in today.items() if name in schema["properties"]}
        event = BY_TYPE[type_].model_validate(today)
        headers = encode(event, source="/cohortstream/test", time=datetime.now(UTC)).headers
        for document in (today, tomorrow, of_release):
            jsonschema.Draft202012Validator(schema).validate(document)
            read = decode(headers, json.dumps(document).encode())[1]
            assert read == event or document is of_release


def _leaping(sample: str) -> NewTask:
    return replace(tiny.steps_task(sample, chunks=1), key=f"leaps:{sample}", kind="leaps")


async def _held(ledger: Ledger) -> list[Any]:
    async with ledger.connection() as conn:
        return list(await conn.fetch("select * from quarantine order by id"))
