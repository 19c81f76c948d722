"""One server of the stack as its parent sees it: a supervised process with a log, and a port that stays its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from chassis.errors import ToolFailed

LOOPBACK = "127.0.0.1"
POLL_S = 0.03  # between two looks at a server that starts
LOG_TAIL_LINES = 15
LOG_KEPT_BYTES = 16 << 20  # a larger log of an earlier run makes room: one older generation is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to run one server. `user` is (uid, gid) when it must not run as the stack's own user."""

    name: str
    argv: tuple[str, ...]
    log: Path
    folder: Path
    environment: Mapping[str, str]
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0
    user: tuple[int, int] | None = None
    hold: int | None = None
    """A descriptor (the state folder's lock) that stays open until the server has ended, whoever else has."""


class ServerProcess:
    """A server under `supervise.py`. Not for use by two threads at once."""

    def __init__(self, *, launch: Launch) -> None:
        self.launch = launch
        self.pid: int | None = None
        self._supervisor: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._supervisor is not None and self._supervisor.poll() is None

    def start_and_wait(self, probe: Callable[[], bool], *, within_s: float) -> None:
        """`start`, then `wait_ready`; after an error it does not run."""
        self.start()
        try:
            self.wait_ready(probe, within_s=within_s)
        except BaseException:
            self.kill()
            raise

    def start(self) -> None:
        """Run it. Says nothing of readiness; see `wait_ready`."""
        if self.running:
            raise RuntimeError(f"{self.launch.name} is running already")
        self.stop()  # one that ended by itself still has its pipes open
        _make_room(self.launch.log)
        command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("supervise.py"))]
        command += ["--parent", str(os.getpid()), "--stop-signal", str(int(self.launch.stop_signal))]
        command += ["--grace", str(self.launch.grace_s)]
        if self.launch.user is not None:
            command += ["--user", "{}:{}".format(*self.launch.user)]
        if self.launch.hold is not None:
            command += ["--hold", str(self.launch.hold)]
        with self.launch.log.open("ab") as log:
            self._supervisor = subprocess.Popen(
                [*command, "--", *self.launch.argv],
                bufsize=0,  # an order that cannot be delivered must not be delivered later, at the closing
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=self.launch.folder,
                env=dict(self.launch.environment),
                start_new_session=True,
                pass_fds=() if self.launch.hold is None else (self.launch.hold,),
            )
        assert self._supervisor.stdout is not None
        said = self._supervisor.stdout.readline().split()
        if len(said) != 2:
            raise self.failure()
        self.pid = int(said[1])

    def wait_ready(self, probe: Callable[[], bool], *, within_s: float) -> None:
        """Ask until the server answers. Raises ToolFailed, with the end of its log, when it ends or the time does."""
        deadline = time.monotonic() + within_s
        while True:
            if not self.running:
                raise self.failure()
            if probe():
                return
            if time.monotonic() > deadline:
                raise ToolFailed(
                    tool=self.launch.name, status=f"no answer within {within_s:.0f} s", said=self._log_tail()
                )
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End it kindly; returns when it and its children are gone. Nothing happens when it is not running."""
        self._end(None)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL); returns when it and its children are gone."""
        self._end(b"k")

    def suspend(self) -> None:
        """SIGSTOP: it holds its connections and answers nobody."""
        self._order(b"z")

    def resume(self) -> None:
        self._order(b"c")

    def failure(self) -> ToolFailed:
        """Why it is not running, as an error."""
        status = self._supervisor.wait(self.launch.grace_s) if self._supervisor else "never started"
        return ToolFailed(tool=self.launch.name, status=status, said=self._log_tail())

    def _end(self, order: bytes | None) -> None:
        supervisor = self._supervisor
        if supervisor is None or supervisor.stdin is None or supervisor.stdout is None:
            return
        try:
            if order is not None:
                self._order(order)
            else:
                supervisor.stdin.close()
            # the supervisor itself kills after the grace; past this it is stuck, and its end kills the server
            supervisor.wait(self.launch.grace_s + 10)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
        finally:
            supervisor.stdin.close()
            supervisor.stdout.close()
            self._supervisor, self.pid = None, None

    def _order(self, order: bytes) -> None:
        if self._supervisor is None or self._supervisor.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError):  # it has ended by itself, which is as good
            self._supervisor.stdin.write(order)

    def _log_tail(self) -> str:
        if not self.launch.log.exists():
            return "no log"
        lines = self.launch.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join([f"the end of {self.launch.log}:", *lines])


class HeldPort:
    """A loopback port that belongs to one server while the stack runs, also while that server is down.

    The socket is bound and never listens: with SO_REUSEADDR on both sides the server may bind and listen beside it, and
    no one who asks the kernel for a free port gets this one.
    """

    def __init__(self, *, preferred: int | None = None) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((LOOPBACK, preferred or 0))
        except OSError:
            # someone else took the port of the last run; clients learn the new one from the endpoints
            self._socket.bind((LOOPBACK, 0))
        self.number: int = self._socket.getsockname()[1]

    def listening(self) -> bool:
        """Does someone accept connections on it?"""
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
            caller.settimeout(1.0)
            return caller.connect_ex((LOOPBACK, self.number)) == 0

    def release(self) -> None:
        self._socket.close()


def ask(question: Callable[[], Coroutine[None, None, bool]]) -> bool:
    """Put one asynchronous question from synchronous code, also when the caller's thread runs an event loop."""
    with ThreadPoolExecutor(1, thread_name_prefix="stack-ask") as thread:
        return thread.submit(lambda: asyncio.run(question())).result()


def plain_environment(**more: str) -> dict[str, str]:
    """What a server sees: nothing of PGHOST, JAVA_TOOL_OPTIONS or AWS_PROFILE, which a person's shell may hold."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", **kept, **more}


def _make_room(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_KEPT_BYTES:
        log.replace(log.with_name(log.name + ".1"))
