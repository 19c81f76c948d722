"""Numbers as planes of bytes: all lowest bytes, then all second ones, up to the highest that is used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.tables import Bytes

Unsigned = NDArray[Any]


def split(values: Unsigned) -> Bytes:
    """The planes of an unsigned array, one after the other; none for zeros alone."""
    flat = np.ascontiguousarray(values).reshape(-1)
    width = flat.dtype.itemsize
    top = int(flat.max()) if flat.size else 0
    used = (top.bit_length() + 7) // 8
    if width == 1:
        return flat if used else flat[:0]
    by_byte = flat.astype(flat.dtype.newbyteorder("<"), copy=False).view(np.uint8).reshape(-1, width)
    return np.ascontiguousarray(by_byte[:, :used].T).reshape(-1)


def join(planes: Bytes, *, count: int, dtype: Any) -> Unsigned:
    """What `split` took. Raises ValueError where the planes are not whole, or too many for the type."""
    values = np.empty(count, dtype)
    used, rest = divmod(planes.size, count) if count else (0, planes.size)
    if rest or used > values.dtype.itemsize:
        raise ValueError(f"{planes.size} bytes are no planes of {count} values")
    if used == 0:
        values[:] = 0
    elif used == 1:
        values[:] = planes
    else:
        _widen(planes, values)
    return values


@compiled
def _widen(planes: Any, values: Any) -> None:
    """`join` of two planes or more. Two at a time: nearly all columns have no third."""
    n = values.size
    for i in range(n):
        values[i] = np.uint32(planes[i]) | (np.uint32(planes[n + i]) << np.uint32(8))
    for plane in range(2, planes.size // n):
        for i in range(n):
            values[i] |= np.uint64(planes[plane * n + i]) << np.uint64(8 * plane)


def zigzag(values: NDArray[Any]) -> Unsigned:
    """0, -1, 1, -2, ... as 0, 1, 2, 3, ..., in the unsigned type of the same width."""
    bits = values.dtype.itemsize * 8 - 1
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    mapped: Unsigned = ((values << 1) ^ (values >> bits)).view(unsigned)
    return mapped


def unzigzag(values: Unsigned) -> NDArray[Any]:
    one = values.dtype.type(1)
    restored: NDArray[Any] = ((values >> one) ^ (~(values & one) + one)).view(np.dtype(f"i{values.dtype.itemsize}"))
    return restored
