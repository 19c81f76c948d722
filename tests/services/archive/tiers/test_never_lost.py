"""Whatever comes in whatever order, with workers that are killed or stand still at any step and wake at any later one:
until it is purged, the content lies verified in at least one place, and can be brought back under its own name.

The stores are in memory: with versions, as folders have; with conditions on what a write replaces; and with neither, so
that a zombie that looked before it stood still writes afterwards what it wanted to (there, and only there, it may bring
a purged object back, which the inventory finds). The ledger is a model of the archive's: acts are fenced by their
epoch, a hold cancels what has not begun and comes late to what has.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from chassis.errors import LeaseLost
from chassis.outcomes import Done
from chassis.storage.keys import ColdCopy
from chassis.storage.stub import COLD, Stub
from contracts.values import ArtifactKind
from services.archive.tiers.backend import Meant, TierBackend
from services.archive.tiers.copied import Copies
from services.archive.tiers.storage_class import StorageClasses
from tests.services.archive.tiers.memory import MemoryPlaces, MemoryStore, as_store

BODY = b"reads"
ID = hashlib.sha256(BODY).hexdigest()
URI = "mem://hot/working/align/t/1-1/s.cram"
PURGE = "purge"


@dataclass
class Act:
    """A condemnation and its task. `epoch` counts the claims; an attempt of an older one is a zombie."""

    action: str
    count: int
    version: str | None
    epoch: int = 0
    begun: dict[str, Any] | None = None
    over: bool = False


@dataclass
class Attempt:
    """One run of a worker's code. Stands still after `steps` steps, until it is woken."""

    running: asyncio.Task[Any]
    gate: asyncio.Event
    act: Act | None
    epoch: int


