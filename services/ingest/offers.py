"""A run whose files are all there is taken in: what is to be checked, what is refused, what is known already.

Planning reads the ledger and decides; taking in writes tasks, states and failures in the same transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chassis.errors import Rejection
from chassis.ledger import outbox, queue
from chassis.ledger.ledger import Tx
from contracts.events import SampleFailed
from services.ingest import statements as sql
from services.ingest.arrivals import KnownLane, KnownSample, LaneId, changed, relabelled, unknown_library
from services.ingest.identity import Identity
from services.ingest.observation import Offer, PromisedLane, PromisedSample
from services.ingest.tasks import CheckLane, CheckTask, sheet_refusal

log = logging.getLogger(__name__)

STAGE = "ingest"
WENT_ON = "the run's other samples"
WITHDRAWN = Rejection(
    code="CONSENT_WITHDRAWN",
    message="consent for this sample was withdrawn",
    where="the sample's rows in SampleSheet.csv",
    rule="nothing of a withdrawn sample is taken in",
    fix="nothing; destroy the reads in the run folder as the withdrawal asks",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sample to check. `offer` is what the ledger keeps of it, to tell a mended sample from the same again."""

    key: str
    sample: PromisedSample
    lanes: tuple[PromisedLane, ...]
    libraries: Mapping[str, str]
    offer: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A sample to refuse. Without `sample` its names may be personal, and no trace of them is kept."""

    key: str
    rejection: Rejection
    sample: PromisedSample | None = None
    offer: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    check: tuple[Candidate, ...]
    refuse: tuple[Refusal, ...]

    @property
    def empty(self) -> bool:
        """All of it is known: nothing new to do."""
        return not self.check and not self.refuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the ledger knows that matters to one offer, by keys."""

    before: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """This run's samples of earlier offers, as rows of run_sample."""
    samples: Mapping[str, KnownSample] = field(default_factory=dict)
    lanes: Mapping[LaneId, KnownLane] = field(default_factory=dict)
    withdrawn: frozenset[str] = frozenset()


async def plan_offer(tx: Tx, run: str, offer: Offer, identity: Identity, *, copy: bool = False) -> Plan:
    """What the offer asks for. A `copy` of the folder has other times of change: sizes say whether it is the same."""
    keys = [identity.sample(project=one.project, sample=one.sample) for one in offer.samples]
    known = Known(
        before={row["sample"]: dict(row) for row in await tx.conn.fetch(sql.SAMPLES_OF_RUN, run)},
        samples=await known_samples(tx, keys),
        lanes=await known_lanes(tx, offer.info.flowcell),
        withdrawn=frozenset(row["subject"] for row in await tx.conn.fetch(sql.WITHDRAWN, keys)),
    )
    return decide(run, offer, known, identity, timed=not copy)


def decide(run: str, offer: Offer, known: Known, identity: Identity, *, timed: bool = True) -> Plan:
    """What an offer asks for beyond what is done or failed already in the same form. Pure."""
    check: list[Candidate] = []
    refuse: list[Refusal] = []
    for sample in offer.samples:
        candidate = _candidate(sample, identity)
        before = known.before.get(candidate.key)
        if before is not None and before["state"] == "failed" and _same(before["offer"], candidate.offer, timed=timed):
            continue
        match _judge(run, offer.info.flowcell, candidate, known):
            case Rejection() as rejection:
                refuse.append(Refusal(key=candidate.key, rejection=rejection, sample=sample, offer=candidate.offer))
            case ():
                continue
            case lanes:
                wanted = {lane.lane for lane in lanes}
                kept = [lane for lane in candidate.offer["lanes"] if lane["lane"] in wanted]
                check.append(
                    Candidate(
                        key=candidate.key,
                        sample=sample,
                        lanes=lanes,
                        libraries=candidate.libraries,
                        offer={**candidate.offer, "lanes": kept},
                    )
                )
    for refused in offer.refused:
        key = identity.sample(project=refused.project, sample=refused.sample)
        before = known.before.get(key)
        if before is not None and (before["state"] != "failed" or before["rejection"] == refused.rejection.as_dict()):
            continue
        refuse.append(Refusal(key=key, rejection=refused.rejection))
    return Plan(check=tuple(check), refuse=tuple(refuse))


async def take_in(tx: Tx, run: str, plan: Plan, offer: Offer, *, root: str, folder: str, now: datetime) -> None:
    """Write the plan down: tasks for what is to be checked, `sample.failed` for what is refused."""
    attempt: int = await tx.conn.fetchval(sql.ATTEMPT, run)
    await tx.conn.execute(
        sql.OFFERED, run, now, offer.info.flowcell, offer.instrument.model, offer.instrument.optical_distance
    )
    for candidate in plan.check:
        await tx.conn.execute(sql.NEW_SAMPLE, candidate.key, candidate.sample.project, candidate.sample.sample, now)
        task = _task(run, attempt, root, folder, offer, candidate)
        await tx.conn.execute(sql.CHECK_SAMPLE, run, candidate.key, attempt, task.key, now, candidate.offer)
        await queue.enqueue(tx, [task.new()])
    for refusal in plan.refuse:
        if refusal.sample is not None:
            await tx.conn.execute(sql.NEW_SAMPLE, refusal.key, refusal.sample.project, refusal.sample.sample, now)
        task_key = sheet_refusal(run, refusal.key, attempt)
        await tx.conn.execute(
            sql.REFUSE_SAMPLE, run, refusal.key, attempt, task_key, now, refusal.offer, refusal.rejection.as_dict()
        )
        await outbox.add(tx, failed(refusal.key, task_key, refusal.rejection))
    log.info(
        "run taken in",
        extra={"run": run, "attempt": attempt, "samples": len(plan.check), "refused": len(plan.refuse)},
    )


