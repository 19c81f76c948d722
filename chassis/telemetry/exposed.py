"""Histograms whose values were counted elsewhere, as a scrape shows them. Values only: nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """One series: how many values in each bucket, not cumulated, the last one without an upper bound; and their sum."""

    labels: Mapping[str, str]
    buckets: tuple[float, ...]
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """`name` as Prometheus has it, unit included; `bounds` ascending."""

    name: str
    description: str
    bounds: tuple[float, ...]
    labels: tuple[str, ...]
    series: Sequence[Counted]
