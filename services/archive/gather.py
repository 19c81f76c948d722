"""From the ledger's rows to the facts that deciding needs, no more than bear on the artifacts in hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg

from contracts.values import ArtifactKind
from services.archive import statements
from services.archive.facts import Check, Cram, Facts, Freeze, Gvcf, Hold, Lane, Recorded, State, Tiering
from services.archive.prices import Prices

if TYPE_CHECKING:
    from chassis.ledger.ledger import Connection


async def facts_for(conn: Connection, artifacts: Sequence[Recorded], *, prices: Prices, tiering: Tiering) -> Facts:
    """Everything that bears on these artifacts. Statements of one transaction; rows may change between two of them,
    so whoever acts on the answer locks the artifact and asks again."""
    ids = [artifact.id for artifact in artifacts]
    samples = {row["sample"] for row in await conn.fetch(statements.SAMPLES_OF, ids)}
    samples |= {artifact.subject for artifact in artifacts if artifact.kind is ArtifactKind.lane_bam}
    among = sorted(samples)
    gvcfs = [_gvcf(row) for row in await conn.fetch(statements.GVCFS, among)]
    members = sorted({*ids, *(gvcf.id for gvcf in gvcfs)})
    subjects = sorted({artifact.subject for artifact in artifacts})
    return Facts(
        artifacts=tuple(artifacts),
        lanes=tuple(_lane(row) for row in await conn.fetch(statements.LANES, among)),
        crams=tuple(_cram(row) for row in await conn.fetch(statements.CRAMS, among)),
        gvcfs=tuple(gvcfs),
        freezes=tuple(_freeze(row) for row in await conn.fetch(statements.FREEZES, members, subjects)),
        holds=tuple(Hold(**dict(row)) for row in await conn.fetch(statements.HOLDS, ids)),
        prices=prices,
        tiering=tiering,
    )


def recorded(row: asyncpg.Record) -> Recorded:
    return Recorded(
        id=row["id"],
        uri=row["uri"],
        kind=ArtifactKind(row["kind"]),
        stage=row["stage"],
        subject=row["subject"],
        recorded_at=row["recorded_at"],
        size=row["size"],
        version=row["version"],
        made_at=row["made_at"],
        tier=row["tier"],
        tier_since=row["tier_since"],
        state=State(row["state"]),
        wanted_until=row["wanted_until"],
        not_again_before=row["not_again_before"],
        warm=row["warm_since"] is not None,
    )


def _lane(row: asyncpg.Record) -> Lane:
    return Lane(
        sample=row["sample"],
        version=row["version"],
        read_group=row["read_group"],
        r1=row["r1"],
        r2=row["r2"],
        fingerprint=row["fingerprint"],
    )


def _cram(row: asyncpg.Record) -> Cram:
    return Cram(
        id=row["id"],
        crai=row["crai"],
        sample=row["sample"],
        version=row["version"],
        read_groups=frozenset(row["read_groups"]),
        fingerprint=row["fingerprint"],
        recorded_at=row["recorded_at"],
        kept=row["kept"],
        check=None if row["checked"] is None else Check(row["checked"]),
        compared=frozenset(row["compared"]),
    )


def _gvcf(row: asyncpg.Record) -> Gvcf:
    return Gvcf(
        id=row["id"],
        index=row["index_id"],
        sample=row["sample"],
        version=row["version"],
        passed=row["passed"],
        recorded_at=row["recorded_at"],
    )


def _freeze(row: asyncpg.Record) -> Freeze:
    return Freeze(
        id=row["id"],
        # Members of the artifacts in hand alone: that is all that is asked of them.
        members=frozenset(row["members"]) if row["read"] else None,
        released_at=row["released_at"],
        failed=row["failed"],
    )
