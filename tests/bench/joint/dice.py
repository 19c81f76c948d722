"""Random numbers in compiled code, the same on every machine: splitmix64 (Steele, Lea & Flood, OOPSLA 2014)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled

State = NDArray[np.uint64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11, _33 = (np.uint64(bits) for bits in (30, 27, 31, 11, 33))
_UNIT = 1.0 / (1 << 53)


def state(*key: int) -> State:
    """Of one stream: its key is the cohort's seed, what the stream is for, and the person."""
    return np.random.SeedSequence(key).generate_state(1, np.uint64).astype(np.uint64)


@compiled
def mixed(value: np.uint64) -> np.uint64:
    value = (value ^ (value >> _30)) * _FIRST
    value = (value ^ (value >> _27)) * _SECOND
    return value ^ (value >> _31)


@compiled
def uniform(stream: State) -> float:
    """In [0, 1)."""
    stream[0] += _STEP
    return float(np.float64(mixed(stream[0]) >> _11) * _UNIT)


@compiled
def below(stream: State, many: int) -> int:
    return int(uniform(stream) * many)


@compiled
def binomial(stream: State, trials: int, chance: float) -> int:
    """By trial: the trials here are a site's reads."""
    hits = 0
    for _ in range(trials):
        if uniform(stream) < chance:
            hits += 1
    return hits


@compiled
def hashed(value: int) -> int:
    """31 bits that belong to the value."""
    return int(mixed(np.uint64(value) * _STEP + _STEP) >> _33)
