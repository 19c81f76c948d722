"""The soak's own test: a short one as it is, and what its seed and its table promise."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path

from tests.soak.schedule import KILLS, schedule
from tests.soak.soak import soaked

SECONDS, SEED = 35.0, 1449
"""Within these seconds of this seed there is every kind of kill, and a zombie."""


def test_a_seed_is_a_schedule() -> None:
    whole, begin = schedule(seconds=600, seed=7), schedule(seconds=60, seed=7)
    assert whole == schedule(seconds=600, seed=7)
    assert whole[: len(begin)] == begin, "a shorter one is the begin of a longer"
    assert whole != schedule(seconds=600, seed=8)
    assert {strike.kind for strike in schedule(seconds=SECONDS, seed=SEED)} > set(KILLS)
    kinds = Counter(strike.kind for strike in whole)
    assert sum(kinds[kind] for kind in KILLS) > 220, "some will meet nobody, and 200 must be left"


async def test_a_minute_of_chaos() -> None:
    folder = Path(tempfile.mkdtemp(prefix="cohortstream-soak-"))
    outcome = await soaked(folder, seconds=SECONDS, seed=SEED, trios=2, in_flight=3, say=print)
    assert {name: keys for name, keys in outcome.broken.items() if keys} == {}, f"all of it is kept in {folder}"
    shutil.rmtree(folder, ignore_errors=True)
    assert outcome.kills >= 8
    assert outcome.cohorts >= 5
    assert outcome.results_checked > 100
    assert outcome.lost > 0, "something was lost, and came through all the same"
