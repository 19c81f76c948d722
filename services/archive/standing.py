"""Whether a condemned copy still has to go, asked of the ledger again just before the act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from chassis.settings import Settings
from contracts.values import Artifact, ArtifactKind
from services.archive import statements, withdrawal
from services.archive.condemn import grace
from services.archive.facts import Recorded, State, Tiering
from services.archive.gather import facts_for, recorded
from services.archive.guards import Case
from services.archive.lineage import Lineage
from services.archive.plan import unmet
from services.archive.policies import PROOF, WITHDRAWAL, Policy, load_rules
from services.archive.prices import PURGE
from services.archive.tasks import ActTask

if TYPE_CHECKING:
    from chassis.ledger.ledger import Connection

NOW = "select ledger_now()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lies:
    """Where copies of an artifact lie besides their own places: URI -> URI of the copy. `place_id`: what the cold place
    said of itself when it was taken into use."""

    cold: Mapping[str, str] = field(default_factory=dict)
    place_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`why_not` is empty when the act may go on; the store must then have `replacements` as they were recorded."""

    why_not: tuple[str, ...]
    replacements: tuple[Artifact, ...] = ()
    guards: tuple[str, ...] = ()
    lies: Lies = field(default_factory=Lies)


async def lies(conn: Connection, artifact: str) -> Lies:
    copies = await conn.fetch(statements.COPIES, [artifact])
    tiering = await conn.fetchrow(statements.TIERING)
    return Lies(
        cold={row["uri"]: row["cold_uri"] for row in copies if row["cold_uri"] is not None},
        place_id=None if tiering is None else tiering["place_id"],
    )


async def tiering_of(conn: Connection) -> Tiering:
    """As the archive's consumer decided it, which tried the stores."""
    row = await conn.fetchrow(statements.TIERING)
    if row is None:
        return Tiering(backend="none", said="how objects go cold here is not decided yet")
    classes = None if row["classes"] is None else frozenset(row["classes"])
    return Tiering(
        backend=row["backend"], said=row["said"], classes=classes, cold=row["cold"], place_id=row["place_id"]
    )


async def standing_of(conn: Connection, task: ActTask, *, settings: Settings) -> Standing:
    """What the ledger says now of a condemned copy, and where else it lies."""
    standing = await _judged(conn, task, settings=settings)
    return replace(standing, lies=await lies(conn, task.artifact))


async def _judged(conn: Connection, task: ActTask, *, settings: Settings) -> Standing:
    if task.policy == WITHDRAWAL:
        return await _standing_of_withdrawn(conn, task, settings=settings)
    tiering = await tiering_of(conn)
    rules = load_rules(settings.archive.policies, prices=settings.cost.prices).under(tiering)
    policy = rules.named(task.policy)
    if policy is None or policy.action != task.action:
        return Standing(why_not=("its policy is not in force any more",))
    row = await conn.fetchrow(statements.CONDEMNED_BY, task.artifact, task.uri, task.count)
    if row is None:
        return Standing(why_not=("it is not condemned any more",))
    artifact = replace(recorded(row), state=State.stored)
    now = await conn.fetchval(NOW)
    if now < row["not_before"]:
        return Standing(why_not=("its grace period is not over",))
    facts = await facts_for(
        conn,
        [artifact],
        prices=rules.prices,
        tiering=tiering,
    )
    case = Case(artifact=artifact, policy=policy, lineage=Lineage(facts), now=now)
    why_not = unmet(case)
    if why_not:
        return Standing(why_not=why_not)
    wanted = replacing(artifact, policy, case.lineage)
    replacements = await _kept_copies(conn, wanted)
    unproven = not wanted and policy.action == PURGE and PROOF.get(artifact.kind) is not None
    if unproven or {replacement.id for replacement in replacements} != wanted:
        return Standing(why_not=("no copy of what replaces it is recorded as kept",))
    return Standing(why_not=(), replacements=replacements, guards=policy.guards_for(artifact.kind))


async def _standing_of_withdrawn(conn: Connection, task: ActTask, *, settings: Settings) -> Standing:
    """As for a policy: still condemned by this very fact, the grace period over, and nothing in its way."""
    row = await conn.fetchrow(statements.CONDEMNED_BY, task.artifact, task.uri, task.count)
    if row is None:
        return Standing(why_not=("it is not condemned any more",))
    now = await conn.fetchval(NOW)
    if now < row["not_before"]:
        return Standing(why_not=("its grace period is not over",))
    deadline = await conn.fetchval(statements.DEADLINE, row["subject"])
    if deadline is None:
        return Standing(why_not=("its sample is not withdrawn",))
    artifact = replace(recorded(row), state=State.stored)
    return Standing(
        why_not=await withdrawal.why_not(conn, artifact, deadline=deadline, now=now, grace=grace(settings)),
        guards=(withdrawal.GUARD, "no-hold"),
    )


async def _kept_copies(conn: Connection, ids: set[str]) -> tuple[Artifact, ...]:
    """One of each. Without its version: a move that runs beside this makes a new one of the same content."""
    chosen: dict[str, Artifact] = {}
    for row in await conn.fetch(statements.COPIES, sorted(ids)):
        kept = row["state"] == State.stored or (row["state"] == State.condemned and row["action"] != PURGE)
        if kept and row["size"] is not None:
            chosen.setdefault(
                row["id"], Artifact(kind=ArtifactKind(row["kind"]), id=row["id"], uri=row["uri"], size=row["size"])
            )
    return tuple(chosen.values())


def replacing(artifact: Recorded, policy: Policy, lineage: Lineage) -> set[str]:
    """Ids of the CRAMs that hold what would be lost with this artifact, for a purge; nothing for a move, whose own
    copy the store verifies. For a FASTQ of several samples, one CRAM for each lane."""
    if policy.action != PURGE:
        return set()
    match artifact.kind:
        case ArtifactKind.fastq:
            proofs = [
                next((cram.id for cram in lineage.crams_holding(lane) if cram.proves(lane.files)), None)
                for lane in lineage.lanes_of(artifact)
            ]
            return {proof for proof in proofs if proof is not None}
        case ArtifactKind.lane_bam:
            newest = lineage.newest_cram(artifact.subject)
            return {newest.id} if newest is not None else set()
        case ArtifactKind.cram:
            return {
                cram.id
                for old in lineage.crams_from(artifact)
                for cram in lineage.crams_of(old.sample)
                if cram.version > old.version and cram.proves(lineage.files_of(old))
            }
        case _:
            return set()
