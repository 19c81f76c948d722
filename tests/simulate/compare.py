"""The strategies that are compared, each played in a database of its own.

- `restart`: a task is an interval, an attempt starts it anew: what a queue of shell jobs does.
- `long chunks`: checkpoints every 250 kb, 4 chunks an interval, 289 min each in the mean.
- `chunks`: of the length that the service gives them in a cohort of this size, 20 min each in the mean. At an MTBF M a
  reclaim costs half a chunk, so chunks of c waste about c / 2M: to stay below 1 % at 45 h they must be shorter than
  54 min, and longer intervals have longer chunks.
- `split`: pieces of the predicted work that the service's planner gives them, largest first, each restarted.
- `split + chunks`: both, as the service does by its default settings.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from chassis.ledger.ledger import open_ledger
from chassis.ledger.migrate import migrate
from chassis.settings import JointcallSettings
from services.jointcall.intervals import Sizes
from tests.bench.claims import postgres
from tests.simulate.fleet import Fleet
from tests.simulate.play import Play
from tests.simulate.work import PUBLISHED_MEAN_MINUTES, PUBLISHED_SAMPLES, Strategy, draw, jobs
from tests.support.databases import empty_database

SIZES = Sizes.of(JointcallSettings(), samples=PUBLISHED_SAMPLES)
STRATEGIES = (
    Strategy(name="restart"),
    Strategy(name="long chunks", chunk_bp=250_000),
    Strategy(name="chunks", chunk_bp=SIZES.chunk_bp),
    Strategy(name="split", split_bp=SIZES.interval_bp),
    Strategy(name="split + chunks", chunk_bp=SIZES.chunk_bp, split_bp=SIZES.interval_bp),
)


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """Every strategy on every fleet. The figures, JSON-ready; the same but for the walls when the seed is the same."""
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="cohortstream-simulate-") as folder,
        postgres(Path(folder) / "state", durable=False) as dsn,
    ):
        # the finest chunks take longest: first, so that no process ends with one alone
        asked = sorted(
            ((strategy, mtbf) for mtbf in args.mtbf for strategy in STRATEGIES),
            key=lambda one: (one[0].chunk_bp or 10**9, one[1]),
        )
        with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
            played = list(pool.map(_play, [dsn] * len(asked), [args] * len(asked), *zip(*asked, strict=True)))
    order = [strategy.name for strategy in STRATEGIES]
    return {
        "asked": vars(args) | {"mean_minutes": PUBLISHED_MEAN_MINUTES},
        "rows": sorted(played, key=lambda row: (args.mtbf.index(row["mtbf_hours"]), order.index(row["strategy"]))),
        "wall_s": time.monotonic() - began,
    }


def _play(dsn: str, args: argparse.Namespace, strategy: Strategy, mtbf: float) -> dict[str, Any]:
    """One strategy on one fleet, in a database of its own."""
    return asyncio.run(_played(dsn, args, strategy, mtbf))


async def _played(dsn: str, args: argparse.Namespace, strategy: Strategy, mtbf: float) -> dict[str, Any]:
    cut = jobs(draw(intervals=args.intervals, seed=args.seed), strategy)
    async with empty_database(dsn) as database:
        await migrate(dsn=database, service="simulate", versions=None)
        async with open_ledger(dsn=database, service="simulate", pool_size=1) as ledger:
            play = Play(
                ledger=ledger,
                jobs=cut,
                fleet=Fleet(workers=args.workers, mtbf_hours=mtbf, noticed=args.noticed, seed=args.seed),
                strategy=strategy.name,
                revive_hours=args.revive_hours,
                cap_hours=args.cap_hours,
                each_chunk=args.each_chunk,
            )
            began = time.monotonic()
            figures = await play.run()
            wall = time.monotonic() - began
    return figures.as_dict() | {"wall_s": wall, "claims_per_s": figures.attempts / wall}
