"""Rules cannot rot: what they ask for is what the code shows, and each alert has a next step and a runbook entry."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client.parser import text_string_to_metric_families

from chassis.cost.prices import load_prices
from chassis.health.census import Census
from chassis.settings import load
from chassis.telemetry import instruments
from chassis.telemetry.export import Dropped
from chassis.telemetry.scrape import Scrape
from console.supervisor import SERVICES
from services.archive import alerts
from services.archive.main import build
from tests.conftest import LedgerFor

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "observability" / "prometheus"
RUNBOOK = ROOT / "docs" / "operations.md"
PRICED = "insert into price values ('STANDARD', 0.023, 0)"
STORED = """
insert into artifact (id, uri, kind, size, stage, subject, rank, recorded_at, tier_since, since)
values (repeat('a', 64), 'file:///x', 'cram', 5, 'align', 'smp', 0, now(), now(), now())
"""
TASK = """
insert into task (key, slug, kind, subject, payload, pool, memory_class, state, ready_at, created_at, changed_at)
values ('k', 'k', 'verify', 'smp', '{}', 'default', 'small', 'ready', now(), now(), now())
"""
_WORDS = re.compile(r'"(?:[^"\\]|\\.)*"|\{\{.*?\}\}')
_GROUPING = re.compile(r"\b(?:by|on|ignoring|without)\s*\([^)]*\)")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_:]*")


def groups(name: str) -> list[dict[str, Any]]:
    found = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))["groups"]
    assert isinstance(found, list)
    return found


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for group in groups(name) for rule in group["rules"]]


ALERTS = rules("alerts.rules.yml")
RECORDED = {rule["record"] for rule in rules("recording.rules.yml")}


def asked_for(expression: str) -> set[str]:
    """Names of series in an expression: of ours, of the process's, recorded ones, `up`."""
    plain = _GROUPING.sub("", _WORDS.sub("", expression))
    outside = re.sub(r"\{[^}]*\}", "", plain)
    return {
        name
        for name in _NAME.findall(outside)
        if ":" in name or name.startswith(("cohortstream", "process_")) or name == "up"
    }


@pytest.fixture
async def shown(ledger_for: LedgerFor, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Names of a real page of metrics on which everything was touched once."""
    scrape = Scrape()
    meter = MeterProvider(metric_readers=[scrape.reader]).get_meter("test")
    for module in (instruments, alerts):
        monkeypatch.setattr(module, "meter", lambda: meter)
    own: dict[str, Any] = {"service": "archive"}
    instruments.process_well(**own, role="work", live=True, ready=True)
    instruments.build_info(**own, role="work", version="0")
    instruments.disk_room(**own, role="work", folders={"state": ROOT})
    instruments.slots(**own, pools="default", total=1, busy=0)
    instruments.consumer_lag(**own, lag={"run.completed": 0})
    instruments.received(**own, topic="run.completed", receipt="handled")
    instruments.outbox_backlog(**own, backlog=0, oldest=None, now=datetime.now(UTC))
    instruments.subjects_stuck(**own, stuck={("sample", "calling"): 1})
    alerts.refused("SOME_CODE", "why")
    Dropped("collector", meter).add(1, "full")
    service = build(load(None, environ={}))
    ledger = await ledger_for("archive", versions=service.migrations)
    async with ledger.connection() as conn:
        for statement in (PRICED, STORED, TASK):
            await conn.execute(statement)
    # an interval is no work of the archive's; its histogram is the same
    kinds = (*service.kinds, replace(service.kinds[0], name="interval", per="interval"))
    census = Census(service=replace(service, kinds=kinds), prices=load_prices(), meter=meter)
    scrape.add(census.histograms)
    await census.look(ledger)
    _, page = scrape.page()
    return {sample.name for family in text_string_to_metric_families(page.decode()) for sample in family.samples}


@pytest.mark.stack
async def test_rules_ask_for_what_the_code_shows(shown: set[str]) -> None:
    asked = set().union(
        *(asked_for(rule["expr"]) for name in ("alerts.rules.yml", "recording.rules.yml") for rule in rules(name))
    )
    assert {name for name in asked if ":" in name} <= RECORDED
    unknown = {name for name in asked if ":" not in name} - shown - {"up"}
    assert unknown == set()
    assert len(asked & shown) > 15, "the names are looked for in the right way"


@pytest.mark.stack
async def test_the_runbook_lists_every_metric_that_is_shown(shown: set[str]) -> None:
    listed = set(re.findall(r"`(cohortstream_[a-z_]+)", RUNBOOK.read_text(encoding="utf-8")))
    own = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown if name.startswith("cohortstream_")}
    assert own <= listed


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_each_alert_has_a_severity_a_next_command_and_a_runbook_entry(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"]["summary"]
    said = rule["annotations"]["description"]
    assert re.search(r"Next: (docker compose|cohortstream) ", said), said
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#alert-{name.lower()}"
    entry = re.search(rf"^### Alert: {name}\n(.*?)(?=^##|\Z)", RUNBOOK.read_text(encoding="utf-8"), re.M | re.S)
    assert entry is not None
    for part in ("Look:", "Do:", "May wait:"):
        assert part in entry[1], f"{name}: {part}"


def test_the_runbook_has_no_entry_for_an_alert_that_is_none() -> None:
    told = re.findall(r"^### Alert: (\w+)$", RUNBOOK.read_text(encoding="utf-8"), re.M)
    assert sorted(told) == sorted(rule["alert"] for rule in ALERTS)


def test_every_alert_is_tried_by_promtool() -> None:
    tried = "".join(path.read_text(encoding="utf-8") for path in sorted((FOLDER / "tests").glob("*.yml")))
    names = set(re.findall(r'alertname(?:: |=")(\w+)', tried))
    assert {rule["alert"] for rule in ALERTS} == names


def test_every_service_is_scraped_in_both_roles_and_missed_when_its_consumer_is_absent() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    names = set(config["scrape_configs"][0]["dns_sd_configs"][0]["names"])
    assert {f"{service}-{role}" for service in SERVICES for role in ("consume", "work")} | {"console"} <= names
    (absent,) = (rule["expr"] for rule in ALERTS if rule["alert"] == "ConsumerAbsent")
    assert set(re.findall(r'process="([a-z-]+)"', absent)) == {f"{service}-consume" for service in SERVICES}


def test_what_is_scraped_is_what_compose_runs() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose" / "compose.yaml").read_text(encoding="utf-8"))["services"]
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    (ours,) = (one for one in config["scrape_configs"] if one["job_name"] == "cohortstream")
    runs = {name for name in services if re.search(r"-(consume|work)(-|$)", name)} | ({"console"} & set(services))
    assert set(ours["dns_sd_configs"][0]["names"]) == runs
