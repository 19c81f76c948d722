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

MANY = 3_000
"""Spans that a task makes at once: more than what waits for a backend at most, and each would wait two seconds for it
if the work did."""


@pytest.mark.parametrize("backend", ["silent", "gone"])
async def test_fault_40_a_backend_that_is_away_slows_no_work(
    backend: str, site: Site, ledger: Ledger, announced: None, settled: Settled
) -> None:
    task = tiny.steps_task(sample_key(), chunks=1, spans=MANY)
    with receiver(silent=True) as away:
        site.otlp_endpoint = away.endpoint if backend == "silent" else "http://127.0.0.1:1"
        await enqueue(ledger, task)
        worker = await site.start("work", tiny.BUILDER)
        await settled(task.key)
        if backend == "silent":
            await until(lambda: _called(away))
        await worker.stop()
        assert worker.process.returncode == 0, "it ended when told, although its spans went nowhere"
    waiting = (await task_row(ledger, task.key))["result"]["waiting_spans"]
    assert 0 < waiting <= 2048, "what waits for the backend is bounded"
    assert {span.name for span in read_spans(site.folder)} >= {"tiny steps", "tiny chunk"}


async def _called(away: Receiver) -> bool:
    return away.calls > 0
