"""The operators' page has probes and metrics beside it where a port for them is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider

from chassis.health.report import FOLDER, reports
from chassis.settings import Settings, load
from chassis.telemetry import instruments
from chassis.telemetry.scrape import Scrape
from console.commands import page
from tests.chassis.health.test_endpoint import ask, get, page_of


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """In place of the page and of this process's own telemetry: what its probes and metrics say while it is served."""
    said: list[Any] = []

    @contextmanager
    def telemetry(*, scraped: bool, **_: Any) -> Iterator[Scrape]:
        assert scraped
        scrape = Scrape()
        meter = MeterProvider(metric_readers=[scrape.reader]).get_meter("test")
        monkeypatch.setattr(instruments, "meter", lambda: meter)
        yield scrape

    async def serve(settings: Settings) -> None:
        for report in reports(settings.state_dir / FOLDER):
            assert report.address is not None
            said.append((await ask(report.address, get("/ready")))[0])
            said.append((await page_of(report.address, get("/metrics")))[1])

    monkeypatch.setattr("chassis.telemetry.setup.telemetry", telemetry)
    monkeypatch.setattr("console.page.app.serve", serve)
    return said


async def test_the_page_is_asked_and_measured_as_other_processes_are(tmp_path: Path, no_page: list[Any]) -> None:
    where = {"COHORTSTREAM_STATE_DIR": str(tmp_path)}
    await page._serve(load(None, environ=where))
    assert no_page == []
    await page._serve(load(None, environ=where | {"COHORTSTREAM_HEALTH__PORT": "0"}))
    status, metrics = no_page
    assert status == 200
    assert 'cohortstream_process_live{role="page",service="console"} 1.0' in metrics
