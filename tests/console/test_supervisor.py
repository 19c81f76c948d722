"""The supervisor on real processes: a crashed one starts again, a refused one does not, none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from console import supervisor
from console.supervisor import Planned, Services, Vigil, default_plan, service_environment

DEADLINE_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Script(Planned):
    """A process that runs a few lines of Python instead of a service."""

    lines: str = ""

    def argv(self, settings_path: Path) -> tuple[str, ...]:
        return (sys.executable, "-I", "-S", "-c", self.lines, str(settings_path))


def script(lines: str, *, service: str = "align") -> Script:
    return Script(service=service, role="work", lines=lines)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come to be within {DEADLINE_S} s"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Callable[..., Services]]:
    made: list[Services] = []

    def start(*plan: Planned, vigil: Vigil | None = None) -> Services:
        services = Services(tmp_path / "runtime.toml", plan, logs=tmp_path / "logs", vigil=vigil)
        services.start()
        made.append(services)
        return services

    yield start
    for services in made:
        services.stop(grace_s=2)


def test_a_crashed_process_is_started_again(keep: Callable[..., Services], tmp_path: Path) -> None:
    services = keep(script(f"open({str(tmp_path / 'starts')!r}, 'a').write('x'); raise SystemExit(1)"))
    wait_for(lambda: services.health()[0].restarts >= 2, "a second restart")
    assert services.health()[0].last_status == 1
    assert len((tmp_path / "starts").read_text(encoding="ascii")) >= 2
    assert services.ailing() or services.health()[0].state == "running"


def test_a_killed_process_is_started_again_with_a_new_pid(keep: Callable[..., Services]) -> None:
    services = keep(script("import signal; signal.pause()"))
    first = services.health()[0].pid
    assert first is not None
    os.killpg(first, signal.SIGKILL)
    wait_for(lambda: services.health()[0].restarts == 1 and services.health()[0].state == "running", "the restart")
    assert services.health()[0].pid != first


def test_a_process_that_refuses_its_configuration_is_left_alone(keep: Callable[..., Services]) -> None:
    services = keep(script("import sys; print('CONFIG_VALUE: no', file=sys.stderr); raise SystemExit(3)"))
    wait_for(lambda: services.health()[0].state == "refused", "the refusal")
    assert services.health()[0].restarts == 0
    assert [health.last_words() for health in services.ailing()] == ["CONFIG_VALUE: no"]


def test_stop_ends_a_process_kindly_and_one_that_will_not_hear_at_the_graces_end(
    keep: Callable[..., Services], tmp_path: Path
) -> None:
    kind = tmp_path / "ended-kindly"
    listening = (tmp_path / "kind-listens", tmp_path / "deaf-listens")
    services = keep(
        script(
            "import pathlib, signal\n"
            f"def end(*_):\n    pathlib.Path({str(kind)!r}).touch(); raise SystemExit(0)\n"
            f"signal.signal(signal.SIGTERM, end)\npathlib.Path({str(listening[0])!r}).touch()\n"
            "while True: signal.pause()"
        ),
        script(
            "import pathlib, signal\nsignal.signal(signal.SIGTERM, lambda *_: None)\n"
            f"pathlib.Path({str(listening[1])!r}).touch()\nwhile True: signal.pause()",
            service="vqsr",
        ),
    )
    wait_for(lambda: all(path.exists() for path in listening), "both processes' start")
    old = time.time() + 1.2  # a process in its first second is killed, as it has done nothing yet
    wait_for(lambda: time.time() > old, "the first second's end")
    pids = [health.pid for health in services.health()]
    services.stop(grace_s=1)
    assert kind.exists()
    assert [health.state for health in services.health()] == ["stopped", "stopped"]
    assert not any(alive(pid) for pid in pids if pid is not None)


def test_nothing_outlives_a_parent_killed_with_9(tmp_path: Path) -> None:
    """Given a parent that keeps a process which has a child of its own, when the parent is killed, both end."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], cwd=Path(__file__).parents[2])
    try:
        pids = tmp_path / "pids"
        wait_for(lambda: pids.exists() and len(pids.read_text(encoding="ascii").split()) == 2, "the process's start")
        kept = [int(pid) for pid in pids.read_text(encoding="ascii").split()]
        assert all(alive(pid) for pid in kept)
        parent.kill()
        parent.wait()
        wait_for(lambda: not any(alive(pid) for pid in kept), "the end of what the parent kept")
    finally:
        parent.kill()
        parent.wait()


PARENT = """
import sys
from pathlib import Path
from console.supervisor import Services
from tests.console.test_supervisor import script

folder = Path(sys.argv[1])
lines = f'''
import os, signal
child = os.fork()
if child:
    with open({str(folder / "pids")!r}, "w") as out:
        out.write(f"{{os.getpid()}} {{child}}")
signal.pause()
'''
services = Services(folder / "runtime.toml", [script(lines)], logs=folder / "logs")
services.start()
import signal
signal.pause()
"""


