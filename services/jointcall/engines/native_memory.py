"""Memory that GenomicsDB takes and gives back outside the JVM's heap."""

from __future__ import annotations

import ctypes

KEPT_BYTES = 1 << 30
"""More than GenomicsDB's reader takes for its buffers: 600 MB were seen for ten gVCFs of some sixty fields."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


def keep_freed() -> bool:
    """Let this process keep what the allocator frees, for the next chunk. False where the C library knows no such
    wish.

    Given back to the system, each chunk faults the same pages in again: 0.55 s instead of 0.15 s for a small chunk
    in a warm JVM. The peak is the same either way.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)) and bool(mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES))
