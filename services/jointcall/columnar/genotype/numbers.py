"""Numbers as GATK prints them."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from math import isnan

_UNITS = {digits: Decimal(1).scaleb(-digits) for digits in range(5)}


@lru_cache(maxsize=1 << 16)
def fixed(value: float, digits: int) -> str:
    """So many decimals, halves away from zero in the shortest decimal that names the double."""
    if isnan(value):
        return "NaN"
    return str(Decimal(repr(value)).quantize(_UNITS[digits], ROUND_HALF_UP))


@lru_cache(maxsize=1 << 16)
def general(value: float) -> str:
    """Two decimals from 1, three from 0.01, below that (and of negative numbers) four digits and an exponent."""
    if isnan(value):
        return "NaN"
    if value >= 1:
        return fixed(value, 2)
    if value >= 0.01:
        return fixed(value, 3)
    if abs(value) < 1e-20:
        return "0.00"
    exponent = Decimal(repr(value)).adjusted()
    digits = Decimal(repr(value)).scaleb(-exponent).quantize(_UNITS[3], ROUND_HALF_UP)
    if abs(digits) >= 10:
        exponent, digits = exponent + 1, digits / 10
    return f"{digits.quantize(_UNITS[3])}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def quality(value: float) -> str:
    """QUAL: two decimals, none when both are 0."""
    return fixed(value, 2).removesuffix(".00")