REPORTING = """
import asyncio, signal, sys
from pathlib import Path
signal.signal(signal.SIGTERM, signal.SIG_DFL)
from chassis.health.process import STARTING, attended
from chassis.settings import HealthSettings

async def main():
    settings = HealthSettings(beat_seconds=0.1)
    async with attended(service="align", role="work", state_dir=Path(sys.argv[2]), settings=settings) as pulse:
        pulse.over(STARTING)
        if Path(sys.argv[2], "deadlocked").exists():
            Path(sys.argv[2], "deadlocked").unlink()
            pulse.expect("slot 0", within_s=0.3)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporting(Planned):
    """A process that says how it is, as a service's do; one in whose folder lies `deadlocked` has a loop that hangs."""

    folder: Path

    def argv(self, settings_path: Path) -> tuple[str, ...]:
        return (sys.executable, "-c", REPORTING, str(settings_path), str(self.folder))


@pytest.fixture
def in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr(supervisor, "VIGIL_S", 0.05)


def reporting(folder: Path) -> Reporting:
    return Reporting(service="align", role="work", folder=folder)


def test_a_process_that_is_stopped_is_killed_and_started_again(
    keep: Callable[..., Services], tmp_path: Path, in_the_root: None
) -> None:
    services = keep(reporting(tmp_path), vigil=Vigil(folder=tmp_path / "health", silent_s=1.5, restart_s=0.5))
    wait_for(lambda: services.health()[0].word == "well", "the first report")
    group = services.health()[0].pid
    assert group is not None
    os.killpg(group, signal.SIGSTOP)
    wait_for(lambda: services.health()[0].word == "hung", "its silence to be noticed")
    assert services.health()[0].why_not.startswith("silent for ")
    wait_for(lambda: services.health()[0].restarts == 1 and services.health()[0].word == "well", "the restart")
    found = services.health()[0]
    assert (found.hangs, found.live, found.ready) == (1, True, True)
    assert found.pid != group
    assert not alive(group)


def test_a_process_with_a_loop_that_hangs_is_killed_and_started_again(
    keep: Callable[..., Services], tmp_path: Path, in_the_root: None
) -> None:
    (tmp_path / "deadlocked").touch()
    services = keep(reporting(tmp_path), vigil=Vigil(folder=tmp_path / "health", silent_s=20, restart_s=0.2))
    wait_for(lambda: services.health()[0].hangs == 1, "the kill")
    wait_for(lambda: services.health()[0].restarts == 1 and services.health()[0].word == "well", "the restart")


def test_each_hang_of_an_hour_is_borne_for_longer() -> None:
    vigil = Vigil(folder=Path(), silent_s=20, restart_s=60)
    assert [vigil.patience_s(hangs) for hangs in (0, 1, 2, 10)] == [60, 120, 240, 900]
    assert Vigil(folder=Path(), silent_s=20, restart_s=3600).patience_s(3) == 3600


def test_a_process_that_never_says_how_it_is_is_young_for_a_while_and_then_hung(
    keep: Callable[..., Services], tmp_path: Path, in_the_root: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = keep(
        script("import signal; signal.pause()"), vigil=Vigil(folder=tmp_path / "health", silent_s=1, restart_s=0.1)
    )
    wait_for(lambda: services.health()[0].why_not == "it starts", "the first look")
    assert (services.health()[0].live, services.health()[0].word) == (True, "not ready")
    monkeypatch.setattr(supervisor, "START_S", 0.0)
    wait_for(lambda: services.health()[0].restarts >= 1, "the restart")


def test_a_process_gets_its_settings_from_its_file_alone() -> None:
    environment = service_environment(
        {"PATH": "/bin", "COHORTSTREAM_STATE_DIR": "/elsewhere", "COHORTSTREAM_JAVA": "/opt/java"}
    )
    assert environment["COHORTSTREAM_JAVA"] == "/opt/java"
    assert "COHORTSTREAM_STATE_DIR" not in environment


@pytest.mark.parametrize(("cores", "memory_mb", "slots"), [(2, 16_000, 2), (8, 16_000, 3), (64, 2_000, 1)])
def test_a_plan_has_no_more_slots_than_cores_and_memory_allow(
    cores: int, memory_mb: int, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.supervisor.installed", lambda: ("align", "archive"))
    plan = default_plan(cores=cores, memory_mb=memory_mb, slot_mb=4096)
    assert {planned.name: planned.slots for planned in plan if planned.role == "work"} == {
        "align work": slots,
        "archive work": 1,
    }
    assert [planned.name for planned in plan if planned.role == "consume"] == ["align consume", "archive consume"]
