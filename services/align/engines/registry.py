"""Engines by the name that the settings give."""

from __future__ import annotations

from importlib import metadata

from chassis.errors import reject
from services.align.engines.protocol import ChunkedEngine

GATK_PINNED = "4.6.2.0"


def engine_for(name: str, *, memory_mb: int) -> ChunkedEngine:
    """Raises Rejected (ENGINE_UNKNOWN) for an engine that this installation does not have."""
    if name == "cpu":
        from chassis.tools.bwa import Pybwa
        from chassis.tools.gatk import gatk_for
        from services.align.engines.cpu import CpuEngine

        return CpuEngine(gatk=gatk_for(memory_mb=memory_mb), aligner=Pybwa())
    raise reject(
        code="ENGINE_UNKNOWN",
        message=f"there is no align engine {name} here",
        where="align.engine",
        rule="the setting names an engine that is installed: cpu",
        fix="set align.engine to cpu",
    )


def versions_of(name: str) -> str:
    """Versions of what an engine runs, without loading any of it: part of the task keys."""
    packages = ("pybwa", "pysam") if name == "cpu" else ()
    return "; ".join([f"gatk {GATK_PINNED}", *(f"{package} {metadata.version(package)}" for package in packages)])
