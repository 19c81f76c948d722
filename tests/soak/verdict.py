"""What a soak came to: figures from the six ledgers, and every promise with the keys that broke it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from chassis.ledger.tasks import Ending
from console.supervisor import SERVICES
from tests.faults import i4, invariants
from tests.soak.chaos import Chaos
from tests.soak.schedule import KILLS
from tests.soak.stream import Cohort, Stream
from tests.soak.watched import absorbed
from tests.support.flow.plant import Plant

INVARIANTS: Mapping[str, str] = {
    "I1": "one committed result per task key",
    "I2": "epochs only grow, a stale one writes nothing",
    "I3": "each result is told, and acted on once",
    "I4": "nothing is gone that nothing replaces",
    "I5": "each panel equals the undisturbed one",
    "whole": "each good sample through, each bad one refused, no dead letter else",
}
TASKS = "select state, count(*) as tasks from task group by state"
ENDINGS = """
select ending, count(*) as attempts, sum(extract(epoch from ended_at - started_at)) as seconds from attempt group by 1
"""
DEAD = "select key, error ->> 'code' as code, error ->> 'message' as message from task where state = 'failed'"
UNENDED = """
select key, state, waits_for from task
where state in ('waiting', 'leased') or state = 'ready' and ready_at < $1
"""
"""What became due later, or was given back when its worker was told to stop, is nobody's fault."""
FIRST_TIMES = "select count(*) from inbox"
WASTED = (Ending.crash, Ending.retry, Ending.preemption, Ending.loss, Ending.cancelled)
MEANT = ("GZIP_TRUNCATED",)


@dataclass(kw_only=True)
class Outcome:
    seconds: float
    seed: int
    cohorts: int
    samples: int
    tasks: dict[str, int]
    attempts: dict[str, int]
    attempt_seconds: float
    wasted_seconds: float
    struck: dict[str, int]
    missed: dict[str, int]
    events: int
    redelivered: int
    noise: dict[str, int]
    results_checked: int = 0
    kept: int = 0
    purged: int = 0
    """Artifacts: of withdrawn samples."""
    wall: dict[str, float] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in INVARIANTS})

    @property
    def kills(self) -> int:
        return sum(self.struck.get(kind, 0) for kind in KILLS)

    @property
    def wasted(self) -> float:
        """Share of 1."""
        return self.wasted_seconds / self.attempt_seconds if self.attempt_seconds else 0.0

    @property
    def lost(self) -> int:
        return self.attempts.get(Ending.loss.value, 0)

    @property
    def held(self) -> bool:
        return not any(self.broken.values())

    def as_dict(self) -> dict[str, Any]:
        more = {"kills": self.kills, "leases_lost": self.lost, "wasted_percent": round(100 * self.wasted, 2)}
        return asdict(self) | more | {"held": self.held}


async def judge(plant: Plant, stream: Stream, chaos: Chaos, *, seconds: float, stopped_at: datetime) -> Outcome:
    """Figures and promises of a plant that was whole again and quiet, or was given up waiting for, and whose services
    were stopped then."""
    tasks, attempts, spent = Counter[str](), Counter[str](), Counter[str]()
    events = 0
    for service in SERVICES:
        for row in await plant.rows(service, TASKS):
            tasks[row["state"]] += row["tasks"]
        for row in await plant.rows(service, ENDINGS):
            attempts[row["ending"]] += row["attempts"]
            spent[row["ending"]] += float(row["seconds"])
        events += await plant.value(service, FIRST_TIMES)
    del spent[Ending.waiting.value]
    outcome = Outcome(
        seconds=seconds,
        seed=stream.seed,
        cohorts=len(stream.cohorts),
        samples=stream.samples,
        tasks=dict(tasks),
        attempts=dict(attempts),
        attempt_seconds=round(spent.total(), 1),
        wasted_seconds=round(sum(spent[ending.value] for ending in WASTED), 1),
        struck=dict(chaos.struck),
        missed=dict(+chaos.missed),
        events=events,
        redelivered=sum(absorbed(plant.settings.state_dir).values()),
        noise=dict(stream.noise),
    )
    outcome.broken["whole"] += [*_cohorts(stream.cohorts), *await _dead(plant), *await _stuck(plant, stopped_at)]
    outcome.broken["I5"] += [f"{one.name}: {wrong}" for one in stream.cohorts for wrong in one.wrong]
    broken, seen = await i4.broken_by(plant.ledgers["archive"], plant.store, plant.bootstrap)
    outcome.broken["I4"] += [one.removeprefix("I4 broken by ") for one in broken]
    outcome.kept, outcome.purged = seen.kept, seen.purged
    checked, said = await invariants.look_over(plant, gone=seen.gone)
    outcome.results_checked = checked
    for one in said:
        outcome.broken[one.invariant].append(f"{one.key}: {one.how}")
    return outcome


def _cohorts(cohorts: Iterable[Cohort]) -> list[str]:
    return [f"{one.name} ({one.story}): {one.stage}" for one in cohorts if not one.over]


async def _dead(plant: Plant) -> list[str]:
    """Dead letters but those of samples that were broken when they came."""
    return [
        f"{row['key']}: dead, {row['code']}: {row['message']}"
        for service in SERVICES
        for row in await plant.rows(service, DEAD)
        if row["code"] not in MEANT
    ]


async def _stuck(plant: Plant, stopped_at: datetime) -> list[str]:
    return [
        f"{row['key']}: {row['state']}" + (f" for {row['waits_for']}" if row["waits_for"] else "")
        for service in SERVICES
        for row in await plant.rows(service, UNENDED, stopped_at)
    ]
