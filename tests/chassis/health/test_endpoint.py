"""The HTTP probes, over real connections."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client.parser import text_string_to_metric_families as parsed

from chassis.health import endpoint
from chassis.health.endpoint import serving
from chassis.health.pulse import Pulse
from chassis.telemetry.exposed import Counted, Histogram
from chassis.telemetry.scrape import Scrape


async def ask(address: str, request: bytes) -> tuple[int, Any]:
    """Status and document; (0, None) where the answer is none."""
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    try:
        async with asyncio.timeout(5):
            said = await reader.read()
    finally:
        writer.close()
    head, _, body = said.partition(b"\r\n\r\n")
    return (int(head.split()[1]), json.loads(body) if body else None) if head else (0, None)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: pod\r\nUser-Agent: kube-probe/1.30\r\n\r\n".encode()


async def test_probes_tell_live_from_ready_and_say_why() -> None:
    pulse = Pulse()
    needs: list[str | None] = ["does not answer"]
    pulse.require("ledger", lambda: needs[-1])
    async with serving(pulse.vitals, bind="127.0.0.1", port=0) as address:
        status, said = await ask(address, get("/live"))
        assert (status, said["live"]) == (200, True)
        status, said = await ask(address, get("/ready?verbose=1"))
        assert (status, said["checks"][0]["why"]) == (503, "does not answer")
        needs.append(None)
        assert (await ask(address, get("/ready")))[0] == 200
        pulse.expect("relay", within_s=-1)
        assert [(await ask(address, get(path)))[0] for path in ("/live", "/ready")] == [503, 503]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /live/../ready HTTP/1.1\r\n\r\n", 404),
        (b"POST /live HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", 405),
        (b"HEAD /live HTTP/1.0\r\n\r\n", 200),
        (b"nonsense\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /live HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 400),
    ],
)
async def test_what_is_no_probe_is_refused(request_line: bytes, status: int) -> None:
    async with serving(Pulse().vitals, bind="127.0.0.1", port=0) as address:
        try:
            answered, _ = await ask(address, request_line)
        except ConnectionResetError:
            answered = 400  # the rest of what was too long was not read
        assert answered == status
        assert (await ask(address, get("/live")))[0] == 200


async def test_a_client_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PATIENCE_S", 0.05)
    async with serving(Pulse().vitals, bind="127.0.0.1", port=0) as address:
        assert await ask(address, b"GET /live HT") == (0, None)


async def test_metrics_are_there_in_prometheus_form_where_they_are_shown() -> None:
    scrape = Scrape()
    meter = MeterProvider(metric_readers=[scrape.reader]).get_meter("test")
    meter.create_counter("cohortstream.tries", unit="s", description="how often").add(3, {"service": "align"})
    scrape.add(
        lambda: [
            Histogram(
                name="cohortstream_took_seconds",
                description="how long",
                bounds=(0.5, 10.0),
                labels=("kind",),
                series=[Counted(labels={"kind": "call"}, buckets=(1, 0, 2), total=77.0)],
            )
        ]
    )
    async with serving(Pulse().vitals, bind="127.0.0.1", port=0, metrics=scrape.page) as address:
        head, page = await page_of(address, get("/metrics"))
        assert "\r\nContent-Type: text/plain; version=" in head
        assert (await page_of(address, b"HEAD /metrics HTTP/1.1\r\n\r\n"))[1] == ""
        assert (await ask(address, get("/live")))[0] == 200
    found = {(one.name, one.labels.get("le")): one for family in parsed(page) for one in family.samples}
    assert found["cohortstream_tries_seconds_total", None].value == 3
    assert found["cohortstream_tries_seconds_total", None].labels == {"service": "align"}  # and no scope of a library
    buckets = [found["cohortstream_took_seconds_bucket", bound].value for bound in ("0.5", "10", "+Inf")]
    assert buckets == [1, 1, 3]
    assert found["cohortstream_took_seconds_sum", None].value == 77
    assert found["process_start_time_seconds", None].value > 0


async def test_without_metrics_there_is_no_such_page() -> None:
    async with serving(Pulse().vitals, bind="127.0.0.1", port=0) as address:
        assert (await ask(address, get("/metrics")))[0] == 404


async def page_of(address: str, request: bytes) -> tuple[str, str]:
    parts = urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request)
    try:
        async with asyncio.timeout(5):
            head, _, page = (await reader.read()).decode().partition("\r\n\r\n")
    finally:
        writer.close()
    return head, page
