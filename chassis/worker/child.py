"""The child process: reads tasks from its worker, runs them one after the other, says how each ended.

Standard output belongs to the conversation with the worker; what tools print goes to the attempt's log.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import traceback
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, assert_never

from chassis.errors import LeaseLost, Preempted, Rejected, ToolFailed
from chassis.ledger import queue
from chassis.outcomes import Done, Failed, Outcome, Retry
from chassis.reference.cache import ReferenceCache
from chassis.service import Service, build, locate
from chassis.settings import Settings
from chassis.storage import open_store
from chassis.storage.store import Store, StoreUnavailable
from chassis.telemetry.context import attached
from chassis.telemetry.setup import Flush, telemetry
from chassis.worker.context import Parked, TaskContext, Waiting, restore_of
from chassis.worker.disk import is_full, no_room
from chassis.worker.trail import waited_for
from chassis.worker.wire import lease_in, line, outcome_out, settings_in
from contracts.events import ArtifactRestoreRequested
from contracts.values import Actor, ActorKind

RESTORE_PATIENCE = timedelta(days=3)
"""Deep Archive's bulk retrieval takes up to 48 hours; after this a parked task looks for itself."""
SAID_LIMIT = 400
FLUSH_SECONDS = 1.0
"""For the spans of tools, when the work has failed or must go: a collector that is away costs no more than that."""

log = logging.getLogger(__name__)


class Conversation:
    """The pipes to the worker."""

    def __init__(self, *, hears: IO[str], says: IO[bytes]) -> None:
        self._hears = hears
        self._says = says
        self.flush = Flush()

    async def hear(self) -> dict[str, Any] | None:
        said = await asyncio.to_thread(self._hears.readline)
        if not said:
            return None
        message = json.loads(said)
        assert isinstance(message, dict)
        return message

    def say(self, message: dict[str, Any]) -> None:
        self._says.write(line(message))
        self._says.flush()

    async def record(self, chunk: str, value: Mapping[str, Any]) -> None:
        """Have the worker record a chunk; its answer says whether to go on."""
        self.flush()  # the chunk's spans last as long as the chunk, whatever ends this process
        self.say({"say": "chunk", "chunk": chunk, "value": dict(value)})
        answer = await self.hear()
        match answer:
            case {"reply": "go"}:
                return
            case {"reply": "stop"}:
                raise Preempted("the worker is to stop")
            case _:
                raise LeaseLost("the worker no longer holds this task")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What stays the same from one task to the next."""

    service: Service
    settings: Settings
    store: Store
    references: ReferenceCache
    conversation: Conversation
    memory_mb: int

    def context(self, order: Mapping[str, Any]) -> TaskContext:
        return TaskContext(
            service=self.service.name,
            settings=self.settings,
            lease=lease_in(order["task"]),
            store=self.store,
            references=self.references,
            scratch=Path(order["scratch"]),
            log=Path(order["log"]),
            record=self.conversation.record,
        )


async def run(builder: str, memory_mb: int, conversation: Conversation) -> None:
    first = await conversation.hear()
    if first is None:
        return
    settings = settings_in(first["settings"])
    service = build(builder, settings)
    with telemetry(service=service.name, process="child", state_dir=settings.state_dir, settings=settings.telemetry):
        async with open_store(settings.store) as store:
            with _references(settings) as references:
                bench = Bench(
                    service=service,
                    settings=settings,
                    store=store,
                    references=references,
                    conversation=conversation,
                    memory_mb=memory_mb,
                )
                conversation.say({"say": "ready"})
                while (order := await conversation.hear()) is not None:
                    await _attempt(bench, order)


def _references(settings: Settings) -> ReferenceCache:
    root = settings.worker.reference_cache or settings.state_dir / "cache" / "references"
    limit = int(settings.worker.reference_cache_gb * 1e9)
    return ReferenceCache(root=root, limit_bytes=limit, mount=settings.worker.reference_mount)


async def _attempt(bench: Bench, order: dict[str, Any]) -> None:
    context = bench.context(order)
    try:
        with attached(order["traceparent"]), _tools_write_to(context.log):
            said = await _said(bench, context)
    except OSError as error:
        said = _crash(context, error)
    context.withheld.clean_file(context.log)
    if said["say"] != "outcome":
        # after such an end the worker kills this process
        await asyncio.to_thread(bench.conversation.flush, wait_s=FLUSH_SECONDS)
    bench.conversation.say(context.withheld.clean(said))


async def _said(bench: Bench, context: TaskContext) -> dict[str, Any]:
    """Run the task; how it ended, as the worker is told."""
    try:
        outcome: Outcome = await locate(bench.service.kind(context.lease.kind).work)(context)
        why = None
    except Rejected as rejected:
        outcome, why = Failed(rejection=rejected.rejection), rejected.rejection.code
    except Parked as parked:
        outcome, why = _waiting(parked, bench.service.name), "restore"
    except Waiting as waiting:
        outcome = Retry(reason=waiting.reason, after=waiting.after, waits_for="a person")
        why = "a person"
    except StoreUnavailable as unavailable:
        outcome = Retry(reason=str(unavailable)[:SAID_LIMIT], after=queue.backoff(context.lease.attempts, base=2.0))
        why = "store away"
    except Preempted:
        return {"say": "stopped"}
    except LeaseLost:
        return {"say": "lost"}
    except ToolFailed as failed:
        why = "out of memory" if failed.out_of_memory else "tool failed"
        return _crash(context, failed, why=why) | {"more_memory": failed.out_of_memory}
    except MemoryError:
        reason = f"out of memory with {bench.memory_mb} MB"
        return {"say": "crash", "reason": reason, "why": "out of memory", "more_memory": True}
    except Exception as error:
        traceback.print_exc()
        log.exception("the task's code failed")
        return _crash(context, error)
    return {"say": "outcome", "outcome": outcome_out(outcome), "why": why or _why(outcome)}


def _why(outcome: Outcome) -> str:
    """How the task's own code ended it, in one of few words; what it says of it names files and times."""
    match outcome:
        case Done():
            return "done"
        case Failed():
            return outcome.rejection.code
        case Retry():
            return "asked for by the task" if outcome.waits_for is None else waited_for(outcome.reason)
        case _:
            assert_never(outcome)


