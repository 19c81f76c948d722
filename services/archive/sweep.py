"""The archive's loop: weighs every artifact that a policy means, keeps the plan for people, condemns what may go."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.ledger import queue
from chassis.ledger.ledger import Ledger, Tx
from chassis.ledger.trouble import TROUBLE, passes
from chassis.service import Loop, Running
from chassis.settings import Settings
from chassis.storage.store import StoreUnavailable
from contracts.values import Artifact, ArtifactKind, ReferenceId
from services.archive import statements
from services.archive.condemn import condemn, grace
from services.archive.facts import Cram, Facts, Recorded, Tiering
from services.archive.gather import facts_for, recorded
from services.archive.lineage import Lineage
from services.archive.plan import Planned, decide, plan, unverified
from services.archive.policies import OWN_NAMES, Rules
from services.archive.tasks import LaneFiles, VerifyTask
from services.archive.tiers.choice import decide_tiering
from services.archive.withdrawal import sweep_withdrawn

log = logging.getLogger(__name__)

PAGE = 500
"""Artifacts weighed in one transaction, which must stay short."""
BUSY_SHARE = 0.1
"""Of its time that a loop may work: one that takes long comes round less often, whatever its setting says."""
LEAD = "select pg_try_advisory_lock(hashtextextended($1, 0))"
STAND_BY_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One pass over all artifacts, against the rules in force and how objects go cold here."""

    ledger: Ledger
    rules: Rules
    """As they are under that tiering."""
    tiering: Tiering
    grace: timedelta

    async def run(self) -> int:
        """Returns how many artifacts were condemned."""
        condemned = 0
        last = ("", "")
        await self._begin()
        while True:
            async with self.ledger.transaction() as tx:
                rows = await tx.conn.fetch(statements.PAGE, list(self.rules.kinds), *last, PAGE)
                page = [recorded(row) for row in rows]
                if page:
                    condemned += await self._weigh(tx, page)
            if len(page) < PAGE:
                return condemned + await sweep_withdrawn(self.ledger, grace=self.grace)
            last = (page[-1].id, page[-1].uri)

    async def _begin(self) -> None:
        async with self.ledger.transaction() as tx:
            # A person may cancel an act as any other work: its copy must not stay condemned for ever.
            await tx.conn.execute(statements.STRANDED)
            await tx.conn.execute(
                statements.STALE_POLICIES, [policy.name for policy in self.rules.policies] + [*OWN_NAMES]
            )
            for tier, price in self.rules.prices.items():
                await tx.conn.execute(statements.PRICE, tier, price.per_gb_month, price.overhead_bytes)

    async def _facts(self, tx: Tx, artifacts: Sequence[Recorded]) -> Facts:
        return await facts_for(tx.conn, artifacts, prices=self.rules.prices, tiering=self.tiering)

    async def _weigh(self, tx: Tx, page: Sequence[Recorded]) -> int:
        facts = await self._facts(tx, page)
        now = await tx.now()
        planned = plan(facts, self.rules.policies, now)
        await _keep(tx, page, planned)
        await queue.enqueue(
            tx,
            [
                task.task()
                for cram in unverified(facts, self.rules.policies)
                if (task := await _verify(tx, facts, cram))
            ],
        )
        condemned = 0
        for one in decide(planned):
            condemned += await self._condemn(tx, one, now)
        return condemned

    async def _condemn(self, tx: Tx, planned: Planned, now: datetime) -> bool:
        """Lock the copy and weigh it once more: a hold placed meanwhile waits for the lock or is seen now."""
        row = await tx.conn.fetchrow(statements.COPY_LOCKED, planned.artifact.id, planned.artifact.uri)
        if row is None:
            return False
        facts = await self._facts(tx, [recorded(row)])
        again = [one for one in plan(facts, self.rules.policies, now) if one.policy == planned.policy and one.holds]
        return bool(again) and await condemn(tx, again[0], now=now, grace=self.grace)


