"""What a freeze took over from the one before, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def reuse_words(row: Mapping[str, Any]) -> str | None:
    """Of a row of status_freeze; None where the engine takes nothing over, or nothing is genotyped yet."""
    reuse = row["reuse"]
    if reuse is None:
        return None
    written = f"{_mb(reuse['bytes_written'])} of columns written"
    if row["begun_with"] is None:
        return f"{reuse['samples_imported']} imported; {written}"
    return (
        f"{reuse['samples_reused']} reused from freeze {row['begun_with'].rpartition(':')[2]}, "
        f"{reuse['samples_imported']} imported; {written}, {_mb(reuse['bytes_reused'])} reused"
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
