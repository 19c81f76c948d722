"""The telemetry's backend is away: the work does not notice."""

from __future__ import annotations

import pytest

from chassis.ledger.ledger import Ledger
from chassis.telemetry.spans import read_spans
from tests.conftest import until
from tests.faults.conftest import Settled
from tests.support import tiny
from tests.support.otlp import Receiver, receiver
from tests.support.site import Site, sample_key, task_row
from tests.support.working import enqueue

MANY = 6_000
"""Spans that a task makes at once: several times what waits for a backend at most."""


@pytest.mark.parametrize("backend", ["silent", "gone"])
async def test_fault_40_a_backend_that_is_away_slows_no_work(
    backend: str, site: Site, ledger: Ledger, announced: None, settled: Settled
) -> None:
    tasks = [tiny.steps_task(sample_key(), chunks=1, spans=MANY) for _ in range(2)]
    with receiver(silent=True) as away:
        site.otlp_endpoint = away.endpoint if backend == "silent" else "http://127.0.0.1:1"
        await enqueue(ledger, *tasks)
        worker = await site.start("work", tiny.BUILDER)
        await settled(*(task.key for task in tasks))
        if backend == "silent":
            await until(lambda: _called(away))
        await worker.stop()
        assert worker.process.returncode == 0, "it ended when told, although its spans went nowhere"
    for task in tasks:
        row = await task_row(ledger, task.key)
        assert (row["finished_at"] - row["started_at"]).total_seconds() < 10
        assert row["result"]["waiting_spans"] <= 2048, "what waits for the backend is bounded"
    assert {span.name for span in read_spans(site.folder)} >= {"tiny steps", "tiny chunk"}


async def _called(away: Receiver) -> bool:
    return away.calls > 0
