"""Figures of a text, compiled. Each ends at a byte that is none of it: every line has its end, so none runs on."""

from __future__ import annotations

import numpy as np

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.compiled import unsigned as _at
from services.jointcall.columnar.tables import Bytes, Ints

BAD = -2
"""What stands there is no figure; ABSENT is `.`."""
LARGEST = 2**31 - 1
_TENS = 10.0 ** np.arange(23)
"""Powers of ten that a double holds exactly."""


@compiled
def whole(text: Bytes, begin: int, end: int) -> int:
    """`text[begin:end]` as a number from 0 on, of 17 digits at most; ABSENT for `.`, BAD for anything else."""
    if end - begin == 1 and text[_at(begin)] == 46:
        return -1
    if end <= begin or end - begin > 17:
        return -2
    value = 0
    for at in range(begin, end):
        digit = int(text[_at(at)]) - 48
        if digit < 0 or digit > 9:
            return -2
        value = value * 10 + digit
    return value


@compiled
def decimal(text: Bytes, begin: int, end: int) -> tuple[bool, float]:
    """(whether it is one, value); NaN for `.` and NaN. Right to the last bit of a float32 for up to 15 digits and
    exponents to 22, as tools write them."""
    at = begin
    if end - begin == 1 and text[_at(at)] == 46:
        return True, np.nan
    negative = text[_at(at)] == 45
    if negative or text[_at(at)] == 43:
        at += 1
    if (
        end - at == 3
        and (text[_at(at)] | 32) == 110
        and (text[_at(at + 1)] | 32) == 97
        and (text[_at(at + 2)] | 32) == 110
    ):
        return True, np.nan
    if (
        end - at >= 3
        and (text[_at(at)] | 32) == 105
        and (text[_at(at + 1)] | 32) == 110
        and (text[_at(at + 2)] | 32) == 102
    ):
        return end - at == 3 or end - at == 8, -np.inf if negative else np.inf
    mantissa, scale, digits, point = 0, 0, 0, False
    while at < end:
        byte = int(text[_at(at)])
        if 48 <= byte <= 57:
            digits += 1
            if mantissa < 10**17:
                mantissa = mantissa * 10 + byte - 48
                scale -= int(point)
            else:
                scale += int(not point)
        elif byte == 46 and not point:
            point = True
        else:
            break
        at += 1
    if digits == 0:
        return False, np.nan
    if at < end:
        if (text[_at(at)] | 32) != 101:
            return False, np.nan
        at += 1
        down = at < end and text[_at(at)] == 45
        if at < end and (text[_at(at)] == 45 or text[_at(at)] == 43):
            at += 1
        power = whole(text, at, end)
        if power < 0 or power > 9999:
            return False, np.nan
        scale += -power if down else power
    value = float(mantissa)
    while scale < 0 and value != 0:
        less = min(-scale, 22)
        value /= _TENS[less]
        scale += less
    while scale > 0 and value != 0 and value != np.inf:
        more = min(scale, 22)
        value *= _TENS[more]
        scale -= more
    return True, -value if negative else value


@compiled
def values(text: Bytes, begin: int, end: int, into: Ints, at: int) -> int:
    """Puts the values that stand there `into`, from `at` on, and says how many they are, -1 for each where all of them
    are `.`; BAD where only some are, or one is no figure."""
    found, missing = 0, 0
    p = begin
    while True:
        q = p
        while q < end and text[_at(q)] != 44:
            q += 1
        value = whole(text, p, q)
        if value < -1 or value > LARGEST:
            return -2
        missing += int(value < 0)
        into[at + found] = value
        found += 1
        if q == end:
            return found if missing == 0 or missing == found else -2
        p = q + 1
