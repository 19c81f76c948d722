"""Text in compiled code: each function writes at a place of a buffer and returns the place behind what it wrote."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled

Text = NDArray[np.uint8]

_ZERO, _MINUS, _POINT = 48, 45, 46


@compiled
def put(out: Text, at: int, text: Text) -> int:
    for place in range(len(text)):
        out[at + place] = text[place]
    return at + len(text)


@compiled
def put_letter(out: Text, at: int, letter: int) -> int:
    out[at] = letter
    return at + 1


@compiled
def put_number(out: Text, at: int, number: int) -> int:
    if number < 0:
        out[at] = _MINUS
        at += 1
        number = -number
    digits, rest = 1, number // 10
    while rest:
        digits += 1
        rest //= 10
    for place in range(at + digits - 1, at - 1, -1):
        out[place] = _ZERO + number % 10
        number //= 10
    return at + digits


@compiled
def put_decimal(out: Text, at: int, scaled: int, digits: int) -> int:
    """`scaled` / 10^digits."""
    if scaled < 0:
        out[at] = _MINUS
        at += 1
        scaled = -scaled
    unit = 10**digits
    at = put_number(out, at, scaled // unit)
    out[at] = _POINT
    rest = scaled % unit
    for place in range(at + digits, at, -1):
        out[place] = _ZERO + rest % 10
        rest //= 10
    return at + 1 + digits
