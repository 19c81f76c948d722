"""What a run, a sample, a cohort or a freeze has cost so far, and what it costs a month to keep.

**Work.** A slot is paid from a task's claim to the end of the attempt, whatever the end: an attempt that ended without
a result (a crash, a retry, a preemption, a loss, a cancellation) is paid too, and counted as wasted, although what it
had checkpointed is not done again. The price is that of the task's pool and memory class; a task that went to a larger
class is priced by that class throughout. An attempt under way counts up to now.

**Whose work it is.** A sample's own: checking, aligning and calling it, verifying and moving its files. A run's:
checking, aligning and calling what came with it. A freeze's: planning, genotyping, filtering, annotating and releasing
it; nothing of its samples' own, since many freezes share a sample. A cohort's: that of all its freezes. The work of a
freeze is for all of its samples at once, so each bears an equal share, shown apart from its own.

**What is kept.** A sample's files of every version, a run's FASTQs and papers in the landing zone (its samples' too), a
freeze's files; at list prices, without minimum charges, requests and transfer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from console.labels import KEY
from console.supervisor import SERVICES

if TYPE_CHECKING:
    from chassis.cost.prices import PriceList
    from chassis.settings import Settings
    from console.views import Row, Views
    from services.archive.prices import Price

EFFORT = """
select {of} as "of", kind, pool, memory_class, count(*) as tasks, sum(attempts)::bigint as attempts,
       sum(seconds) as seconds, sum(wasted_attempts)::bigint as wasted_attempts, sum(wasted_seconds) as wasted_seconds,
       count(running_since) as running,
       coalesce(sum(extract(epoch from clock_timestamp() - running_since)), 0)::double precision as running_seconds
from status_effort {which} group by 1, 2, 3, 4 order by 1, 2, 3, 4
"""
BY_SUBJECT = EFFORT.format(of="subject", which="where subject = any($1::text[])")
BY_EITHER = EFFORT.format(of="$1::text", which="where subject = $1 or belongs_to = $1")
# the archive acts on artifacts; it knows whose they are
BY_ARTIFACT = EFFORT.format(
    of="owner",
    which="join (select distinct artifact, subject as owner from status_artifact where subject = any($1::text[])) a"
    " on a.artifact = subject",
)
KEPT = """
select kind, tier, count(*) as objects, coalesce(sum(size), 0)::bigint as bytes from status_artifact
where subject = any($1::text[]) and state in ('stored', 'condemned') and ($2 = '' or strpos(uri, $2) > 0)
group by kind, tier order by kind, tier
"""
STORED = "select kind, tier, objects, bytes from status_storage order by kind, tier"
MEMBER_OF = 'select distinct "freeze" from status_freeze_sample where sample = $1 order by 1'
FREEZES = 'select "freeze", samples, intervals from status_freeze where "freeze" = any($1::text[])'
FREEZES_OF = 'select "freeze", samples, intervals from status_freeze where cohort = $1'
RUN = "select run from status_run where run = $1"
SAMPLES_OF_RUN = "select subject from status_subject where kind = 'sample' and belongs_to = $1"
COHORT = "select cohort from status_cohort where cohort = $1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Compute by pool and memory class, storage by storage class."""

    compute: PriceList
    storage: Mapping[str, Price]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One kind of task of one service in one pool. `amount` includes `wasted` and what runs now."""

    service: str
    kind: str
    pool: str
    tasks: int
    attempts: int
    wasted_attempts: int
    running: int
    seconds: float
    wasted_seconds: float
    amount: float
    wasted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A sample's equal part of a freeze's work."""

    freeze: str
    samples: int
    amount: float
    wasted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Objects of one kind in one storage class; `monthly` is None where the class has no price."""

    kind: str
    tier: str
    objects: int
    bytes: int
    monthly: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """`samples` and `intervals` are those that the amount is for: of a run, a freeze or all freezes of a cohort."""

    subject: str
    kind: str
    currency: str
    steps: tuple[Step, ...]
    shares: tuple[Share, ...]
    kept: tuple[Kept, ...]
    samples: int | None = None
    intervals: int | None = None

    @property
    def own(self) -> float:
        return sum(step.amount for step in self.steps)

    @property
    def shared(self) -> float:
        return sum(share.amount for share in self.shares)

    @property
    def amount(self) -> float:
        """So far: its own work and its shares."""
        return self.own + self.shared

    @property
    def wasted(self) -> float:
        return sum(step.wasted for step in self.steps) + sum(share.wasted for share in self.shares)

    @property
    def monthly(self) -> float:
        return monthly(self.kept)

    @property
    def per_sample(self) -> float | None:
        return self.own / self.samples if self.samples else None

    @property
    def per_interval(self) -> float | None:
        return self.own / self.intervals if self.intervals else None

    def as_dict(self) -> dict[str, Any]:
        computed = ("own", "shared", "amount", "wasted", "monthly", "per_sample", "per_interval")
        return asdict(self) | {name: getattr(self, name) for name in computed}


def prices_of(settings: Settings) -> Prices:
    """The price lists in force. Raises Rejected when a file of theirs cannot be read."""
    from chassis.cost.prices import load_prices
    from services.archive.policies import load_rules

    rules = load_rules(settings.archive.policies, prices=settings.cost.prices)
    return Prices(compute=load_prices(settings.cost.prices), storage=rules.prices)


async def cost_of(views: Views, subject: str, prices: Prices) -> Cost | None:
    """What a run, a sample (by key), a freeze or a cohort has cost so far; None where no ledger knows such a one."""
    if KEY.fullmatch(subject):
        return await _of_sample(views, subject, prices)
    if freezes := await views.rows("jointcall", FREEZES, [subject]):
        return await _of_freezes(views, subject, "freeze", freezes, prices)
    if await views.one("jointcall", COHORT, subject):
        freezes = await views.rows("jointcall", FREEZES_OF, subject)
        return await _of_freezes(views, subject, "cohort", freezes, prices)
    if await views.one("ingest", RUN, subject):
        return await _of_run(views, subject, prices)
    return None


async def storage_cost(views: Views, prices: Prices) -> tuple[Kept, ...]:
    """All that is stored, by kind and storage class."""
    return kept(await views.rows("archive", STORED), prices)


def steps(rows: Mapping[str, Iterable[Row]], prices: Prices) -> tuple[Step, ...]:
    """Priced work by service, kind and pool, in the order of the flow, out of each service's rows of EFFORT."""
    summed: dict[tuple[str, str, str], dict[str, float]] = {}
    for service, of_service in rows.items():
        for row in of_service:
            place = {"pool": row["pool"], "memory_class": row["memory_class"]}
            one = summed.setdefault((service, row["kind"], row["pool"]), {})
            paid = row["seconds"] + row["running_seconds"]
            for name, value in (
                ("tasks", row["tasks"]),
                ("attempts", row["attempts"] + row["running"]),
                ("wasted_attempts", row["wasted_attempts"]),
                ("running", row["running"]),
                ("seconds", paid),
                ("wasted_seconds", row["wasted_seconds"]),
                ("amount", prices.compute.amount(paid, **place)),
                ("wasted", prices.compute.amount(row["wasted_seconds"], **place)),
            ):
                one[name] = one.get(name, 0) + value
    return tuple(
        Step(
            service=service,
            kind=kind,
            pool=pool,
            tasks=int(one["tasks"]),
            attempts=int(one["attempts"]),
            wasted_attempts=int(one["wasted_attempts"]),
            running=int(one["running"]),
            seconds=one["seconds"],
            wasted_seconds=one["wasted_seconds"],
            amount=one["amount"],
            wasted=one["wasted"],
        )
        for (service, kind, pool), one in sorted(summed.items(), key=lambda item: (SERVICES.index(item[0][0]), item[0]))
    )