def _crash(context: TaskContext, error: Exception, *, why: str = "error in the code") -> dict[str, Any]:
    reason = str(error) if isinstance(error, ToolFailed) else _bug(error)
    full = is_full(error) or no_room(context.scratch)
    return {"say": "full" if full else "crash", "reason": reason[:SAID_LIMIT], "why": "disk full" if full else why}


def _bug(error: Exception) -> str:
    """What and where, for the wire. An error's own words often repeat a value of the input: they stay in the log."""
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).stem}, line {frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}; the attempt's log says more"


def _waiting(parked: Parked, service: str) -> Retry:
    request = ArtifactRestoreRequested(
        request_id=uuid.uuid4(),
        artifact=parked.artifact.id,
        actor=Actor(kind=ActorKind.service, name=service),
        reason="a task needs it",
    )
    return Retry(reason=str(parked), after=RESTORE_PATIENCE, waits_for=restore_of(parked.artifact), events=(request,))


@contextmanager
def _tools_write_to(path: Path) -> Iterator[None]:
    """Point file descriptors 1 and 2 at the attempt's log: libraries in C and a JVM in this process print there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, saved in zip((1, 2), kept, strict=True):
            os.dup2(saved, number)
            os.close(saved)


def main() -> None:
    builder, memory_mb = sys.argv[1], int(sys.argv[2])
    says = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    asyncio.run(run(builder, memory_mb, Conversation(hears=sys.stdin, says=says)))


if __name__ == "__main__":
    main()