def failed(sample: str, task: str, rejection: Rejection) -> SampleFailed:
    return SampleFailed(sample=sample, stage=STAGE, task=task, rejection=rejection.detail(), went_on=WENT_ON)


async def known_samples(tx: Tx, keys: list[str]) -> dict[str, KnownSample]:
    libraries: dict[str, set[str]] = {}
    for row in await tx.conn.fetch(sql.LIBRARIES, keys):
        libraries.setdefault(row["sample"], set()).add(row["key"])
    return {
        row["key"]: KnownSample(version=row["version"], libraries=frozenset(libraries.get(row["key"], ())))
        for row in await tx.conn.fetch(sql.SAMPLES, keys)
    }


async def known_lanes(tx: Tx, flowcell: str) -> dict[LaneId, KnownLane]:
    return {
        (row["flowcell"], row["lane"], row["index"]): KnownLane(
            library=row["library"],
            run=row["run"],
            r1_sha256=row["r1_sha256"],
            r2_sha256=row["r2_sha256"],
            r1_size=row["r1_size"],
            r2_size=row["r2_size"],
        )
        for row in await tx.conn.fetch(sql.LANES_OF_FLOWCELL, flowcell)
    }


def _judge(run: str, flowcell: str, candidate: Candidate, known: Known) -> Rejection | tuple[PromisedLane, ...]:
    """The lanes that are still to be checked. Lanes of another run are checked: whether they are the same, their
    content says; lanes of this run that are stored are known by their sizes."""
    if candidate.key in known.withdrawn:
        return WITHDRAWN
    by_name = {name: key for key, name in candidate.libraries.items()}
    sample = known.samples.get(candidate.key, KnownSample())
    if (unknown := unknown_library(sample, candidate.libraries, candidate.offer["further"])) is not None:
        return unknown
    lanes: list[PromisedLane] = []
    for lane in candidate.lanes:
        place = (flowcell, lane.lane, lane.index)
        if (conflict := relabelled(place, by_name[lane.library], known.lanes)) is not None:
            return conflict
        stored = known.lanes.get(place)
        if stored is None or stored.run != run:
            lanes.append(lane)
        elif (stored.r1_size, stored.r2_size) != (lane.r1_size, lane.r2_size):
            return changed(place)
    return tuple(lanes)


def _same(before: Mapping[str, Any] | None, now: Mapping[str, Any], *, timed: bool) -> bool:
    """Whether a sample is offered as it was when it failed: it would fail again."""
    if before is None or timed:
        return before == now
    return _untimed(before) == _untimed(now)


def _untimed(offer: Mapping[str, Any]) -> dict[str, Any]:
    lanes = [{name: value for name, value in lane.items() if name != "changed_ns"} for lane in offer["lanes"]]
    return {**offer, "lanes": lanes}


def _candidate(sample: PromisedSample, identity: Identity) -> Candidate:
    def library(name: str) -> str:
        return identity.library(project=sample.project, sample=sample.sample, library=name)

    libraries = {library(lane.library): lane.library for lane in sample.lanes}
    offer = {
        "lanes": [
            {
                "lane": lane.lane,
                "index": lane.index,
                "library": library(lane.library),
                "r1": lane.r1,
                "r2": lane.r2,
                "r1_size": lane.r1_size,
                "r2_size": lane.r2_size,
                "changed_ns": lane.changed_ns,
            }
            for lane in sample.lanes
        ],
        "libraries": libraries,
        "further": sorted(library(name) for name in sample.further),
    }
    return Candidate(
        key=identity.sample(project=sample.project, sample=sample.sample),
        sample=sample,
        lanes=sample.lanes,
        libraries=libraries,
        offer=offer,
    )


def _task(run: str, attempt: int, root: str, folder: str, offer: Offer, candidate: Candidate) -> CheckTask:
    names = {name: key for key, name in candidate.libraries.items()}
    return CheckTask(
        run=run,
        attempt=attempt,
        root=root,
        flowcell=offer.info.flowcell,
        sample=candidate.key,
        project=candidate.sample.project,
        label=candidate.sample.sample,
        libraries=dict(candidate.libraries),
        lanes=tuple(
            CheckLane(
                lane=lane.lane,
                index=lane.index,
                library=names[lane.library],
                r1=f"{folder}/{lane.r1}",
                r2=f"{folder}/{lane.r2}",
            )
            for lane in candidate.lanes
        ),
    )