def kept(rows: Iterable[Row], prices: Prices) -> tuple[Kept, ...]:
    """Priced storage out of rows of (kind, tier, objects, bytes)."""
    return tuple(
        Kept(
            kind=row["kind"],
            tier=row["tier"],
            objects=row["objects"],
            bytes=row["bytes"],
            monthly=_monthly(row, prices.storage.get(row["tier"])),
        )
        for row in rows
    )


def monthly(stored: Iterable[Kept]) -> float:
    """What is known of the price; storage classes without one are left out."""
    return sum(one.monthly for one in stored if one.monthly is not None)


def _monthly(row: Row, price: Price | None) -> float | None:
    """The overhead is the store's own, per object."""
    if price is None:
        return None
    from services.archive.prices import GB

    return float((row["bytes"] + row["objects"] * price.overhead_bytes) / GB * price.per_gb_month)


async def _of_sample(views: Views, sample: str, prices: Prices) -> Cost | None:
    rows = await _effort(views, [sample])
    stored = await views.rows("archive", KEPT, [sample], "")
    if not stored and not any(rows.values()):
        return None
    return Cost(
        subject=sample,
        kind="sample",
        currency=prices.compute.currency,
        steps=steps(rows, prices),
        shares=await _shares(views, sample, prices),
        kept=kept(stored, prices),
    )


async def _of_freezes(views: Views, subject: str, kind: str, freezes: Sequence[Row], prices: Prices) -> Cost:
    ids = [row["freeze"] for row in freezes]
    return Cost(
        subject=subject,
        kind=kind,
        currency=prices.compute.currency,
        steps=steps(await _effort(views, ids), prices),
        shares=(),
        kept=kept(await views.rows("archive", KEPT, ids, ""), prices),
        samples=sum(row["samples"] for row in freezes),
        intervals=sum(row["intervals"] or 0 for row in freezes),
    )


async def _of_run(views: Views, run: str, prices: Prices) -> Cost:
    samples = [row["subject"] for row in await views.rows("ingest", SAMPLES_OF_RUN, run)]
    return Cost(
        subject=run,
        kind="run",
        currency=prices.compute.currency,
        steps=steps(await views.everywhere(BY_EITHER, run), prices),
        shares=(),
        kept=kept(await views.rows("archive", KEPT, [run, *samples], f"/landing/{run}/"), prices),
        samples=len(samples),
    )


async def _effort(views: Views, subjects: Sequence[str]) -> dict[str, list[Row]]:
    rows = await views.everywhere(BY_SUBJECT, list(subjects))
    rows["archive"] += await views.rows("archive", BY_ARTIFACT, list(subjects))
    return rows


async def _shares(views: Views, sample: str, prices: Prices) -> tuple[Share, ...]:
    ids = [row["freeze"] for row in await views.rows("jointcall", MEMBER_OF, sample)]
    if not ids:
        return ()
    rows = await _effort(views, ids)
    shares = []
    for row in await views.rows("jointcall", FREEZES, ids):
        of_freeze = {service: [one for one in found if one["of"] == row["freeze"]] for service, found in rows.items()}
        priced = steps(of_freeze, prices)
        shares.append(
            Share(
                freeze=row["freeze"],
                samples=row["samples"],
                amount=sum(step.amount for step in priced) / row["samples"],
                wasted=sum(step.wasted for step in priced) / row["samples"],
            )
        )
    return tuple(sorted(shares, key=lambda share: share.freeze))
