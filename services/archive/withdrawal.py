"""What a withdrawal asks of the archive: the sample's own artifacts go by its deadline, as all destroying is done.

No policy decides it, and none moves what is to be purged; nothing has to replace what goes. Panels that hold the
sample are named in `status_withdrawal`: a person makes them again without it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from chassis.ledger import outbox
from chassis.ledger.ledger import Ledger, Tx
from contracts.events import SampleWithdrawn
from contracts.values import ArtifactKind
from services.archive import statements
from services.archive.condemn import condemn
from services.archive.facts import Recorded, Tiering
from services.archive.gather import facts_for, recorded
from services.archive.guards import Case, day, no_hold, not_referenced_by_open_freeze
from services.archive.lineage import Lineage
from services.archive.plan import Planned
from services.archive.policies import WITHDRAWAL, Policy
from services.archive.prices import PURGE

if TYPE_CHECKING:
    from chassis.ledger.ledger import Connection

log = logging.getLogger(__name__)

PAGE = 200
GUARD = "withdrawn"
"""What artifact.purged says of why it was let go."""
NONE = Tiering(backend="none", said="a withdrawal moves nothing")
# Not checked: of a file, such a policy would be refused, since nothing replaces what it purges.
_RULE = Policy.model_construct(name=WITHDRAWAL, kind=tuple(ArtifactKind), purge=True)


def last_moment(deadline: date, grace: timedelta) -> datetime:
    """When condemning must begin, so that all is gone when the day of the deadline begins, UTC."""
    return datetime.combine(deadline, time(0), UTC) - grace


async def why_not(
    conn: Connection, artifact: Recorded, *, deadline: date, now: datetime, grace: timedelta
) -> tuple[str, ...]:
    """Why a withdrawn sample's artifact must not go yet: someone holds it, a freeze under way still needs it (until
    there is no more time), or it is another sample's too and that one has no copy of its own."""
    facts = await facts_for(conn, [artifact], prices={}, tiering=NONE)
    case = Case(artifact=artifact, policy=_RULE, lineage=Lineage(facts), now=now)
    reasons = [no_hold(case)]
    if now < last_moment(deadline, grace):
        needed = not_referenced_by_open_freeze(case)
        reasons.append(needed and f"{needed}, and there is time until {day(last_moment(deadline, grace))}")
    if artifact.not_again_before is not None and now < artifact.not_again_before:
        reasons.append(f"the last attempt was given up; not again before {day(artifact.not_again_before)}")
    others = await conn.fetch(statements.ALSO_OF, artifact.id, artifact.uri)
    reasons += [f"it is of {row['sample']} too" for row in others]
    return tuple(reason for reason in reasons if reason)


async def sweep_withdrawn(ledger: Ledger, *, grace: timedelta) -> int:
    """Condemn what may go of every withdrawn sample, keep in the plan why the rest may not, and tell of each sample of
    which nothing is left. Returns how many artifacts were condemned."""
    condemned = 0
    last = ("", "")
    while True:
        async with ledger.transaction() as tx:
            rows = await tx.conn.fetch(statements.WITHDRAWN_PAGE, *last, PAGE)
            for row in rows:
                condemned += await _weigh(tx, recorded(row), deadline=row["deadline"], grace=grace)
        if len(rows) < PAGE:
            break
        last = (rows[-1]["id"], rows[-1]["uri"])
    async with ledger.transaction() as tx:
        await _tell(tx, [row["sample"] for row in await tx.conn.fetch(statements.WITHDRAWN_AND_GONE, grace)])
    return condemned


async def _weigh(tx: Tx, artifact: Recorded, *, deadline: date, grace: timedelta) -> bool:
    now = await tx.now()
    reasons = await why_not(tx.conn, artifact, deadline=deadline, now=now, grace=grace)
    note = f"its sample is withdrawn; by {deadline}"
    planned = Planned(artifact=artifact, action=PURGE, policy=WITHDRAWAL, why_not=reasons, note=note)
    if planned.holds:
        return await condemn(tx, planned, now=now, grace=grace)
    await tx.conn.execute(statements.PLANNED, artifact.id, artifact.uri, WITHDRAWAL, PURGE, list(reasons), note, None)
    return False


async def _tell(tx: Tx, samples: Iterable[str]) -> None:
    for sample in samples:
        log.info("nothing of a withdrawn sample is left", extra={"sample": sample})
        await outbox.add(tx, SampleWithdrawn(sample=sample, service=tx.service))
