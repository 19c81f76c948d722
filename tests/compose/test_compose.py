"""The system in containers: the demo's panel is the embedded demo's, with a worker and the broker killed on the way."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.compose.conftest import ROOT, Stack
from tests.support.panels import differences

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1800)]

PEOPLE = "3"
PATIENCE_S = 900.0


@pytest.fixture(scope="session")
def panels(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders of two demos with the same people: in the containers, while they are struck, and embedded."""
    folder = tmp_path_factory.mktemp("demos")
    composed, embedded = folder / "compose", folder / "embedded"
    demo = stack.demo("--people", PEOPLE, "--keep", str(composed))
    with ThreadPoolExecutor(max_workers=1) as beside:
        striking = beside.submit(_strike, stack, demo)
        said, complained = demo.communicate(timeout=PATIENCE_S)
        assert striking.result(60) is None
    assert demo.returncode == 0, complained[-3000:]
    (folder / "compose.json").write_text(said, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "console.app", "demo", "--people", PEOPLE, "--keep", str(embedded), "--json"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=PATIENCE_S,
    )
    return composed, embedded


def _strike(stack: Stack, demo: subprocess.Popen[str]) -> None:
    """Kill a worker that holds a lease, then the broker: no goodbye, as a spot machine goes."""
    _until(lambda: demo.poll() is not None or _leases(stack, "align") > 0)
    worker, *_ = stack.ids("align-work")
    stack.docker("kill", worker)
    stack.docker("start", worker)
    _until(lambda: demo.poll() is not None or _leases(stack, "jointcall") > 0)
    [broker] = stack.ids("kafka")
    stack.docker("kill", broker)
    stack.docker("start", broker)


def _leases(stack: Stack, service: str) -> int:
    query = f"select count(*) from {service}.task where state = 'leased'"
    argv = ("psql", "-U", "cohortstream_admin", "-d", "cohortstream", "-h", "/var/run/postgresql", "-Atc", query)
    return int(stack.compose("exec", "-T", "postgres", *argv).strip())


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_the_panels_are_the_embedded_demos(panels: tuple[Path, Path]) -> None:
    composed, embedded = panels
    for number in (1, 2):
        assert list((composed / f"panel-{number}").rglob("*.vcf.gz"))
        assert differences(composed / f"panel-{number}", embedded / f"panel-{number}") == []


def test_what_was_killed_shows_in_the_figures(stack: Stack, panels: tuple[Path, Path]) -> None:
    document = json.loads(panels[0].with_suffix(".json").read_text(encoding="utf-8"))
    assert document["services"]["align"]["attempts"].get("loss", 0) >= 1
    assert document["quarantined"] == 0


def test_every_process_is_live_ready_and_scraped(stack: Stack, panels: tuple[Path, Path]) -> None:
    running = [one for one in stack.containers() if one["State"] == "running"]
    assert {one["Health"] for one in running if "-consume" in one["Service"] or "-work" in one["Service"]} == {
        "healthy"
    }

    def all_up() -> bool:
        said = _get(stack.port("PROMETHEUS_PORT"), "/api/v1/query?query=up")
        found = [(one["metric"]["job"], one["value"][1]) for one in json.loads(said)["data"]["result"]]
        return len(found) >= 14 and all(value == "1" for _, value in found)

    _until(all_up)


def test_nothing_is_published_beyond_loopback(stack: Stack) -> None:
    published = [port for one in stack.containers() for port in one["Publishers"] if port["PublishedPort"]]
    assert len(published) == 6
    assert {port["URL"] for port in published} == {"127.0.0.1"}


def test_our_containers_have_no_rights_to_lose(stack: Stack) -> None:
    """Not root, no capability, nothing to write to but volumes; and no secret in an environment or a log."""
    ours = [
        identifier for one in stack.containers() if _ours(one["Service"]) for identifier in stack.ids(one["Service"])
    ]
    assert len(ours) >= 14
    for one in json.loads(stack.docker("inspect", *ours)):
        assert one["Config"]["User"] == "10001:10001", one["Name"]
        assert one["HostConfig"]["ReadonlyRootfs"] and one["HostConfig"]["CapDrop"] == ["ALL"], one["Name"]
        assert "no-new-privileges:true" in one["HostConfig"]["SecurityOpt"], one["Name"]
    secrets = [path.read_text(encoding="utf-8").strip() for path in (stack.site / "secrets").iterdir()]
    assert len(secrets) > 20
    everything = stack.docker("inspect", *ours) + stack.compose("logs", "--no-color")
    assert not [secret for secret in secrets if secret in everything]


def test_a_worker_that_is_told_to_stop_does(stack: Stack, panels: tuple[Path, Path]) -> None:
    [worker] = stack.ids("vqsr-work")
    started = time.monotonic()
    stack.docker("stop", "--time", "60", worker)
    [said] = json.loads(stack.docker("inspect", worker))
    assert said["State"]["ExitCode"] == 0
    assert time.monotonic() - started < 30
    stack.compose("start", "vqsr-work")


def test_people_reach_it_by_command_and_by_page(stack: Stack, panels: tuple[Path, Path]) -> None:
    assert json.loads(stack.command("status", "--json"))["subjects"]
    inside = stack.compose("exec", "-T", "console", "cohortstream", "cohort", "list", "--json")
    assert [one["cohort"] for one in json.loads(inside)] == ["demo"]
    assert "demo:2" in _get(stack.port("PAGE_PORT"), "/cohorts")


def test_a_second_demo_is_refused_in_words(stack: Stack, panels: tuple[Path, Path], tmp_path: Path) -> None:
    demo = stack.demo("--people", PEOPLE, "--keep", str(tmp_path / "again"))
    _, complained = demo.communicate(timeout=120)
    assert demo.returncode == 3 and "DEMO_DONE" in complained


def _ours(service: str) -> bool:
    return service == "console" or service.endswith(("-consume", "-work"))


def _get(port: int, path: str) -> str:
    caller = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        caller.request("GET", path)
        answer = caller.getresponse()
        said = answer.read().decode()
        assert answer.status == 200, said[:500]
        return said
    finally:
        caller.close()
