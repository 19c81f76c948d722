"""What each guard of the protocol is worth: the same code without it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """`before` stands in `file` exactly once."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    """Files and tests that should notice."""


WORKERS = "tests/faults/test_workers.py::test_fault_03_a_worker_killed_after_the_commit_has_told_its_event"

MUTANTS = (
    Mutant(
        name="no epoch in the fence",
        file="chassis/ledger/queue.py",
        before='_HELD = "key = $1 and epoch = $2 and ',
        after='_HELD = "key = $1 and $2::bigint is not null and ',
        tests=(
            "tests/chassis/ledger/test_lease_machine.py",
            "tests/chassis/ledger/test_queue.py",
            "tests/faults/test_workers.py",
        ),
    ),
    Mutant(
        name="no incarnation in the fence",
        file="chassis/ledger/queue.py",
        before="and epoch = $2 and (select number from incarnation) = $3 and state = 'leased'",
        after="and epoch = $2 and $3::integer is not null and state = 'leased'",
        tests=("tests/chassis/ledger/test_incarnation.py", "tests/faults/test_restore.py"),
    ),
    Mutant(
        name="no inbox check",
        file="chassis/ledger/inbox.py",
        before="    if fresh is not None:\n",
        after="    if True:\n",
        tests=("tests/chassis/ledger/test_inbox.py", "tests/faults/test_events.py"),
    ),
    Mutant(
        name="no outbox: what a result tells is not written with it",
        file="chassis/ledger/outbox.py",
        before="    if not events:\n",
        after="    if events:\n",
        tests=("tests/chassis/ledger/test_outbox.py", WORKERS),
    ),
    Mutant(
        name="an outbox that marks before it sends",
        file="chassis/messaging/relay.py",
        before="""                    await _send(producer, batch)
""",
        after="""                    await outbox.mark_sent(conn, [row.id for row in batch])
                    await _send(producer, batch)
""",
        tests=("tests/chassis/messaging/test_relay.py", "tests/faults/test_broker.py"),
    ),
    Mutant(
        name="no heartbeat",
        file="chassis/worker/attempt.py",
        before="                if not await queue.renew(conn, lease, ttl=site.ttl):\n",
        after="                if False:\n",
        tests=("tests/chassis/worker/test_child.py", "tests/faults/test_clocks_and_leases.py"),
    ),
    Mutant(
        name="no fence of one's own: work goes on without the ledger",
        file="chassis/worker/attempt.py",
        before="            if time.monotonic() - held_since >= ttl * (1 - FENCE_MARGIN):\n",
        after="            if False:\n",
        tests=("tests/faults/test_clocks_and_leases.py", "tests/faults/test_database.py"),
    ),
)
