"""Prometheus' own tool on what Prometheus reads: configuration, rules, the rules' tests, and a page of metrics."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider

from chassis.telemetry import instruments
from chassis.telemetry.exposed import Counted, Histogram
from chassis.telemetry.scrape import Scrape

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "observability" / "prometheus"
WITHIN_S = 120.0


def image() -> str:
    """The one that compose runs."""
    lines = (ROOT / "deploy" / "compose" / ".env").read_text(encoding="utf-8").splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith("PROMETHEUS_IMAGE="))


def promtool(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    argv = ["docker", "run", "--rm", "-i", "--network", "none", "--entrypoint", "promtool"]
    argv += ["-v", f"{FOLDER}:/etc/prometheus:ro", image(), *words]
    return subprocess.run(argv, input=given, capture_output=True, text=True, timeout=WITHIN_S, check=False)


def test_the_configuration_and_its_rules_are_sound() -> None:
    ran = promtool("check", "config", "/etc/prometheus/prometheus.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("rules found") == 2


def test_the_rules_pass_their_tests() -> None:
    files = [f"/etc/prometheus/tests/{path.name}" for path in sorted((FOLDER / "tests").glob("*.yml"))]
    ran = promtool("test", "rules", *files)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("SUCCESS") == len(files) >= 3


def test_a_page_of_metrics_is_as_prometheus_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    scrape = Scrape()
    meter = MeterProvider(metric_readers=[scrape.reader]).get_meter("test")
    monkeypatch.setattr(instruments, "meter", lambda: meter)
    instruments.received(service="align", topic="run.completed", receipt="handled")
    instruments.disk_room(service="align", role="work", folders={"state": ROOT})
    series = [Counted(labels={"kind": "call"}, buckets=(1, 0, 2), total=77.0)]
    scrape.add(
        lambda: [
            Histogram(name="took_seconds", description="how long", bounds=(0.5, 10.0), labels=("kind",), series=series)
        ]
    )
    _, page = scrape.page()
    ran = promtool("check", "metrics", given=page.decode())
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    broken = promtool("check", "metrics", given=page.decode().replace("# TYPE took_seconds histogram", "# TYPE took"))
    assert broken.returncode != 0
