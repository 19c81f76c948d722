"""Engines by the name that the settings give."""

from __future__ import annotations

from typing import Literal

from chassis.errors import Rejected, reject
from services.align.engines.protocol import Engine


def engine_for(name: str, *, memory_mb: int, aligner: Literal["pybwa", "bwa"] = "pybwa") -> Engine:
    """`memory_mb` is what one task may use. `bwa` is the program on PATH, for large samples.

    Raises Rejected: CONFIG_ENGINE for an engine that is not installed here, CONFIG_TOOL for a missing program.
    """
    if name == "cpu":
        from chassis.tools.bwa import BwaProgram, Pybwa
        from chassis.tools.gatk import gatk_for
        from services.align.engines.cpu import CpuEngine

        return CpuEngine(gatk=gatk_for(memory_mb=memory_mb), aligner=Pybwa() if aligner == "pybwa" else BwaProgram())
    raise _unknown(name)


def versions_of(name: str, *, aligner: Literal["pybwa", "bwa"] = "pybwa") -> str:
    """The engine's tools, versions and parameters in one line, to tell one pipeline from another; starts nothing and
    fetches nothing. Raises Rejected as `engine_for` does."""
    if name == "cpu":
        from chassis.tools.bwa import BwaProgram, Pybwa
        from chassis.tools.gatk import pinned_version
        from services.align.engines.cpu import CpuParameters, provenance_of

        made_by = provenance_of(
            Pybwa() if aligner == "pybwa" else BwaProgram(), CpuParameters(), gatk_version=pinned_version()
        )
        return f"{made_by.version}; parameters {made_by.parameters}"
    raise _unknown(name)


def _unknown(name: str) -> Rejected:
    return reject(
        code="CONFIG_ENGINE",
        message=f"there is no align engine {name} here",
        where="align.engine",
        rule="the engine is one that is installed: cpu",
        fix="set align.engine to cpu",
    )
