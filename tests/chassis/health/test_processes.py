"""Liveness and readiness of real `consume` and `work` processes, by their reports and by HTTP."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chassis.health.report import FOLDER, Report, reports
from tests.chassis.health.test_endpoint import ask, get, page_of
from tests.conftest import until
from tests.support import tiny
from tests.support.proxy import proxy_of, proxy_to
from tests.support.site import Process, Site

pytestmark = pytest.mark.stack

SILENT_S = 1.5


def quick(site: Site) -> Site:
    """The site with a fast pulse and HTTP probes on free ports."""
    with site.config.open("a", encoding="utf-8") as config:
        config.write(f"[health]\nbeat_seconds = 0.1\nsilent_seconds = {SILENT_S}\nport = 0\n")
    return site


def report_of(site: Site, process: Process) -> Report | None:
    found = [one for one in reports(site.folder / FOLDER) if one.identity.pid == process.pid]
    return found[0] if found else None


async def comes(site: Site, process: Process, condition: Callable[[Report], bool]) -> Report:
    """Wait until the process says so of itself."""

    async def said() -> bool:
        assert process.process.returncode is None, process.log.read_text(encoding="utf-8")[-2000:]
        found = report_of(site, process)
        return found is not None and condition(found)

    await until(said, seconds=60)
    found = report_of(site, process)
    assert found is not None
    return found


def ready(one: Report) -> bool:
    return one.ready and one.live_within(SILENT_S)


async def metrics_of(address: str) -> dict[str, dict[tuple[str, str], float]]:
    """Name -> (service, another label or nothing) -> value."""
    _, page = await page_of(address, get("/metrics"))
    found: dict[str, dict[tuple[str, str], float]] = {}
    for family in text_string_to_metric_families(page):
        for one in family.samples:
            other = next((value for name, value in sorted(one.labels.items()) if name != "service"), "")
            found.setdefault(one.name, {})[one.labels.get("service", ""), other] = one.value
    return found


def unready(*needs: str) -> Callable[[Report], bool]:
    """Live, and short of exactly these."""

    def short(one: Report) -> bool:
        wrong = {check["name"] for check in one.checks if not check["well"]}
        return one.live_within(SILENT_S) and not one.ready and wrong == set(needs)

    return short


async def test_processes_become_ready_and_one_that_is_stopped_is_not_live(site: Site, tiny_begins_now: None) -> None:
    quick(site)
    consume = await site.start("consume", tiny.BUILDER)
    await comes(site, consume, ready)
    work = await site.start("work", tiny.BUILDER, slots=2)
    said = await comes(site, work, ready)
    assert {check["name"] for check in said.checks} >= {"slot 0", "slot 1", "sweeper", "ledger", "store"}
    assert said.address is not None
    assert urlsplit(said.address).hostname == "127.0.0.1"
    status, vitals = await ask(said.address, get("/ready"))
    assert (status, vitals["ready"]) == (200, True)
    own = await metrics_of(said.address)
    assert own["cohortstream_worker_slots"] == {("tiny", "default"): 2}
    assert own["cohortstream_process_ready"] == {("tiny", "work"): 1}
    assert len(own["cohortstream_build_info"]) == len(own["process_start_time_seconds"]) == 1

    for path in (site.folder / FOLDER).glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert (path.parent.stat().st_mode & 0o777, urlsplit(site.database).netloc in text) == (0o700, False)
        assert str(site.folder) not in text, "neither addresses nor folders are for a probe to know"

    work.signal(signal.SIGSTOP)
    await comes(site, work, lambda one: not one.live_within(SILENT_S))
    await comes(site, consume, ready)
    work.signal(signal.SIGCONT)
    await comes(site, work, ready)
    address = (await comes(site, consume, ready)).address
    assert address is not None

    async def measured() -> bool:
        return {"cohortstream_tasks", "cohortstream_outbox_backlog", "cohortstream_consumer_lag"} <= set(
            await metrics_of(address)
        )

    await until(measured)
    assert set((await metrics_of(address))["cohortstream_consumer_lag"].values()) == {0}
    await work.stop()
    assert report_of(site, work) is None
    assert not list((site.folder / FOLDER).glob("tiny-work-*"))


@asynccontextmanager
async def ledger_behind_proxy(site: Site) -> AsyncIterator[Any]:
    async with proxy_of(site.database) as (proxy, dsn):
        site.database = dsn
        yield proxy


async def test_without_a_ledger_processes_live_and_are_not_ready(site: Site, tiny_begins_now: None) -> None:
    async with ledger_behind_proxy(site) as proxy:
        quick(site)
        consume = await site.start("consume", tiny.BUILDER)
        await comes(site, consume, ready)
        work = await site.start("work", tiny.BUILDER)
        await comes(site, work, ready)
        proxy.cut()
        for process in (consume, work):
            said = await comes(site, process, unready("ledger"))
            assert said.why_not(SILENT_S).startswith("ledger: does not answer (")
            assert said.address is not None
            assert [(await ask(said.address, get(path)))[0] for path in ("/live", "/ready")] == [200, 503]
        proxy.mend()
        await comes(site, consume, ready)
        await comes(site, work, ready)


async def test_without_kafka_a_consumer_lives_gauges_its_outbox_and_is_ready_when_kafka_comes(
    site: Site, tiny_begins_now: None
) -> None:
    port = int(site.endpoints.kafka_bootstrap.rpartition(":")[2])
    async with proxy_to(port) as proxy:
        proxy.cut()
        site.endpoints = replace(site.endpoints, kafka_bootstrap=f"127.0.0.1:{proxy.port}")
        quick(site)
        consume = await site.start("consume", tiny.BUILDER)
        said = await comes(site, consume, lambda one: unready("Kafka")(one) and "cannot be" in one.why_not(SILENT_S))
        assert said.why_not(SILENT_S) == "Kafka: cannot be reached (KafkaConnectionError)"
        assert {"relay", "sweeper", "watchdog"} <= {check["name"] for check in said.checks}
        proxy.mend()
        await comes(site, consume, ready)
