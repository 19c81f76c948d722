"""What people decide, checked against where things stand: the command to publish, and who must note it.

The commands and the page ask through these functions, so that both refuse the same things in the same words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from chassis.errors import reject
from console import views as v
from console.commands_out import command

if TYPE_CHECKING:
    from contracts.events import Command
    from contracts.values import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command to publish. `services` are those whose audit shows that it was heard."""

    command: Command
    services: tuple[str, ...]


async def cancelling(views: v.Views, target: str, *, reason: str, actor: Actor | None = None) -> Asked:
    """End the work of a run, a sample or a freeze. Raises Rejected (COMMAND_VALUE, PHI_SUSPECTED)."""
    from contracts.events import WorkCancelRequested

    tasks = await views.everywhere(v.TASKS_OF, target, 1)
    return Asked(
        command=command(WorkCancelRequested, **_by(actor), target=target, reason=reason),
        services=tuple(service for service, rows in tasks.items() if rows),
    )


async def reviving(views: v.Views, target: str, *, reason: str, actor: Actor | None = None) -> Asked:
    """Try dead tasks of a run or a sample again. Raises Rejected (NOTHING_DEAD and as `cancelling`)."""
    from contracts.events import WorkReviveRequested

    dead = await dead_tasks(views, target)
    if ":" in target or not dead:
        raise reject(
            code="NOTHING_DEAD",
            message="a freeze is not revived" if ":" in target else "no task of it is dead",
            where=target,
            rule="a run's or a sample's dead tasks can be tried again",
            fix="ask for the freeze again" if ":" in target else "see `cohortstream status` for what it waits for",
        )
    return Asked(command=command(WorkReviveRequested, **_by(actor), target=target, reason=reason), services=tuple(dead))


async def dead_tasks(views: v.Views, target: str) -> Mapping[str, Sequence[v.Row]]:
    """Failed tasks of a subject, by service, where there are any."""
    return {service: rows for service, rows in (await views.everywhere(v.FAILED_TASKS, target)).items() if rows}


async def deciding(
    views: v.Views,
    service: str,
    number: int,
    *,
    decision: Literal["replay", "discard"],
    reason: str,
    actor: Actor | None = None,
) -> Asked:
    """Replay or discard a quarantined event. Raises Rejected (QUARANTINE_UNKNOWN, QUARANTINE_DECIDED, as above)."""
    from contracts.events import QuarantineDecisionRequested

    item = f"{service}/{number}"
    row = await views.one(service, v.QUARANTINED, number)
    if row is None:
        raise unknown_item(item)
    if row["state"] != "held":
        raise reject(
            code="QUARANTINE_DECIDED",
            message=f"it was {row['state']} by {row['decided_by']}",
            where=item,
            rule="an item is decided on once",
            fix="`cohortstream quarantine list` shows what is held",
        )
    fields: dict[str, Any] = {"service": service, "item": number, "decision": decision, "reason": reason}
    return Asked(command=command(QuarantineDecisionRequested, **_by(actor), **fields), services=(service,))


def verdict(key: str, *, word: Literal["hold", "pass"], reason: str, actor: Actor | None = None) -> Asked:
    """Hold a sample back from freezes, or let it in, whatever its QC says."""
    from contracts.events import SampleVerdictRequested

    asked = command(SampleVerdictRequested, **_by(actor), sample=key, verdict=word, reason=reason)
    return Asked(command=asked, services=("jointcall",))


def restoring(artifact: str, *, days: int, reason: str, actor: Actor | None = None) -> Asked:
    """Ask for an artifact back from its cold tier."""
    from contracts.events import ArtifactRestoreRequested

    asked = command(ArtifactRestoreRequested, **_by(actor), artifact=artifact, days=days, reason=reason)
    return Asked(command=asked, services=("archive",))


def keeping(artifact: str, *, reason: str, actor: Actor | None = None) -> Asked:
    """Hold an artifact: neither purged nor moved."""
    from contracts.events import ArtifactHoldRequested

    asked = command(ArtifactHoldRequested, **_by(actor), artifact=artifact, reason=reason)
    return Asked(command=asked, services=("archive",))


def releasing(artifact: str, *, reason: str, actor: Actor | None = None) -> Asked:
    """Lift the hold that this person placed on an artifact."""
    from contracts.events import ArtifactHoldReleased

    asked = command(ArtifactHoldReleased, **_by(actor), artifact=artifact, reason=reason)
    return Asked(command=asked, services=("archive",))


def unknown_item(item: str) -> Exception:
    return reject(
        code="QUARANTINE_UNKNOWN",
        message="there is no such item",
        where=item,
        rule="items are numbered within their service",
        fix="`cohortstream quarantine list --all` shows them all",
    )


def _by(actor: Actor | None) -> dict[str, Any]:
    """Without an actor the command names the account that this process runs as."""
    return {} if actor is None else {"actor": actor}
