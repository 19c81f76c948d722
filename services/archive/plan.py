"""What would move, and why not: a pure function of facts, policies and the time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from chassis.storage.store import ARCHIVED_CLASSES
from services.archive.facts import Cram, Facts, Recorded, State
from services.archive.guards import GUARDS, Case, billed_until, day
from services.archive.lineage import Lineage
from services.archive.policies import RESTORED, TAKE_AWAY, Policy
from services.archive.prices import PURGE, coldness, saving

PROOF_BY_FINGERPRINT = frozenset({"cram-verified-fingerprint", "superseded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One policy's verdict on one artifact. `why_not` is empty when it may go now."""

    artifact: Recorded
    action: str
    """A storage class, or `purge`."""
    policy: str
    why_not: tuple[str, ...]
    note: str | None = None
    """What it costs to do it now, where that is not obvious."""
    saves_monthly: float | None = None
    """Dollars a month by the price list; None where size or price is unknown."""

    @property
    def holds(self) -> bool:
        return not self.why_not


def plan(facts: Facts, policies: Sequence[Policy], now: datetime) -> tuple[Planned, ...]:
    """Every (artifact, policy) that means it, for artifacts that lie in the store and are not condemned already."""
    lineage = Lineage(facts)
    return tuple(
        _planned(Case(artifact=artifact, policy=policy, lineage=lineage, now=now))
        for artifact in facts.artifacts
        if artifact.state is State.stored
        for policy in (*policies, TAKE_AWAY)
        if policy.takes(kind=artifact.kind, stage=artifact.stage, tier=artifact.tier, warm=artifact.warm)
    )


def decide(planned: Iterable[Planned]) -> tuple[Planned, ...]:
    """At most one action for each artifact: the coldest that may be done now, the first named where two are as cold."""
    chosen: dict[tuple[str, str], Planned] = {}
    for one in planned:
        key = (one.artifact.id, one.artifact.uri)
        if one.holds and (key not in chosen or coldness(one.action) > coldness(chosen[key].action)):
            chosen[key] = one
    return tuple(chosen.values())


def unmet(case: Case) -> tuple[str, ...]:
    """Why this policy must not act on this artifact now: its time, what nobody can switch off, and its guards."""
    why_not = [*_not_due(case), *_never_now(case)]
    for name in case.policy.guards_for(case.artifact.kind):
        reason = GUARDS[name](case)
        if reason is not None:
            why_not.append(reason)
    return tuple(why_not)


def unverified(facts: Facts, policies: Sequence[Policy]) -> tuple[Cram, ...]:
    """CRAMs whose fingerprint some policy needs, that nobody has compared yet, and all of whose FASTQs are known."""
    lineage = Lineage(facts)
    wanted: dict[tuple[str, int, str], Cram] = {}
    for artifact in facts.artifacts:
        for policy in policies:
            if not policy.takes(kind=artifact.kind, stage=artifact.stage, tier=artifact.tier):
                continue
            if PROOF_BY_FINGERPRINT.isdisjoint(policy.guards_for(artifact.kind)):
                continue
            for found in lineage.crams_from(artifact):
                for cram in lineage.crams_of(found.sample):
                    if cram.version >= found.version and cram.kept and lineage.to_compare(cram):
                        wanted[(cram.sample, cram.version, cram.id)] = cram
    return tuple(wanted.values())


def _planned(case: Case) -> Planned:
    return Planned(
        artifact=case.artifact,
        action=case.policy.action,
        policy=case.policy.name,
        why_not=unmet(case),
        note=_note(case),
        saves_monthly=saving(
            case.lineage.facts.prices,
            size=case.artifact.size,
            tier=case.artifact.tier,
            action=case.policy.action,
        ),
    )


def _not_due(case: Case) -> list[str]:
    begins = case.artifact.recorded_at
    if case.policy.event is not None:
        happened = case.lineage.when(case.policy.event, case.artifact)
        if happened is None:
            return [f"{case.policy.event} has not happened to it"]
        begins = max(begins, happened)
    due = begins + case.policy.after
    return [f"due {day(due)}"] if case.now < due else []


def _never_now(case: Case) -> list[str]:
    artifact, action = case.artifact, case.policy.action
    why_not = []
    refused = None if action == PURGE else case.lineage.facts.tiering.refuses(action)
    if refused is not None:
        why_not.append(refused)
    if action != PURGE and artifact.tier in ARCHIVED_CLASSES and not artifact.warm:
        why_not.append(f"it lies in {artifact.tier} and would have to be restored before it can move")
    if artifact.wanted_until is not None and case.now < artifact.wanted_until:
        why_not.append(f"someone asked to read it until {day(artifact.wanted_until)}")
    if artifact.not_again_before is not None and case.now < artifact.not_again_before:
        why_not.append(f"the last attempt was given up; not again before {day(artifact.not_again_before)}")
    return why_not


def _note(case: Case) -> str | None:
    if case.policy.name == RESTORED:
        return "the copy that was brought back; it stays in the cold place"
    notes = []
    paid_until = billed_until(case)
    if paid_until is not None and case.now < paid_until:
        notes.append(f"billed in {case.artifact.tier} until {day(paid_until)} all the same")
    price = case.lineage.facts.prices.get(case.policy.action)
    if price is not None and price.minimum_days:
        notes.append(f"then billed there for at least {price.minimum_days} days")
    return "; ".join(notes) or None
