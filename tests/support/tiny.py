"""A service smaller than any real one, for tests of the chassis: commands become tasks of small chunks, each finished
task one event, and each such event a count.

A task's payload: `chunks` how many; `journal` a file that gets a line per chunk run (`chunk attempt`); `gates` a folder
in which a chunk waits for a file of its own name, where the test wants to strike in the middle; `end` another end than
a good one; `pids` a file for the process ids of the child and of a tool that it starts; `hold_gil` for how many seconds
the interpreter of the child stands still; `burners` how many processes burn the processor for a while; `needs_mb` of
memory; `large_mb` of disk, in the last chunk; `spans` how many it makes; `fetch` an artifact that it brings and stores
again; `manifest` whether its result has one, which is written once.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from chassis.errors import Rejection, ToolFailed, reject
from chassis.ledger import outbox, queue
from chassis.ledger.ledger import Tx
from chassis.ledger.tasks import Lease, NewTask
from chassis.outcomes import Done, Outcome, Retry
from chassis.service import Service, Subscriptions, TaskKind
from chassis.settings import Settings
from chassis.storage.store import tags_of
from chassis.telemetry.setup import tracer
from chassis.worker.context import TaskContext
from contracts.events import SampleFailed, SampleTagRequested, SampleWithdrawn
from contracts.values import Artifact, ArtifactKind
from tests.support import misdeeds

BUILDER = "tests.support.tiny:build"
NAME = "tiny"
VERSIONS = Path(__file__).parent / "tiny_versions"

SEEN = """
insert into seen (sample, times) values ($1, 1) on conflict (sample) do update set times = seen.times + 1
"""


def build(settings: Settings) -> Service:
    subscriptions = Subscriptions()
    subscriptions.on(SampleTagRequested, on_tag)
    subscriptions.on(SampleWithdrawn, on_withdrawn)
    return Service(
        name=NAME,
        subscriptions=subscriptions,
        kinds=(TaskKind(name="steps", work="tests.support.tiny:steps", committed=committed, gave_up=gave_up),),
        migrations=VERSIONS,
    )


def build_next(settings: Settings) -> Service:
    """Of the next version, which knows one more kind of task."""
    service = build(settings)
    leaps = replace(service.kinds[0], name="leaps")
    return replace(service, kinds=(*service.kinds, leaps))


def build_unable(settings: Settings) -> Service:
    """Builds in the worker and not in its child, as on a host where a package is missing."""
    if Path("/proc/self/cmdline").read_bytes().find(b"chassis.worker.child") >= 0:
        raise RuntimeError("not on this host")
    return build(settings)


async def on_tag(tx: Tx, event: SampleTagRequested) -> None:
    """Any command would do; this one carries a sample and a word. The word `poison` is a handler's bug."""
    if event.tag == "poison":
        raise RuntimeError("a bug")
    await queue.enqueue(tx, [steps_task(event.sample, chunks=1)])


async def on_withdrawn(tx: Tx, event: SampleWithdrawn) -> None:
    await tx.conn.execute(SEEN, event.sample)


def steps_task(sample: str, *, chunks: int = 3, **payload: Any) -> NewTask:
    return NewTask(key=f"steps:{sample}", kind="steps", subject=sample, payload={"chunks": chunks} | payload)


async def steps(context: TaskContext) -> Outcome:
    payload = context.payload
    match payload.get("end"):
        case "reject":
            raise reject(code="EMPTY_INPUT", message="nothing in it", where="x", rule="something in it", fix="fill it")
        case "crash":
            raise ToolFailed(tool="tiny", status=1, said="no")
        case "memory":
            raise ToolFailed(tool="tiny", status=137, said="no", out_of_memory=True)
        case "retry":
            return Retry(reason="not yet", after=timedelta(0))
        case "vanish":
            os._exit(3)
        case "nul":
            raise ToolFailed(tool="tiny", status=1, said="a\x00b")
        case "killed":
            misdeeds.be_killed()
        case "kill-worker":
            misdeeds.kill_worker()
        case _:
            pass
    if "needs_mb" in payload:
        misdeeds.eat_memory(payload["needs_mb"], within_mb=context.lease.memory_mb)
    if "burners" in payload:
        misdeeds.burn(payload["burners"], seconds=4.0)
    if "pids" in payload:
        tool = subprocess.Popen(["sleep", "600"])
        await asyncio.to_thread(Path(payload["pids"]).write_text, f"{os.getpid()} {tool.pid}\n")
    if "hold_gil" in payload:
        ctypes.PyDLL(None).usleep(int(payload["hold_gil"] * 1_000_000))
    uris: dict[str, str] = {}
    for number in range(int(payload["chunks"])):
        name = f"chunk-{number}"
        if name in context.chunks:
            uris[name] = context.chunks[name]["uri"]
            continue
        _journal(payload, f"start {name} {context.lease.attempt}")
        if "gates" in payload:
            gate = Path(payload["gates"]) / name
            while not gate.exists():
                await asyncio.sleep(0.01)
        if "large_mb" in payload and number == int(payload["chunks"]) - 1:
            misdeeds.eat_disk(context.scratch, payload["large_mb"])
        path = context.scratch / name
        path.write_text(f"{context.lease.subject} {name}\n", encoding="utf-8")
        with tracer().start_as_current_span("tiny chunk"):
            artifact = await context.upload(path, kind=ArtifactKind.log)
        _journal(payload, f"end {name} {context.lease.attempt}")
        await context.checkpoint(name, {"uri": artifact.uri})
        uris[name] = artifact.uri
    if "fetch" in payload:
        fetched = await context.fetch(Artifact.model_validate(payload["fetch"]), "fetched")
        uris["fetched"] = (await context.upload(fetched, kind=ArtifactKind.log)).uri
    if payload.get("manifest"):
        tags = tags_of(kind=ArtifactKind.log, stage=NAME, subject=context.lease.subject)
        body = json.dumps(uris, sort_keys=True).encode()
        uris["manifest"] = (await context.store.put_bytes(context.key("manifest"), body, tags=tags, if_absent=True)).uri
    waiting = {"waiting_spans": misdeeds.make_spans(payload["spans"])} if "spans" in payload else {}
    return Done(result={"uris": uris} | waiting, events=(SampleWithdrawn(sample=context.lease.subject, service=NAME),))


async def committed(tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
    if lease.payload.get("end") == "bug-in-commit":
        raise RuntimeError("a bug")


async def gave_up(tx: Tx, lease: Lease, rejection: Rejection) -> None:
    await outbox.add(
        tx,
        SampleFailed(
            sample=lease.subject, stage="tiny", task=lease.key, rejection=rejection.detail(), went_on="everything else"
        ),
    )


def _journal(payload: Mapping[str, Any], line: str) -> None:
    if "journal" in payload:
        with Path(payload["journal"]).open("a", encoding="utf-8") as journal:
            journal.write(line + "\n")
