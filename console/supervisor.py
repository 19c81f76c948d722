"""Runs the services' processes of one machine: starts a crashed one again, and leaves none behind, however it ends."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from chassis.health.report import Report

SERVICES = ("ingest", "align", "jointcall", "vqsr", "annotate", "archive")
"""In the order of the flow."""
KEPT_VARIABLES = frozenset({"COHORTSTREAM_JAVA", "COHORTSTREAM_CACHE", "COHORTSTREAM_FAULT"})
"""All other settings reach a process through its configuration file: a shell's variables cannot split a site."""

FIRST_REST_S = 0.5
LONGEST_REST_S = 15.0
SETTLED_S = 60.0  # a process that ran for so long starts with a short rest again
YOUNG_S = 1.0  # before it listens for SIGTERM; it has done nothing yet, so that SIGKILL loses nothing
LOG_KEPT_BYTES = 32 << 20  # a larger log of an earlier start makes room: one older generation is kept
VIGIL_S = 1.0  # between two looks at what the processes say of themselves
START_S = 300.0  # from its start to its first report, imports on a busy machine included
STARTS = "it starts"
HANGS_KEPT_S = 3600.0
LONGEST_PATIENCE_S = 900.0
REFUSED = 3
"""Exit status of a process that refuses its configuration: starting it again would end the same way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One process to keep running. `builder` names the function that builds a service outside the six."""

    service: str
    role: Literal["consume", "work"]
    slots: int = 1
    pools: tuple[str, ...] = ()
    builder: str | None = None

    @property
    def name(self) -> str:
        return f"{self.service} {self.role}"

    def argv(self, settings_path: Path) -> tuple[str, ...]:
        # -P: a folder called `services` where the person happens to stand must not be imported
        start = (sys.executable, "-P") if self.builder is None else (sys.executable,)
        argv = [*start, "-m", "console.app", "--config", str(settings_path), self.role, self.builder or self.service]
        if self.role == "work":
            argv += ["--slots", str(self.slots)]
            for pool in self.pools:
                argv += ["--pool", pool]
        return tuple(argv)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vigil:
    """When a process that hangs is killed, to be started again: its report in `folder` is older than `silent_s`, or
    says that a loop of it stands still, and that for `restart_s`; for twice as long the second time within an hour, and
    so on."""

    folder: Path
    silent_s: float
    restart_s: float

    def patience_s(self, hangs: int) -> float:
        return max(self.restart_s, min(LONGEST_PATIENCE_S, self.restart_s * 2.0**hangs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How one process is. `since` is when this state began, on the clock of time.time(); `live` and `ready` are what it
    says of itself, `why_not` why it is not; `hangs` is how often it was killed for that."""

    name: str
    service: str
    role: str
    state: Literal["running", "resting", "refused", "stopped"]
    since: float
    restarts: int
    pid: int | None
    last_status: int | None
    log: Path
    live: bool = True
    ready: bool = True
    why_not: str = ""
    hangs: int = 0

    @property
    def well(self) -> bool:
        return self.state == "running" and self.live and self.ready

    @property
    def word(self) -> str:
        """Its state in a word or two."""
        if self.well:
            return "well"
        if self.state != "running":
            return self.state
        return "not ready" if self.live else "hung"

    def last_words(self, lines: int = 3) -> str:
        return last_lines(self.log, lines)


def default_plan(*, cores: int | None = None, memory_mb: int | None = None, slot_mb: int = 4096) -> tuple[Planned, ...]:
    """A consumer and a worker for each service that is installed; as many slots as cores and memory allow.

    `slot_mb` is what a slot may use (settings worker.memory_mb). Services of few and light tasks get one slot.
    """
    cores = cores or os.cpu_count() or 1
    memory_mb = memory_mb or _memory_mb()
    most = max(1, min(cores, memory_mb // max(slot_mb, 1)))
    slots = {"align": most, "jointcall": most, "annotate": max(1, most // 2), "vqsr": max(1, most // 2)}
    there = installed()
    consumers = tuple(Planned(service=name, role="consume") for name in there)
    return consumers + tuple(Planned(service=name, role="work", slots=slots.get(name, 1)) for name in there)


def installed() -> tuple[str, ...]:
    """The services that this installation holds."""
    return tuple(name for name in SERVICES if _has_main(name))


class Services:
    """The processes of a plan. `start` returns at once; a thread per process waits for its end and starts it again."""

    def __init__(self, settings_path: Path, plan: Sequence[Planned], *, logs: Path, vigil: Vigil | None = None) -> None:
        self._kept = tuple(_Kept(planned, settings_path, logs, watched=vigil is not None) for planned in plan)
        self._vigil = vigil
        self._watching: threading.Thread | None = None
        self._over = threading.Event()

    def start(self) -> None:
        for kept in self._kept:
            kept.start()
        if self._vigil is not None:
            self._watching = threading.Thread(target=self._watch, args=(self._vigil,), name="vigil", daemon=True)
            self._watching.start()

    def stop(self, *, grace_s: float = 30.0) -> None:
        """Ask all to end (workers release what they hold), then make sure. May be called twice."""
        self._over.set()
        for kept in self._kept:
            kept.leave()
        deadline = time.monotonic() + grace_s
        for kept in self._kept:
            kept.end(deadline)

    def health(self) -> tuple[Health, ...]:
        return tuple(kept.health() for kept in self._kept)

    def ailing(self) -> tuple[Health, ...]:
        """Processes that refuse to start or crash again and again."""
        return tuple(h for h in self.health() if h.state == "refused" or (h.state == "resting" and h.restarts >= 2))

    def _watch(self, vigil: Vigil) -> None:
        from chassis.health.report import reports

        while not self._over.wait(VIGIL_S):
            said = {report.identity.group: report for report in reports(vigil.folder)}
            for kept in self._kept:
                kept.judge(said, vigil)


class _Kept:
    """One process under `chassis/worker/shim.py`: the end of our pipe kills its whole group, also after kill -9."""

    def __init__(self, planned: Planned, settings_path: Path, logs: Path, *, watched: bool) -> None:
        self._planned = planned
        self._watched = watched
        self._settings_path = settings_path
        self._log = logs / f"{planned.name.replace(' ', '-')}.log"
        self._leaving = threading.Event()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: int | None = None
        self._started = 0.0
        self._state: Literal["running", "resting", "refused", "stopped"] = "stopped"
        self._since = time.time()
        self._restarts = 0
        self._failures: deque[float] = deque(maxlen=16)
        self._last_status: int | None = None
        self._hung_since: float | None = None
        self._hangs: list[float] = []
        self._ready = True
        self._why_not = ""
        self._lock = threading.Lock()

    def start(self) -> None:
        if self._thread is not None:
            raise RuntimeError(f"{self._planned.name} is kept running already")
        self._leaving.clear()
        self._spawn()
        self._thread = threading.Thread(target=self._keep, name=f"keep-{self._planned.name}", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Tell the process to end; the thread will not start it again."""
        with self._lock:
            self._leaving.set()
            young = time.monotonic() - self._started < YOUNG_S
            self._signal(signal.SIGKILL if young else signal.SIGTERM)

    def end(self, deadline: float) -> None:
        if self._thread is None:
            return
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self._signal(signal.SIGKILL)
            self._thread.join()
        self._thread = None

    def health(self) -> Health:
        process = self._process
        return Health(
            name=self._planned.name,
            service=self._planned.service,
            role=self._planned.role,
            state=self._state,
            since=self._since,
            restarts=self._restarts,
            pid=process.pid if process is not None else None,
            last_status=self._last_status,
            log=self._log,
            live=self._hung_since is None,
            ready=self._ready,
            why_not=self._why_not,
            hangs=len(self._hangs),
        )

    def judge(self, said: Mapping[int, Report], vigil: Vigil) -> None:
        """Kill the process when it has not been live for too long, by our own clock: a machine that slept has not."""
        process, now = self._process, time.monotonic()
        if process is None or self._state != "running":
            return self._hear(live=True, ready=True, why_not="")
        report = said.get(process.pid)
        if report is None:
            young = now - self._started < START_S
            self._hear(live=young, ready=False, why_not=STARTS if young else "it has never said how it is")
        else:
            live = report.live_within(vigil.silent_s)
            self._hear(live=live, ready=live and report.ready, why_not=report.why_not(vigil.silent_s))
        recent = [when for when in self._hangs if now - when < HANGS_KEPT_S]
        if self._hung_since is None or now - self._hung_since < vigil.patience_s(len(recent)):
            return
        with self._lock:
            if not self._leaving.is_set() and self._process is process:
                self._hangs.append(now)
                self._hung_since = None
                self._signal(signal.SIGKILL)

    def _hear(self, *, live: bool, ready: bool, why_not: str) -> None:
        self._hung_since = None if live else (self._hung_since or time.monotonic())
        self._ready, self._why_not = ready, why_not

    def _keep(self) -> None:
        while True:
            assert self._process is not None
            self._last_status = self._process.wait()
            ran = time.monotonic() - self._started
            self._close()
            if self._leaving.is_set():
                return self._enter("stopped")
            if self._last_status == REFUSED:
                return self._enter("refused")
            if ran > SETTLED_S:
                self._failures.clear()
            self._failures.append(ran)
            self._enter("resting")
            if self._leaving.wait(min(LONGEST_REST_S, FIRST_REST_S * 2.0 ** (len(self._failures) - 1))):
                return self._enter("stopped")
            with self._lock:
                if self._leaving.is_set():
                    return self._enter("stopped")
                self._restarts += 1
                self._spawn()

    def _spawn(self) -> None:
        from chassis.worker.host import SHIM

        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._log.exists() and self._log.stat().st_size > LOG_KEPT_BYTES:
            self._log.replace(self._log.with_name(self._log.name + ".1"))
        read, self._pipe = os.pipe()
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(SHIM), str(read), *self._planned.argv(self._settings_path)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=service_environment(os.environ),
                    start_new_session=True,  # a Ctrl-C in the terminal is for us: we end them in order
                    pass_fds=(read,),
                )
        except BaseException:
            os.close(self._pipe)
            self._pipe = None
            raise
        finally:
            os.close(read)
        self._started = time.monotonic()
        self._hear(live=True, ready=not self._watched, why_not=STARTS if self._watched else "")
        self._enter("running")

    def _enter(self, state: Literal["running", "resting", "refused", "stopped"]) -> None:
        self._state, self._since = state, time.time()

    def _signal(self, number: signal.Signals) -> None:
        """To the group: the shim ignores SIGTERM, the process in it does not, a worker's children have own groups."""
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _close(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
        self._pipe, self._process = None, None


def service_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """A process's environment without our settings, which come through its configuration file."""
    kept = {n: v for n, v in environ.items() if not n.startswith("COHORTSTREAM_") or n in KEPT_VARIABLES}
    kept["PYTHONUNBUFFERED"] = "1"
    return kept


def last_lines(log: Path, lines: int) -> str:
    try:
        with log.open("rb") as kept:
            kept.seek(max(0, log.stat().st_size - 8192))
            return "\n".join(kept.read().decode("utf-8", errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _has_main(service: str) -> bool:
    try:
        return importlib.util.find_spec(f"services.{service}.main") is not None
    except ModuleNotFoundError:
        return False


def _memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
