"""Storage classes as data: what a GB-month costs in each, how long one pays at least, which sizes are not worth moving.

The figures that come with the package are examples; a site's policies file may replace them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from chassis.storage.stub import COLD

EXAMPLES = Path(__file__).parent / "prices.toml"
GB = 1 << 30

STANDARD = "STANDARD"
PURGE = "purge"
_COLDER = (STANDARD, "STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE", COLD, PURGE)
"""Ascending: a policy never warms an object; that is what a restore is for. What lies in a cold place stays there."""


class Price(BaseModel):
    """One storage class. `minimum_bytes` is the size below which moving there costs more than it saves."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    per_gb_month: float = Field(ge=0)
    overhead_bytes: int = Field(default=0, ge=0)
    minimum_days: int = Field(default=0, ge=0)
    minimum_bytes: int = Field(default=0, ge=0)

    def monthly(self, size: int) -> float:
        """What one object of `size` bytes costs a month."""
        return (size + self.overhead_bytes) / GB * self.per_gb_month


Prices = Mapping[str, Price]


def coldness(action: str) -> int:
    """Orders storage classes from warm to cold, `purge` last. A class that we do not know counts as warm."""
    return _COLDER.index(action) if action in _COLDER else 0


def saving(prices: Prices, *, size: int | None, tier: str, action: str) -> float | None:
    """Dollars a month that the action saves; None where size or price is not known."""
    here = prices.get(tier)
    if size is None or here is None:
        return None
    if action == PURGE:
        return here.monthly(size)
    there = prices.get(action)
    return None if there is None else here.monthly(size) - there.monthly(size)
