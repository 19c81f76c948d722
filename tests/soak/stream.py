"""The stream of a soak: cohorts in flight, each with a story, and noise beside them; what each must end as is known."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from chassis.ledger.trouble import TROUBLE
from console import commands_out
from console.exits import Unreachable
from contracts.events import CohortFreezeRequested, Command, SampleWithdrawalRequested, Selection
from tests.soak import people
from tests.support.flow import material, panel
from tests.support.flow.plant import PANEL, Plant

Story = Literal["plain", "one refused", "topped up", "one withdrawn"]
STORIES: Mapping[Story, int] = {"plain": 4, "one refused": 2, "topped up": 2, "one withdrawn": 2}
LOOK_S = 0.4
PAUSE_S = 0.5
VERSIONS = "select key from status_sample where key = any($1) and version >= $2 and verdict is not null"
REFUSED = "select code from status_rejection where subject = any($1) and kind = 'sample'"
WITHDRAWN = "select count(*) from withdrawn where subject = $1"
ECHOED = ("run.completed", "cram.ready", "gvcf.ready", "cohort.frozen", "interval.genotyped", "panel.recalibrated")
POISONED = ("run.completed", "gvcf.ready", "cohort.frozen", "interval.genotyped", "panel.recalibrated")
TAIL = 12
"""Records at a topic's end from which echoes are drawn."""
NOISE_S = 15.0
PASSES = (*TROUBLE, KafkaError, Unreachable)


@dataclass(kw_only=True)
class Cohort:
    """One cohort on its way. `wrong` says what came out otherwise than it must."""

    name: str
    project: str
    story: Story
    trio: int
    stage: str = "begun"
    wrong: list[str] = field(default_factory=list)

    @property
    def labels(self) -> tuple[str, ...]:
        return people.trio(self.trio)

    @property
    def composition(self) -> str:
        """Cohorts of one composition have one panel."""
        return f"trio {self.trio}" + (", topped up" if self.story == "topped up" else "")

    @property
    def over(self) -> bool:
        return self.stage == "over"


