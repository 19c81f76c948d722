"""What each guard of the protocol is worth: the same code without it."""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOL_TESTS = (
    "tests/chassis/ledger",
    "tests/chassis/messaging",
    "tests/chassis/worker",
    "tests/faults/test_events.py",
    "tests/faults/test_workers.py",
    "tests/faults/test_restore.py",
    "tests/faults/test_broker.py",
    "tests/faults/test_database.py",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`before` stands in `file` exactly once."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...] = PROTOCOL_TESTS


MUTANTS = (
    Mutant(
        name="no epoch in the fence",
        file="chassis/ledger/queue.py",
        before='_HELD = "key = $1 and epoch = $2 and ',
        after='_HELD = "key = $1 and $2::bigint is not null and ',
    ),
    Mutant(
        name="no incarnation in the fence",
        file="chassis/ledger/queue.py",
        before="and epoch = $2 and (select number from incarnation) = $3 and state = 'leased'",
        after="and epoch = $2 and $3::integer is not null and state = 'leased'",
    ),
    Mutant(
        name="no inbox check",
        file="chassis/ledger/inbox.py",
        before="    if fresh is not None:\n",
        after="    if True:\n",
    ),
    Mutant(
        name="no outbox: what a result tells is not written with it",
        file="chassis/worker/settle.py",
        before="""        await kind.committed(tx, lease, outcome.result)
    await outbox.add(tx, *outcome.events)
""",
        after="""        await kind.committed(tx, lease, outcome.result)
""",
    ),
    Mutant(
        name="an outbox that marks before it sends",
        file="chassis/messaging/relay.py",
        before="""                    await _send(producer, batch)
""",
        after="""                    await outbox.mark_sent(conn, [row.id for row in batch])
                    await _send(producer, batch)
""",
    ),
    Mutant(
        name="no heartbeat",
        file="chassis/worker/attempt.py",
        before="                if not await queue.renew(conn, lease, ttl=site.ttl):\n",
        after="                if False:\n",
    ),
    Mutant(
        name="no fence of one's own: work goes on without the ledger",
        file="chassis/worker/attempt.py",
        before="            if time.monotonic() - held_since >= ttl * (1 - FENCE_MARGIN):\n",
        after="            if False:\n",
    ),
)
