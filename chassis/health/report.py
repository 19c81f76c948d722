"""The file in which a process says how it is: `<state>/health/<service>-<role>-<host>-<pid>.json`.

A supervisor, `cohortstream health` and an exec probe read it. It is written by the process's own event loop, so that
its age is the first thing that it says.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.health.pulse import Vitals

FOLDER = "health"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One process. `group` is its process group, by which a supervisor knows what it started; `started` is the kernel's
    count of ticks at its start, which tells it from a later process with the same id (None where /proc is not)."""

    service: str
    role: str
    host: str
    pid: int
    group: int
    started: int | None

    @property
    def file_name(self) -> str:
        host = re.sub(r"[^A-Za-z0-9.-]", "_", self.host)
        return f"{self.service}-{self.role}-{host}-{self.pid}.json"

    @property
    def gone(self) -> bool:
        """True when it has surely ended; another host's processes cannot be asked."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return self.started is not None and _started(self.pid) != self.started


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a process said of itself, `age_s` seconds ago."""

    identity: Identity
    age_s: float
    live: bool
    ready: bool
    checks: tuple[dict[str, Any], ...]
    since: float
    """When the process started, on the clock of time.time()."""
    address: str | None
    """Where its HTTP probes answer, if it has any."""

    def live_within(self, silent_s: float) -> bool:
        return self.live and self.age_s <= silent_s

    def why_not(self, silent_s: float) -> str:
        """Why it is not live or not ready; nothing when it is both."""
        if self.age_s > silent_s:
            return f"silent for {self.age_s:.0f} s: its event loop does not turn"
        wrong = [one for one in self.checks if not one["well"]]
        return "; ".join(f"{one['name']}: {one.get('why') or 'not well'}" for one in wrong)

    def as_dict(self, silent_s: float) -> dict[str, Any]:
        live = self.live_within(silent_s)
        return {
            "service": self.identity.service,
            "role": self.identity.role,
            "host": self.identity.host,
            "pid": self.identity.pid,
            "live": live,
            "ready": live and self.ready,
            "silent_s": round(self.age_s, 1),
            "since": self.since,
            "address": self.address,
            "why_not": self.why_not(silent_s),
            "checks": list(self.checks),
        }


def identity(*, service: str, role: str) -> Identity:
    """This process."""
    pid = os.getpid()
    return Identity(
        service=service,
        role=role,
        host=socket.gethostname(),
        pid=pid,
        group=os.getpgrp(),
        started=_started(pid),
    )


def write(folder: Path, who: Identity, vitals: Vitals, *, since: float, address: str | None) -> None:
    """Say how this process is. On a full disk at least the file's date says that it lives."""
    path = folder / who.file_name
    said = {
        "service": who.service,
        "role": who.role,
        "host": who.host,
        "pid": who.pid,
        "group": who.group,
        "started": who.started,
        "since": since,
        "address": address,
        **vitals.as_dict(),
    }
    fresh = path.with_suffix(".new")
    try:
        fresh.write_text(json.dumps(said) + "\n", encoding="utf-8")
        fresh.replace(path)
    except OSError:
        os.utime(path)


def forget(folder: Path, who: Identity) -> None:
    (folder / who.file_name).unlink(missing_ok=True)


def reports(folder: Path, *, service: str = "*", role: str = "*", now: float | None = None) -> list[Report]:
    """What all processes of this state folder say, those that have ended left out. Never raises for a file that goes
    or is no report."""
    return [found for _, found in _read(folder, service, role, now or time.time()) if not found.identity.gone]


def tidy(folder: Path) -> None:
    """Remove what processes left behind that were killed."""
    for path, found in _read(folder, "*", "*", time.time()):
        if found.identity.gone:
            path.unlink(missing_ok=True)


def _read(folder: Path, service: str, role: str, now: float) -> Iterator[tuple[Path, Report]]:
    for path in sorted(folder.glob(f"{service}-{role}-*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            written = path.stat().st_mtime
            yield path, _report(json.loads(path.read_text(encoding="utf-8")), max(0.0, now - written))


def _report(said: dict[str, Any], age: float) -> Report:
    who = {name: said[name] for name in ("service", "role", "host", "pid", "group", "started")}
    return Report(
        identity=Identity(**who),
        age_s=age,
        live=bool(said["live"]),
        ready=bool(said["ready"]),
        checks=tuple(said["checks"]),
        since=float(said["since"]),
        address=said["address"],
    )


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])