async def _keep(tx: Tx, page: Sequence[Recorded], planned: Sequence[Planned]) -> None:
    """Make the plan's rows for this page what they now are; a row that has not changed is not written."""
    await tx.conn.execute(
        statements.STALE_OF_PAGE,
        [artifact.id for artifact in page],
        [artifact.uri for artifact in page],
        [one.artifact.id for one in planned],
        [one.artifact.uri for one in planned],
        [one.policy for one in planned],
    )
    await tx.conn.executemany(
        statements.PLANNED,
        [
            (
                one.artifact.id,
                one.artifact.uri,
                one.policy,
                one.action,
                list(one.why_not),
                one.note,
                one.saves_monthly,
            )
            for one in planned
        ],
    )


async def _verify(tx: Tx, facts: Facts, cram: Cram) -> VerifyTask | None:
    """The comparison that a policy waits for; None while a file of it has no copy in the store."""
    chosen = Lineage(facts).chosen(cram)
    ids = [cram.id, *(file for lane in chosen.values() for file in lane.files)]
    copies = {
        row["id"]: Artifact(
            kind=ArtifactKind(row["kind"]), id=row["id"], uri=row["uri"], size=row["size"], version=row["version"]
        )
        for row in await tx.conn.fetch(statements.COPIES, ids)
        # a FASTQ that is gone needs no reading where its fingerprint is kept, but a place to name
        if row["size"] is not None
    }
    if any(file not in copies for file in ids):
        return None
    reference = await tx.conn.fetchval(statements.CRAM_REFERENCE, cram.sample, cram.version, cram.id)
    return VerifyTask(
        sample=cram.sample,
        version=cram.version,
        cram=copies[cram.id],
        reference=ReferenceId.model_validate(reference),
        fingerprint=cram.fingerprint,
        lanes=tuple(
            LaneFiles(read_group=group, r1=copies[lane.r1], r2=copies[lane.r2], fingerprint=lane.fingerprint)
            for group, lane in sorted(chosen.items())
        ),
    )


def sweeping(rules: Rules) -> Loop:
    """The loop that sweeps for ever, in whichever consumer leads."""

    async def loop(running: Running) -> None:
        decided: Tiering | None = None

        async def once() -> None:
            """What the stores can do is tried at the start; a cold place that was away, again in each round."""
            nonlocal decided
            if decided is None or _away(decided, running.settings):
                async with running.ledger.connection() as conn:
                    decided = await decide_tiering(running.settings, running.store, conn)
            await Sweep(
                ledger=running.ledger, rules=rules.under(decided), tiering=decided, grace=grace(running.settings)
            ).run()

        await repeat(running.ledger, "sweep", once, every=running.settings.archive.sweep_seconds)

    return loop


def _away(tiering: Tiering, settings: Settings) -> bool:
    return tiering.cold is None and settings.cold.base is not None and tiering.backend == "none"


async def repeat(ledger: Ledger, name: str, work: Callable[[], Awaitable[object]], *, every: float) -> None:
    """Do the work again and again, in one process of the service at a time. Troubles that pass end one round only."""
    while True:
        try:
            async with leading(ledger, name) as leads:
                while leads:
                    began = time.monotonic()
                    await work()
                    took = time.monotonic() - began
                    await asyncio.sleep(max(every, took / BUSY_SHARE - took))
        except StoreUnavailable as away:
            log.warning("a round was broken off: the store is away", extra={"loop": name, "said": away.said})
        except TROUBLE as trouble:
            if not passes(trouble):
                raise
            log.warning("a round was broken off", extra={"loop": name, "trouble": type(trouble).__name__})
        await asyncio.sleep(min(every, STAND_BY_S))


@asynccontextmanager
async def leading(ledger: Ledger, name: str) -> AsyncIterator[bool]:
    """True in the one process that leads: a session lock, gone when its connection is. Two leaders for a moment do no
    harm, since whatever is decided locks the rows that it is about."""
    conn = await ledger.dedicated()
    try:
        yield bool(await conn.fetchval(LEAD, f"{ledger.service}/{name}"))
    finally:
        await conn.close(timeout=5)
