"""Calling intervals as files that tools read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from contracts.values import Interval


def write_bed(intervals: Iterable[Interval], path: Path) -> Path:
    """A BED (0-based, half-open): unlike `contig:start-end` on a command line, safe for contigs with colons in them."""
    path.write_text("".join(f"{one.contig}\t{one.start - 1}\t{one.end}\n" for one in intervals))
    return path
