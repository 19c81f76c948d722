"""Which FORMAT and INFO keys a file uses, as tables that compiled code looks up by their text."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.compiled import unsigned as _at
from services.jointcall.columnar.tables import RANKED, Bytes, Ints

# what a FORMAT key is taken as; 0 is passed over; up to PL they are numbers that a block has
GQ, DP, MIN_DP, PL, GT, AD, SB, PGT, PID, PS = range(1, 11)
_FORMAT = {
    "GT": GT,
    "GQ": GQ,
    "DP": DP,
    "MIN_DP": MIN_DP,
    "AD": AD,
    "PL": PL,
    "SB": SB,
    "PGT": PGT,
    "PID": PID,
    "PS": PS,
}

# what an INFO key is taken as; 0 is passed over
END, INFO_DP, RAW_MQ, FIRST_RANKED = range(1, 5)
_INFO = {"END": END, "DP": INFO_DP, "RAW_MQandDP": RAW_MQ} | {key: FIRST_RANKED + at for at, key in enumerate(RANKED)}

MOST_KEYS = 64
"""Of one FORMAT column; HaplotypeCaller writes up to 11."""
UNKNOWN = -1

LENGTH, KEYS, FIRST_KEY, TEXT = 0, 1, 2, 2 + MOST_KEYS
"""A row of FORMAT columns: bytes of its text, how many keys it has, what each is taken as, and the text."""
_MOST_OF_A_NAME = 250


def no_formats() -> Ints:
    return np.zeros((0, TEXT), np.int32)


def with_format(formats: Ints, column: bytes) -> Ints | None:
    """`formats` and one more; None when it has too many keys. Of a key that stands twice, the first is taken."""
    keys = column.decode().split(":")
    if len(keys) > MOST_KEYS:
        return None
    met, width = formats.shape
    wider = np.zeros((met + 1, max(width, TEXT + len(column))), np.int32)
    wider[:met, :width] = formats
    row = wider[met]
    row[[LENGTH, KEYS]] = len(column), len(keys)
    row[TEXT : TEXT + len(column)] = list(column)
    for place, key in enumerate(keys):
        row[FIRST_KEY + place] = _FORMAT.get(key, 0) if key not in keys[:place] else 0
    return wider


def info_keys(declared: Iterable[str]) -> Bytes:
    """The declared INFO keys, hashed: each row is empty, or what a key is taken as and one more, its length, its
    text."""
    names = sorted(name for name in declared if len(name.encode()) <= _MOST_OF_A_NAME)
    widest = max((len(name.encode()) for name in names), default=0)
    slots = np.zeros((1 << max(6, (4 * len(names)).bit_length()), 2 + widest), np.uint8)
    for name in names:
        text = name.encode()
        slot = 0
        for byte in text:
            slot = (slot * 31 + byte) & HASH
        slot &= len(slots) - 1
        while slots[slot, 0]:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot, :2] = _INFO.get(name, 0) + 1, len(text)
        slots[slot, 2 : 2 + len(text)] = list(text)
    return slots


HASH = 0xFFFFFFF
"""Of a key: 31 times what it was, and a byte, within these bits, so that it never overflows."""


@compiled
def info_key(text: Bytes, begin: int, end: int, value: int, slots: Bytes) -> int:
    """What the key `text[begin:end]`, whose hash is `value`, is taken as; UNKNOWN where it is not declared."""
    mask = len(slots) - 1
    slot = value & mask
    while slots[slot, 0] > 0:
        same = slots[slot, 1] == end - begin
        k = 0
        while same and k < end - begin:
            same = slots[slot, 2 + k] == text[_at(begin + k)]
            k += 1
        if same:
            return int(slots[slot, 0]) - 1
        slot = (slot + 1) & mask
    return -1


@compiled
def format_row(text: Bytes, begin: int, end: int, formats: Ints) -> int:
    """Row of the FORMAT column `text[begin:end]`; UNKNOWN where it was not met before."""
    for row in range(len(formats)):
        same = formats[row, LENGTH] == end - begin
        k = 0
        while same and k < end - begin:
            same = formats[row, TEXT + k] == text[_at(begin + k)]
            k += 1
        if same:
            return row
    return -1
