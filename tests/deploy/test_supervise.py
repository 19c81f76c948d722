"""A supervised process ends when it is told to, when it will not, and when its parent is killed with -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from chassis.errors import ToolFailed
from deploy.embedded.process import HeldPort, Launch, ServerProcess, plain_environment

ROOT = Path(__file__).parents[2]
OBEDIENT = "import pathlib, signal; pathlib.Path('up').touch(); signal.pause()"
STUBBORN = (
    "import pathlib, signal; signal.signal(15, lambda *a: None); pathlib.Path('up').touch()\nwhile True: signal.pause()"
)
# its child leaves the process group and the session, as Postgres' backends do
WITH_CHILD = """
import os, pathlib, signal
if os.fork() == 0:
    os.setsid()
    signal.signal(15, signal.SIG_IGN)
    pathlib.Path('child.new').write_text(str(os.getpid()))
    pathlib.Path('child.new').rename('child')
    while True:
        signal.pause()
signal.pause()
"""


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    started: list[ServerProcess] = []

    def start(program: str, *, grace_s: float = 5.0) -> ServerProcess:
        launch = Launch(
            name="example",
            argv=(sys.executable, "-c", program),
            log=tmp_path / "example.log",
            folder=tmp_path,
            environment=plain_environment(),
            grace_s=grace_s,
        )
        server = ServerProcess(launch=launch)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()


def until(condition: Callable[[], object], *, within_s: float = 15.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def gone(process: psutil.Process) -> bool:
    """Ended; whether someone has collected its status yet is not ours to say."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_it_stops_when_told(serve: Callable[..., ServerProcess], tmp_path: Path) -> None:
    server = serve(OBEDIENT)
    server.wait_ready((tmp_path / "up").exists, within_s=15)
    pid = server.pid
    assert pid is not None and server.running
    server.stop()
    assert not server.running and not psutil.pid_exists(pid)


def test_it_is_killed_when_it_will_not_stop(serve: Callable[..., ServerProcess], tmp_path: Path) -> None:
    server = serve(STUBBORN, grace_s=0.3)
    server.wait_ready((tmp_path / "up").exists, within_s=15)
    pid, began = server.pid, time.monotonic()
    server.stop()
    assert pid is not None and not psutil.pid_exists(pid)
    assert time.monotonic() - began >= 0.3


def test_it_starts_again_after_a_kill(serve: Callable[..., ServerProcess], tmp_path: Path) -> None:
    server = serve(OBEDIENT)
    first = server.pid
    server.kill()
    server.start()
    assert server.running and server.pid != first


def test_its_child_goes_with_it_even_from_another_session(serve: Callable[..., ServerProcess], tmp_path: Path) -> None:
    server = serve(WITH_CHILD)
    server.wait_ready((tmp_path / "child").exists, within_s=15)
    child = int((tmp_path / "child").read_text())
    server.stop()
    assert not psutil.pid_exists(child)


def test_suspended_it_still_stops_kindly(serve: Callable[..., ServerProcess], tmp_path: Path) -> None:
    server = serve(OBEDIENT, grace_s=30)
    server.wait_ready((tmp_path / "up").exists, within_s=15)
    assert server.pid is not None
    process = psutil.Process(server.pid)
    server.suspend()
    until(lambda: process.status() == psutil.STATUS_STOPPED)
    server.resume()
    until(lambda: process.status() != psutil.STATUS_STOPPED)
    server.suspend()
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 20, "it must not have waited for the grace to end"


def test_an_early_end_is_told_with_the_end_of_its_log(serve: Callable[..., ServerProcess]) -> None:
    server = serve("import sys; sys.exit('the disk is on fire')")
    with pytest.raises(ToolFailed) as failed:
        server.wait_ready(lambda: False, within_s=15)
    assert failed.value.status == 1 and "the disk is on fire" in failed.value.said


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    launch = Launch(
        name="absent",
        argv=("/no/such/program",),
        log=tmp_path / "log",
        folder=tmp_path,
        environment=plain_environment(),
    )
    server = ServerProcess(launch=launch)
    server.start()
    with pytest.raises(ToolFailed, match="/no/such/program"):
        server.wait_ready(lambda: False, within_s=15)
    server.stop()


def test_a_server_that_never_answers_is_given_up(serve: Callable[..., ServerProcess]) -> None:
    server = serve(OBEDIENT)
    server.kill()
    with pytest.raises(ToolFailed, match="no answer"):
        server.start_and_wait(lambda: False, within_s=0.2)
    assert not server.running


def test_it_starts_again_after_it_ended_by_itself(serve: Callable[..., ServerProcess]) -> None:
    server = serve("pass")
    until(lambda: not server.running)
    server.start()
    assert server.pid is not None


@pytest.mark.parametrize("victim", ["parent", "supervisor"])
def test_kill_9_leaves_nothing_behind(tmp_path: Path, victim: str) -> None:
    program = f"""
        import sys
        from pathlib import Path
        from deploy.embedded.process import Launch, ServerProcess, plain_environment
        here = Path(sys.argv[1])
        server = ServerProcess(launch=Launch(
            name="example", argv=(sys.executable, "-c", {WITH_CHILD!r}), log=here / "log", folder=here,
            environment=plain_environment(), grace_s=1.0))
        server.start()
        server.wait_ready((here / "child").exists, within_s=15)
        print(server.pid, flush=True)
        sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        child = psutil.Process(int((tmp_path / "child").read_text()))
        supervisor = server.parent()
        assert supervisor is not None and supervisor.pid != parent.pid
        (parent if victim == "parent" else supervisor).send_signal(signal.SIGKILL)
        expected = [server, supervisor, child] if victim == "parent" else [server, supervisor]
        until(lambda: all(gone(process) for process in expected), within_s=20)
    finally:
        parent.kill()
        parent.communicate()
        if victim == "supervisor" and child.is_running():
            child.kill()  # what left the session of a killed supervisor is nobody's; see the module's own words


def test_a_held_port_is_not_given_out_and_can_be_listened_on() -> None:
    import socket

    held = HeldPort()
    try:
        assert not held.listening()
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", held.number))
            server.listen()
            assert held.listening()
            taken = HeldPort(preferred=held.number)
            assert taken.number != held.number
            taken.release()
        assert not held.listening()
    finally:
        held.release()
