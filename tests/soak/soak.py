"""One soak from its first process to its verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from chassis.ledger.ledger import NOW
from chassis.ledger.trouble import TROUBLE
from console.supervisor import SERVICES
from tests.soak.chaos import Chaos
from tests.soak.schedule import plan, schedule
from tests.soak.stream import Stream
from tests.soak.verdict import Outcome, judge
from tests.support.flow.plant import Plant, running_plant
from tests.support.seeded import flaky, people

MEMORY_MB = 65_536
"""What is killed asks for the next memory class: every class has a worker here."""
GRACE_S = 15.0
"""What is withdrawn is purged while the soak goes on."""
FLAKY = """
crash_rate = 0.03
seed = {seed}
most_crashes = 1
"""
REPORT_S = 10.0
CALM_S = 300.0
END_S = 200.0
"""After the last strike: within this what is in flight ends, and within this again all queues are empty."""

STOP_S = 20.0

Say = Callable[[str], None]


async def soaked(folder: Path, *, seconds: float, seed: int, trios: int = 4, in_flight: int = 6, say: Say) -> Outcome:
    """Run a soak whose chaos lasts `seconds`, with all of its files in `folder`, and judge it."""
    begin = time.monotonic()
    wall: dict[str, float] = {}

    def passed(stage: str) -> None:
        wall[stage] = round(time.monotonic() - begin - sum(wall.values()), 1)
        say(f"{stage}: {wall[stage]:.1f} s")

    folder.mkdir(parents=True, exist_ok=True)
    reference = people.write_fasta(folder / "reference.fa")
    strikes = schedule(seconds=seconds, seed=seed)
    async with running_plant(
        folder / "plant",
        plan=plan(),
        direct=True,
        reference=reference,
        memory_mb=MEMORY_MB,
        grace_seconds=GRACE_S,
    ) as plant:
        passed("start")
        stream = Stream(plant=plant, seed=seed, reference=reference, trios=trios, in_flight=in_flight)
        async with asyncio.timeout(CALM_S):
            await stream.calm()
        passed("calm")
        (plant.settings.state_dir / flaky.FILE).write_text(FLAKY.format(seed=seed), encoding="utf-8")
        chaos = Chaos(plant=plant)
        stop = asyncio.Event()
        flowing = asyncio.create_task(stream.run(stop))
        striking = asyncio.create_task(chaos.run(strikes))
        try:
            async with _reporting(plant, stream, chaos, say):
                await asyncio.wait({striking, flowing}, return_when=asyncio.FIRST_COMPLETED)
                if flowing.done():
                    flowing.result()
                await striking
                passed("chaos")
                chaos.count_points()
                plant.heal()
                stop.set()
                restless = await _ended(plant, flowing)
        finally:
            for task in (striking, flowing):
                task.cancel()
            await asyncio.gather(striking, flowing, return_exceptions=True)
        # what is looked at stands still: a purge that becomes due meanwhile would look like a loss
        moment = await plant.value("archive", NOW)
        await asyncio.to_thread(plant.services.stop, grace_s=STOP_S)
        passed("end")
        outcome = await judge(plant, stream, chaos, seconds=seconds, stopped_at=moment)
        outcome.broken["whole"] += restless
        passed("check")
        outcome.wall = wall
        return outcome


async def _ended(plant: Plant, flowing: asyncio.Task[None]) -> list[str]:
    """Wait until nothing moves; what still does when patience ends."""
    try:
        async with asyncio.timeout(END_S):
            await flowing
    except TimeoutError:
        return [f"the stream: not at its end {END_S:.0f} s after the last strike"]
    try:
        await plant.quiet(seconds=END_S)
    except AssertionError as error:
        return [f"the plant: never quiet: {error}"]
    return []


@asynccontextmanager
async def _reporting(plant: Plant, stream: Stream, chaos: Chaos, say: Say) -> AsyncIterator[None]:
    begin = time.monotonic()

    async def report() -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            with suppress(*TROUBLE):
                say(await _line(plant, stream, chaos, time.monotonic() - begin))

    task = asyncio.create_task(report())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _line(plant: Plant, stream: Stream, chaos: Chaos, passed: float) -> str:
    over = sum(one.over for one in stream.cohorts)
    reached = len(list(plant.faults.glob("struck-*")))
    line = f"{passed:5.0f} s  cohorts {over} of {len(stream.cohorts)}, strikes {chaos.struck.total() + reached}"
    if chaos.down:
        return f"{line}, {' and '.join(sorted(chaos.down))} down"
    async with asyncio.timeout(5):
        done = [await plant.value(service, "select count(*) from task where state = 'done'") for service in SERVICES]
        lost = [
            await plant.value(service, "select count(*) from attempt where ending = 'loss'") for service in SERVICES
        ]
    return f"{line}, tasks done {sum(done)}, leases lost {sum(lost)}"
