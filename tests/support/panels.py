"""What a released panel says, without what no two runs share: dates, command lines and the paths in them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

PASSING = ("##GATKCommandLine", "##bcftools_", "##fileDate")
"""Header lines that hold a date or a command line."""


def said_by(panel: Path) -> dict[str, Any]:
    """By file name: a VCF's lines, header included, and a Parquet file's table."""
    import pyarrow.parquet as pq

    said: dict[str, Any] = {}
    for path in sorted(panel.rglob("*")):
        name = str(path.relative_to(panel))
        if name.endswith(".vcf.gz"):
            lines = gzip.decompress(path.read_bytes()).decode().splitlines()
            said[name] = [line for line in lines if not line.startswith(PASSING)]
        elif name.endswith(".parquet"):
            # as text: a number that is none is not equal to itself
            said[name] = {column: repr(values) for column, values in pq.read_table(path).to_pydict().items()}
    return said


def differences(one: Path, other: Path) -> list[str]:
    """Where two panels differ, in words; empty when they say the same."""
    left, right = said_by(one), said_by(other)
    shared = [name for name in sorted(left.keys() & right.keys()) if left[name] != right[name]]
    return [
        *(f"only one has {name}" for name in sorted(left.keys() ^ right.keys())),
        *(f"{name}: {_first(left[name], right[name])}" for name in shared),
    ]


def _first(left: Any, right: Any) -> str:
    if isinstance(left, dict):
        return ", ".join(column for column in left if left[column] != right.get(column)) or "columns"
    for number, (a, b) in enumerate(zip(left, right, strict=False), start=1):
        if a != b:
            return f"line {number}: {a[:200]!r} against {b[:200]!r}"
    return f"{len(left)} lines against {len(right)}"
