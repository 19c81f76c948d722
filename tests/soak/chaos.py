"""The chaos of a soak: strikes as they are scheduled, and counts what it struck."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chassis.errors import ToolFailed
from console.supervisor import Health
from tests.soak.schedule import Kind, Strike
from tests.support.flow.plant import Plant, Role

AWAIT_S = 6.0
"""How long a strike waits for a target that is just starting again."""
AWAY_S = 1.0
"""For how long a killed server stays down, besides the time that its start takes."""
FROZEN_S = 4.0
SERVER_STARTS = 3


@dataclass(kw_only=True)
class Chaos:
    plant: Plant
    struck: Counter[Kind] = field(default_factory=Counter)
    missed: Counter[Kind] = field(default_factory=Counter)
    """Of whom there was nobody to strike, since an earlier strike had been too good."""
    armed: Counter[str] = field(default_factory=Counter)
    down: set[str] = field(default_factory=set)
    _servers: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, strikes: Sequence[Strike]) -> None:
        """Until the last strike is over and all that was frozen or down is back."""
        begin = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for strike in strikes:
                await asyncio.sleep(begin + strike.at - time.monotonic())
                group.create_task(self._strike(strike))

    def count_points(self) -> None:
        """Points that were reached struck; call it when all is over."""
        reached = len(list(self.plant.faults.glob("struck-*")))
        self.struck["killed at a point"] = reached
        self.missed["killed at a point"] = self.armed.total() - reached

    async def _strike(self, strike: Strike) -> None:
        match strike.kind:
            case "worker killed":
                done = await self._signal(strike, "work", signal.SIGKILL)
            case "child killed":
                done = await self._kill_child(strike)
            case "consumer killed":
                done = await self._signal(strike, "consume", signal.SIGKILL)
            case "killed at a point":
                self._arm(strike.target)
                return
            case "worker told to go":
                done = await self._signal(strike, "work", signal.SIGTERM)
            case "worker frozen":
                done = await self._freeze(strike)
            case "broker killed":
                done = await self._down("broker", self.plant.stack.kafka)
            case "database killed":
                done = await self._down("database", self.plant.stack.postgres)
            case "broker frozen":
                done = await self._freeze_broker()
        (self.struck if done else self.missed)[strike.kind] += 1

    # --- processes

    async def _signal(self, strike: Strike, role: Role, number: signal.Signals) -> bool:
        pid = await self._found(strike, role)
        return pid is not None and _sent(pid, number)

    async def _kill_child(self, strike: Strike) -> bool:
        """The worker's child that works, not the shim between them: its status says what happened."""
        worker = await self._found(strike, "work")
        if worker is None:
            return False
        child = await _soon(lambda: next((inner for shim in _children(worker) for inner in _children(shim)), None))
        return child is not None and _sent(child, signal.SIGKILL)

    async def _freeze(self, strike: Strike) -> bool:
        """For longer than the lease: it wakes up as a zombie."""
        pid = await self._found(strike, "work")
        if pid is None or not _sent(pid, signal.SIGSTOP):
            return False
        try:
            await asyncio.sleep(1.5 * self.plant.settings.worker.lease_seconds)
        finally:
            _sent(pid, signal.SIGCONT)
        return True

    async def _found(self, strike: Strike, role: Role) -> int | None:
        def pid() -> int | None:
            mine: list[Health] = [
                one
                for one in self.plant.services.health()
                if (one.service, one.role, one.state) == (strike.target, role, "running")
            ]
            shim = mine[strike.which % len(mine)].pid if mine else None
            return next(iter(_children(shim)), None) if shim is not None else None

        return await _soon(pid)

    def _arm(self, point: str) -> None:
        """As `Plant.arm`, but what was struck there before stays to be counted."""
        faults = self.plant.faults
        if (faults / point).exists():
            return
        written = faults / f".{point}"
        written.write_text(signal.SIGKILL.name, encoding="ascii")
        written.rename(faults / point)
        self.armed[point] += 1

    # --- servers

    async def _down(self, name: str, server: Any) -> bool:
        async with self._servers:
            self.down.add(name)
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(AWAY_S)
            for left in reversed(range(SERVER_STARTS)):
                try:
                    await asyncio.to_thread(server.start)
                    break
                except ToolFailed:
                    # a machine under load may be slower than the stack's own patience
                    if not left:
                        raise
            self.down.discard(name)
        return True

    async def _freeze_broker(self) -> bool:
        async with self._servers:
            self.down.add("broker")
            process = self.plant.stack.kafka.process
            process.suspend()
            try:
                await asyncio.sleep(FROZEN_S)
            finally:
                process.resume()
            self.down.discard("broker")
        return True


async def _soon(look: Any) -> int | None:
    until = time.monotonic() + AWAIT_S
    while (found := look()) is None and time.monotonic() < until:
        await asyncio.sleep(0.1)
    return found


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _sent(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