@dataclass(kw_only=True)
class Stream:
    plant: Plant
    seed: int
    reference: Path
    trios: int = 4
    in_flight: int = 6
    cohorts: list[Cohort] = field(default_factory=list)
    undisturbed: dict[str, dict[str, str]] = field(default_factory=dict)
    """Content of a panel by composition, as it is when nothing disturbs."""
    is_calm: bool = True
    noise: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def calm(self) -> None:
        """One cohort of each composition, before anything is disturbed: what all later ones must equal."""
        stories: list[tuple[int, Story]] = [(number, "plain") for number in range(self.trios)]
        stories += [(number, "topped up") for number in range(self.trios // 2)]
        first = [self._cohort(story, trio=number) for number, story in stories]
        await asyncio.gather(*(self._go(cohort) for cohort in first))
        self.is_calm = False

    async def run(self, stop: asyncio.Event) -> None:
        """Begin a cohort whenever one has ended, until told to stop; return when all have ended."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._make_noise(stop))
            for _ in range(self.in_flight):
                group.create_task(self._fly(stop))

    async def _fly(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._go(self._cohort())

    def _cohort(self, story: Story | None = None, *, trio: int | None = None) -> Cohort:
        number = next(self._numbers)
        draw = random.Random(f"{self.seed} cohort {number}")
        drawn = draw.choices(list(STORIES), list(STORIES.values()))[0]
        most = self.trios // 2 if (story or drawn) == "topped up" else self.trios
        cohort = Cohort(
            name=f"soak-{number}",
            project=f"SOAK{number}",
            story=story or drawn,
            trio=draw.randrange(most) if trio is None else trio,
        )
        self.cohorts.append(cohort)
        return cohort

    # --- a cohort's way

    async def _go(self, cohort: Cohort) -> None:
        draw = random.Random(f"{self.seed} {cohort.name}")
        stranger = people.label_of(people.STRANGER + cohort.trio)
        more = (stranger,) if cohort.story in ("one refused", "one withdrawn") else ()
        broken = frozenset(more) if cohort.story == "one refused" else frozenset()
        await self._arrive(cohort, (*cohort.labels, *more), broken=broken)
        if cohort.story == "topped up":
            if draw.random() < 0.5:
                await self._called(cohort)
            await self._arrive(cohort, cohort.labels[:1], flowcell=people.TOP_UP)
            await self._called(cohort, cohort.labels[:1], version=2)
        if cohort.story == "one withdrawn":
            await self._withdraw(cohort, stranger, early=draw.random() < 0.5)
        await self._called(cohort)
        if cohort.story == "one refused":
            cohort.stage = "awaits a refusal"
            await self._until(lambda: self._refused(cohort, stranger))
        await self._freeze(cohort, times=2 if draw.random() < 0.3 else 1)
        cohort.stage = "awaits its panel"
        released: list[Any] = []

        async def there() -> bool:
            released[:] = await self.plant.rows("annotate", PANEL, cohort.name)
            return bool(released)

        await self._until(there)
        cohort.stage = "is compared"
        found = await panel.content(self.plant.store, dict(released[0]))
        if self.is_calm:
            self.undisturbed[cohort.composition] = found
        wanted = self.undisturbed[cohort.composition]
        if found != wanted:
            other = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
            cohort.wrong.append(f"its panel is not that of {cohort.composition}: {', '.join(other)}")
        cohort.stage = "over"

    async def _arrive(
        self,
        cohort: Cohort,
        labels: tuple[str, ...],
        *,
        broken: frozenset[str] = frozenset(),
        flowcell: str = people.FIRST,
    ) -> None:
        number = next(self.plant.numbers)
        reads = people.Reads(reference=self.reference, edition=number, flowcell=flowcell, broken=broken)
        plan = material.plan_of(cohort.project, labels, number=number)
        await asyncio.to_thread(material.arrive, self.plant.runs, plan=plan, reads=reads)
        self.samples += len(labels)
        cohort.stage = f"run {plan.name} has arrived"

    async def _called(self, cohort: Cohort, labels: tuple[str, ...] = (), *, version: int = 1) -> None:
        keys = [self._key(cohort, one) for one in labels or cohort.labels]
        cohort.stage = f"awaits gVCFs of version {version}"

        async def called() -> bool:
            return len(await self.plant.rows("jointcall", VERSIONS, keys, version)) == len(keys)

        await self._until(called)

    async def _refused(self, cohort: Cohort, label: str) -> bool:
        rows = await self.plant.rows("ingest", REFUSED, [self._key(cohort, label)])
        if any(row["code"] != "GZIP_TRUNCATED" for row in rows):
            cohort.wrong.append(f"its truncated sample was refused as {[row['code'] for row in rows]}")
        return bool(rows)

    async def _withdraw(self, cohort: Cohort, label: str, *, early: bool) -> None:
        if not early:
            await self._called(cohort)
        key = self._key(cohort, label)
        await self._publish(
            SampleWithdrawalRequested(
                request_id=uuid4(), sample=key, deadline=date(2031, 1, 1), actor=commands_out.actor()
            )
        )
        cohort.stage = "awaits a withdrawal"

        async def withdrawn() -> bool:
            return bool(await self.plant.value("jointcall", WITHDRAWN, key))

        await self._until(withdrawn)

    async def _freeze(self, cohort: Cohort, *, times: int) -> None:
        request = CohortFreezeRequested(
            request_id=_request_id(self.seed, cohort.name),
            actor=commands_out.actor(),
            cohort=cohort.name,
            selection=Selection(how="list", samples=tuple(self._key(cohort, one) for one in cohort.labels)),
            reason="a soak",
        )
        for _ in range(times):
            await self._publish(request)

    def _key(self, cohort: Cohort, label: str) -> str:
        return self.plant.identity.sample(project=cohort.project, sample=label)

    # --- noise

    async def _make_noise(self, stop: asyncio.Event) -> None:
        """Events that come again, and now and then one that nobody can read."""
        draw = random.Random(f"{self.seed} noise")
        while not stop.is_set():
            await asyncio.sleep(draw.uniform(2.0, 6.0))
            poison = draw.random() < 0.2
            topic = draw.choice(POISONED if poison else ECHOED)
            with suppress(*PASSES):
                async with asyncio.timeout(NOISE_S):
                    if poison:
                        named = [("ce_id", str(uuid4()).encode()), ("ce_type", topic.encode())]
                        await self.plant.publish_raw(topic, b"{not json", named)
                        self.noise["poison"] += 1
                    else:
                        for record in (await _tail(self.plant.bootstrap, topic))[: draw.randint(1, TAIL)]:
                            await self.plant.publish_raw(topic, record.value, list(record.headers))
                            self.noise["echo"] += 1

    # --- patience

    async def _publish(self, command: Command) -> None:
        """However often it takes: the same request twice is one request."""
        await _surely(lambda: self.plant.publish(command))

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """No deadline: whoever waits for the stream has one."""
        while not await _surely(condition):
            await asyncio.sleep(LOOK_S)


async def _surely(ask: Callable[[], Awaitable[Any]]) -> Any:
    while True:
        try:
            return await ask()
        except PASSES:
            await asyncio.sleep(PAUSE_S)


async def _tail(bootstrap: str, topic: str) -> list[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        await consumer.start()
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        consumer.seek(place, max(0, end - TAIL))
        if not end:
            return []
        return list((await consumer.getmany(place, timeout_ms=2000)).get(place, []))
    finally:
        await consumer.stop()


def _request_id(seed: int, name: str) -> UUID:
    return UUID(int=random.Random(f"{seed} request {name}").getrandbits(128), version=4)