@dataclass
class World:
    kind: str
    scratch: Path
    hot: MemoryStore = field(init=False)
    cold: MemoryStore = field(init=False)
    tier: str = "STANDARD"
    version: str | None = None
    known: str | None = None
    warm: bool = False
    state: str = "stored"
    held: bool = False
    late: bool = False
    act: Act | None = None
    counts: int = 0
    still: list[Attempt] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        kind = {"versions": self.versions, "conditional": self.kind == "conditional"}
        self.hot = MemoryStore(base="mem://hot", **kind)
        self.cold = MemoryStore(base="mem://cold", **kind)
        path = self.scratch / "first"
        path.write_bytes(BODY)

    @property
    def versions(self) -> bool:
        return self.kind == "versions"

    async def begin(self) -> None:
        stored = await self.hot.put_file("working/align/t/1-1/s.cram", self.scratch / "first", tags={})
        self.version = stored.version

    # --- what happens -------------------------------------------------------------------------------------------------

    async def condemn(self, action: str) -> None:
        if self.state != "stored" or self.held or (action == COLD and self.tier == COLD and not self.warm):
            return
        self.counts += 1
        self.state, self.act = "condemned", Act(action=action, count=self.counts, version=self.version)

    async def does(self, what: str, how: Any) -> None:
        match what:
            case "act":
                await self.act_on(*how)
            case "restore":
                await self.restore(how)
            case "hold":
                await self.hold()
            case "release":
                await self.release()
            case "kill":
                await self.kill(how)
            case "wake":
                await self.wake(how)

    async def act_on(self, action: str, steps: int | None) -> None:
        await self.condemn(action)
        await self.claim(steps)

    async def hold(self) -> None:
        self.held = True
        if self.act is not None and self.act.begun is None:
            self._spared(self.act)
        elif self.act is not None:
            self.late = True

    async def release(self) -> None:
        self.held = self.late = False

    async def claim(self, steps: int | None) -> None:
        """The act's next attempt. An earlier one that stands still is a zombie from now on."""
        act = self.act
        if act is None:
            return
        act.epoch += 1
        await self._start(steps, act, act.epoch)

    async def restore(self, steps: int | None) -> None:
        if self.state != "purged":
            await self._start(steps, None, 0)

    async def kill(self, which: int) -> None:
        if self.still:
            attempt = self.still.pop(which % len(self.still))
            attempt.running.cancel()
            await asyncio.gather(attempt.running, return_exceptions=True)

    async def wake(self, which: int) -> None:
        if self.still:
            attempt = self.still.pop(which % len(self.still))
            attempt.gate.set()
            await self._ended(attempt)

    # --- workers ------------------------------------------------------------------------------------------------------

    async def _start(self, steps: int | None, act: Act | None, epoch: int) -> None:
        gate, stands = asyncio.Event(), asyncio.Event()
        left = [10**6 if steps is None else steps]

        async def pause() -> None:
            left[0] -= 1
            if left[0] == 0:
                stands.set()
                await gate.wait()

        code = self._restoring(pause) if act is None else self._acting(act, epoch, pause)
        attempt = Attempt(running=asyncio.ensure_future(code), gate=gate, act=act, epoch=epoch)
        standing = asyncio.ensure_future(stands.wait())
        await asyncio.wait({attempt.running, standing}, return_when=asyncio.FIRST_COMPLETED)
        standing.cancel()
        if attempt.running.done():
            await self._ended(attempt)
        else:
            self.still.append(attempt)

    def _backend(self, pause: Any, act: Act | None) -> tuple[TierBackend, MemoryStore]:
        hot, cold = self.hot.through(pause), self.cold.through(pause)
        scratch = Path(tempfile.mkdtemp(dir=self.scratch))
        plain = act is not None and act.action == PURGE and self.known is None and self.versions
        if plain and act is not None and not (act.begun or {}).get("cold"):
            return StorageClasses(store=as_store(hot), scratch=scratch), hot
        return Copies(store=as_store(hot), places=MemoryPlaces(store=hot, cold=cold), scratch=scratch), hot

    async def _acting(self, act: Act, epoch: int, pause: Any) -> Any:
        """As acting.act does it."""
        backend, hot = self._backend(pause, act)
        meant = self._meant(act, epoch)

        async def begin(value: Mapping[str, Any]) -> None:
            await pause()
            if act.over or act.epoch != epoch:
                raise LeaseLost("act")
            act.begun = dict(value)

        async def still_right() -> str | None:
            return "held" if self.held else None

        if self.held or act.over:
            return await backend.spare(meant, purging=act.action == PURGE, tier=COLD, why="held")
        found = await hot.head(URI, version=act.version)
        if act.action == PURGE:
            return await backend.purge(meant, found, begin=begin, guards=())
        if found is None:
            return await backend.not_there(meant, tier=COLD)
        return await backend.move(meant, found, COLD, begin=begin, still_right=still_right)

    async def _restoring(self, pause: Any) -> Any:
        backend, _ = self._backend(pause, None)

        async def begin(value: Mapping[str, Any]) -> None:
            await pause()

        return await backend.restore(self._meant(None, 0), days=1, begin=begin)

    def _meant(self, act: Act | None, epoch: int) -> Meant:
        return Meant(
            artifact=ID,
            kind=ArtifactKind.cram,
            uri=URI,
            version=None if act is None else act.version,
            attempt=ColdCopy(artifact=ID, count=0 if act is None else act.count, incarnation=1, epoch=epoch),
            cold=self.known,
            begun=None if act is None else act.begun,
        )

    # --- the ledger ---------------------------------------------------------------------------------------------------

    async def _ended(self, attempt: Attempt) -> None:
        try:
            outcome = await attempt.running
        except LeaseLost:
            return
        if attempt.act is None:
            if outcome is not None and outcome.cold is not None and outcome.readable() and self.state != "purged":
                self.tier, self.version, self.known, self.warm = COLD, outcome.version, outcome.cold, True
            return
        act = attempt.act
        if act.over or act.epoch != attempt.epoch or not isinstance(outcome, Done):
            return
        result = outcome.result
        self.seen.add(result["did"])
        match result["did"]:
            case "moved":
                self.tier, self.version, self.warm = COLD, result["version"], bool(result.get("warm"))
                self.known = result.get("cold") or self.known
                self._over(act, "stored")
            case "purged":
                self._over(act, "purged")
            case "out of reach":
                self.tier, self.version = result.get("tier", "STANDARD"), result["version"]
                self.known = result.get("cold") or self.known
                self._over(act, "stored")
            case "spared" | "refused":
                self._spared(act)
            case other:
                raise AssertionError(f"{other}: {result}")

    def _over(self, act: Act, state: str) -> None:
        act.over, self.act, self.state = True, None, state

    def _spared(self, act: Act) -> None:
        self._over(act, "stored")

    # --- the promise --------------------------------------------------------------------------------------------------

    @property
    def may_be_gone(self) -> bool:
        """A purge has begun, in time, and is not undone."""
        return self.state == "purged" or (
            self.act is not None and self.act.action == PURGE and self.act.begun is not None
        )

    def check(self) -> None:
        places = [*self.hot.objects.values(), *self.cold.objects.values()]
        if not self.may_be_gone:
            assert any(held.body == BODY for held in places), "the content lies nowhere"
        if self.state == "purged" and not self.still and self.kind != "plain":
            # what a zombie copies to the cold place after that, under its own attempt's name, the inventory finds
            there = [*self.hot.objects.values(), self.cold.objects.get(self.cold.key_of(self.known or ""))]
            assert not any(held is not None and held.body == BODY for held in there), "purged, and its content is there"

    async def ends_well(self) -> None:
        """Everybody wakes, what is to do is done; then it can be read, or it is purged."""
        while self.still:
            await self.wake(0)
            self.check()
        for _ in range(4):
            await self.claim(None)
        self.check()
        if self.state == "purged":
            return
        if URI.removeprefix("mem://hot/") not in self.hot.objects:
            # as inventory.mend does for what is held
            assert self.known is not None, "its name is gone, and no copy of it is known"
            await self.hot.leave_stub(
                URI, stub=Stub(sha256=ID, size=len(BODY), place=self.known), version=None, tags={}
            )
        await self.restore(None)
        assert self.hot.objects[URI.removeprefix("mem://hot/")].body == BODY


