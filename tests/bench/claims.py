"""Claims a second: workers that claim one task and finish it, each in a committed transaction, on a table of N rows.

The workers are asyncio tasks with a connection each, spread over a few processes, so that Python's lock is not what is
measured. A claim is `queue.claim` of one task; a cycle is the claim and `queue.finish` with its COMMIT. The latencies
are seen from the client.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from chassis.ledger import queue
from chassis.ledger.ledger import open_ledger
from chassis.ledger.migrate import migrate
from deploy.embedded.postgres import PostgresServer
from deploy.embedded.process import HeldPort
from deploy.embedded.statelock import StateLock

SERVICE = "bench"
TTL = timedelta(seconds=60)
WARM_UP = 0.15
"""Part of the run that is left out of the figures: connections, prepared statements, cold pages."""
FILL = """
insert into task (key, slug, kind, subject, belongs_to, payload, pool, memory_class, priority, state, ready_at,
                  created_at, changed_at)
select 'interval:' || n, 'interval-' || n, 'interval', 'freeze-' || n % 50, 'cohort', '{"start": 1, "end": 250000}',
       'default', 'small', (n * 7919) % 1000, 'ready', now(), now(), now()
from generate_series(1, $1::bigint) n
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000], help="ready tasks at the start")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--processes", type=int, default=2, help="that the workers are spread over")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each run")
    parser.add_argument("--no-durable", action="store_true", help="without waits for the disk, as in the tests")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One worker process's part: seconds from its first claim to the end of each cycle, and the latencies in ms."""

    ended: list[float]
    claims_ms: list[float]
    cycles_ms: list[float]


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    command = shlex.join(["python", "-m", "tests.bench", *sys.argv[1:]])
    figures: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="cohortstream-bench-") as folder:
        for rows in args.rows:
            with postgres(Path(folder) / str(rows), durable=not args.no_durable) as dsn:
                figures.append(measure(dsn, rows=rows, args=args))
    _print(command, figures, args)
    return {"command": command, "runs": figures}


@contextmanager
def postgres(state: Path, *, durable: bool) -> Iterator[str]:
    """The embedded stack's Postgres alone."""
    lock, port = StateLock.take(state), HeldPort()
    (state / "server").mkdir()
    server = PostgresServer(
        folder=state / "server",
        log=state / "postgres.log",
        port=port,
        password="bench",
        durable=durable,
        hold=lock.descriptor,
    )
    try:
        server.start()
        yield server.dsn
    finally:
        server.stop()
        port.release()
        lock.release()


def measure(dsn: str, *, rows: int, args: argparse.Namespace) -> dict[str, Any]:
    filling = time.monotonic()
    asyncio.run(_fill(dsn, rows))
    filled = time.monotonic() - filling
    load = os.getloadavg()[0]
    shares = [args.workers // args.processes + (n < args.workers % args.processes) for n in range(args.processes)]
    with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
        parts = list(pool.map(_work, [dsn] * len(shares), shares, [args.seconds] * len(shares)))
    skipped = args.seconds * WARM_UP
    kept = [(c, y) for p in parts for e, c, y in zip(p.ended, p.claims_ms, p.cycles_ms, strict=True) if e >= skipped]
    claims, cycles = zip(*kept, strict=True)
    done = sum(len(part.ended) for part in parts)
    left = asyncio.run(_count_done(dsn))
    assert left == done, f"{done} cycles were counted and {left} tasks are done"
    return {
        "rows": rows,
        "workers": args.workers,
        "per_second": len(cycles) / (args.seconds - skipped),
        "claim_ms": _latencies(claims),
        "cycle_ms": _latencies(cycles),
        "finished": done,
        "fill_s": filled,
        "load_before": load,
        "durable": not args.no_durable,
    }


def _latencies(values: tuple[float, ...]) -> dict[str, float]:
    hundredths = statistics.quantiles(values, n=100)
    return {"p50": hundredths[49], "p99": hundredths[98], "max": max(values)}


def _work(dsn: str, workers: int, seconds: float) -> Run:
    return asyncio.run(_workers(dsn, workers, seconds))


async def _workers(dsn: str, workers: int, seconds: float) -> Run:
    part = Run(ended=[], claims_ms=[], cycles_ms=[])
    async with open_ledger(dsn=dsn, service=SERVICE, pool_size=workers) as ledger:
        began = time.perf_counter()

        async def worker(name: str) -> None:
            while (start := time.perf_counter()) - began < seconds:
                async with ledger.connection() as conn:
                    (lease,) = await queue.claim(
                        conn, pools=("default",), memory_classes=("small",), owner=name, host="bench", ttl=TTL
                    )
                claimed = time.perf_counter()
                async with ledger.transaction() as tx:
                    assert await queue.finish(tx, lease, result={"variants": 12})
                ended = time.perf_counter()
                part.ended.append(ended - began)
                part.claims_ms.append((claimed - start) * 1000)
                part.cycles_ms.append((ended - start) * 1000)

        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(worker(f"w{os.getpid()}-{number}"))
    return part


async def _fill(dsn: str, rows: int) -> None:
    await migrate(dsn=dsn, service=SERVICE, versions=None)
    async with open_ledger(dsn=dsn, service=SERVICE) as ledger, ledger.connection() as conn:
        await conn.execute("set statement_timeout = 0")
        await conn.execute(FILL, rows, timeout=600)
        await conn.execute("vacuum analyze task", timeout=600)
        await conn.execute("checkpoint", timeout=600)


async def _count_done(dsn: str) -> int:
    async with open_ledger(dsn=dsn, service=SERVICE) as ledger, ledger.connection() as conn:
        return int(await conn.fetchval("select count(*) from task where state = 'done'"))


def _print(command: str, figures: list[dict[str, Any]], args: argparse.Namespace) -> None:
    console = Console(highlight=False, width=118)
    console.print(f"[bold]{command}[/]")
    console.print(
        f"{args.workers} workers in {args.processes} processes, {args.seconds:g} s a run, {os.cpu_count()} cores, "
        f"fsync {'off' if args.no_durable else 'on'}; one task a claim, one commit a claim and one a finish"
    )
    table = Table("rows", "claims + finishes/s", "claim p50", "claim p99", "cycle p50", "cycle p99", "load before")
    for one in figures:
        claim, cycle = one["claim_ms"], one["cycle_ms"]
        latencies = (claim["p50"], claim["p99"], cycle["p50"], cycle["p99"])
        table.add_row(
            f"{one['rows']:,}",
            f"{one['per_second']:,.0f}",
            *(f"{value:.1f} ms" for value in latencies),
            f"{one['load_before']:.1f}",
        )
    console.print(table)
