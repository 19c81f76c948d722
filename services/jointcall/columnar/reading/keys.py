"""Which FORMAT and INFO keys a file uses, as tables that compiled code looks up by their text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from services.jointcall.columnar.compiled import compiled
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


class Formats(NamedTuple):
    """FORMAT columns met, n of them: text (zero-padded), and per key what it is taken as."""

    text: Bytes  # (n, width)
    length: Ints  # (n,)
    keys: Bytes  # (n, MOST_KEYS)
    width: Ints  # (n,) keys


class InfoKeys(NamedTuple):
    """The declared INFO keys, hashed: `slots` name a key or are UNKNOWN; its text is `text[at[k]:at[k + 1]]`."""

    slots: Ints  # (a power of two,)
    text: Bytes
    at: Ints  # (n + 1,)
    taken_as: Bytes  # (n,)
    end_declared: bool


def no_formats() -> Formats:
    return Formats(
        np.zeros((0, 1), np.uint8), np.zeros(0, np.int32), np.zeros((0, MOST_KEYS), np.uint8), np.zeros(0, np.int32)
    )


def with_format(formats: Formats, column: bytes) -> Formats | None:
    """`formats` and one more; None when it has too many keys. Of a key that stands twice, the first is taken."""
    keys = column.decode().split(":")
    if len(keys) > MOST_KEYS:
        return None
    met, width = len(formats.length), max(formats.text.shape[1], len(column))
    text = np.zeros((met + 1, width), np.uint8)
    text[:met, : formats.text.shape[1]] = formats.text
    text[met, : len(column)] = np.frombuffer(column, np.uint8)
    row = np.zeros((1, MOST_KEYS), np.uint8)
    for place, key in enumerate(keys):
        row[0, place] = _FORMAT.get(key, 0) if key not in keys[:place] else 0
    return Formats(
        text,
        np.append(formats.length, np.int32(len(column))),
        np.vstack((formats.keys, row)),
        np.append(formats.width, np.int32(len(keys))),
    )


def info_keys(declared: Iterable[str]) -> InfoKeys:
    names = sorted(declared)
    texts = [name.encode() for name in names]
    slots = np.full(1 << max(6, (4 * len(names)).bit_length()), UNKNOWN, np.int32)
    for number, text in enumerate(texts):
        slot = 0
        for byte in text:
            slot = step(slot, byte)
        slot &= len(slots) - 1
        while slots[slot] != UNKNOWN:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = number
    return InfoKeys(
        slots,
        np.frombuffer(b"".join(texts), np.uint8),
        np.cumsum([0, *map(len, texts)], dtype=np.int32),
        np.array([_INFO.get(name, 0) for name in names], np.uint8),
        "END" in names,
    )


@compiled
def step(value: int, byte: int) -> int:
    """One byte further in the hash of a key: small enough never to overflow."""
    return (value * 31 + byte) & 0xFFFFFFF


@compiled
def info_key(
    text: Bytes, begin: int, end: int, value: int, slots: Ints, names: Bytes, names_at: Ints, taken_as: Bytes
) -> int:
    """What the key `text[begin:end]`, whose hash is `value`, is taken as; UNKNOWN where it is not declared. The
    rest: InfoKeys."""
    mask = len(slots) - 1
    slot = value & mask
    while True:
        number = slots[slot]
        if number < 0:
            return -1
        at = names_at[number]
        if names_at[number + 1] - at == end - begin:
            same = True
            for k in range(end - begin):
                if names[at + k] != text[begin + k]:
                    same = False
                    break
            if same:
                return int(taken_as[number])
        slot = (slot + 1) & mask


@compiled
def format_row(text: Bytes, begin: int, end: int, columns: Bytes, length: Ints) -> int:
    """Row of the FORMAT column `text[begin:end]`; UNKNOWN where it was not met before. The rest: Formats."""
    for row in range(len(length)):
        if length[row] == end - begin:
            same = True
            for k in range(end - begin):
                if columns[row, k] != text[begin + k]:
                    same = False
                    break
            if same:
                return row
    return -1