AT = st.one_of(st.none(), st.integers(1, 14))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("act"), st.tuples(st.sampled_from([COLD, COLD, COLD, PURGE]), AT)),
        st.tuples(st.just("act"), st.tuples(st.sampled_from([COLD, COLD, COLD, PURGE]), AT)),
        st.tuples(st.just("restore"), AT),
        st.tuples(st.just("hold"), st.none()),
        st.tuples(st.just("release"), st.none()),
        st.tuples(st.just("kill"), st.integers(0, 3)),
        st.tuples(st.just("wake"), st.integers(0, 3)),
    ),
    min_size=2,
    max_size=14,
)


async def run(steps: list[tuple[str, Any]], *, kind: str) -> World:
    with tempfile.TemporaryDirectory() as folder:
        world = World(kind=kind, scratch=Path(folder))
        await world.begin()
        for what, how in steps:
            await world.does(what, how)
            world.check()
        await world.ends_well()
        return world


@pytest.mark.parametrize("kind", ["versions", "conditional", "plain"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_no_order_of_acts_and_deaths_loses_the_content(kind: str, steps: list[tuple[str, Any]]) -> None:
    world = asyncio.run(run(steps, kind=kind))
    event(f"did {sorted(world.seen)}")


SCRIPTS: dict[str, list[tuple[str, Any]]] = {
    "a second mover": [("act", (COLD, "at")), ("act", (COLD, None)), ("wake", 0)],
    "held while it moves": [("act", (COLD, "at")), ("hold", None), ("act", (COLD, None)), ("wake", 0)],
    "brought back while a mover sleeps": [("act", (COLD, "at")), ("act", (COLD, None)), ("restore", None), ("wake", 0)],
    "two restorers": [("act", (COLD, None)), ("restore", "at"), ("restore", None), ("wake", 0)],
    "taken away while a restorer sleeps": [
        ("act", (COLD, None)),
        ("restore", "at"),
        ("restore", None),
        ("act", (COLD, None)),
        ("wake", 0),
    ],
    "held while it is taken away": [
        ("act", (COLD, None)),
        ("restore", None),
        ("act", (COLD, "at")),
        ("hold", None),
        ("act", (COLD, None)),
        ("wake", 0),
    ],
    "purged while a restorer sleeps": [
        ("act", (COLD, None)),
        ("restore", "at"),
        ("act", (PURGE, None)),
        ("wake", 0),
    ],
    "held while it is purged": [("act", (PURGE, "at")), ("hold", None), ("act", (PURGE, None)), ("wake", 0)],
    "held while the cold one is purged": [
        ("act", (COLD, None)),
        ("act", (PURGE, "at")),
        ("hold", None),
        ("act", (PURGE, None)),
        ("wake", 0),
    ],
    "held while the restored one is purged": [
        ("act", (COLD, None)),
        ("restore", None),
        ("act", (PURGE, "at")),
        ("hold", None),
        ("act", (PURGE, None)),
        ("wake", 0),
    ],
}


@pytest.mark.parametrize("kind", ["versions", "conditional", "plain"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_worker_that_stands_still_at_any_step_loses_nothing(script: str, kind: str) -> None:
    """Where it stands is tried step by step, until it comes to its end without."""

    async def every_step() -> set[str]:
        seen: set[str] = set()
        for at in range(1, 20):
            world = await run([(what, _standing(how, at)) for what, how in SCRIPTS[script]], kind=kind)
            seen |= world.seen
        return seen

    seen = asyncio.run(every_step())
    if "purged" in script and "held" in script:
        assert "out of reach" in seen, "a hold came late and in time for the content"


def _standing(how: Any, at: int) -> Any:
    if isinstance(how, tuple):
        return how[0], at if how[1] == "at" else how[1]
    return at if how == "at" else how
