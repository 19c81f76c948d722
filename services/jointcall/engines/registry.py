"""Engines by the name that a freeze asks for."""

from __future__ import annotations

from typing import Protocol

from chassis.errors import reject
from services.jointcall.engines.protocol import Engine


class MakeEngine(Protocol):
    def __call__(self, *, chunk_bp: int, memory_mb: int) -> Engine: ...


def engine_for(name: str, *, chunk_bp: int, memory_mb: int) -> Engine:
    """`chunk_bp` bases at most are genotyped at a time; `memory_mb` is what one task may use.

    Raises Rejected (ENGINE_UNKNOWN) for an engine that this installation does not have.
    """
    if name in ENGINES:
        return ENGINES[name](chunk_bp=chunk_bp, memory_mb=memory_mb)
    raise reject(
        code="ENGINE_UNKNOWN",
        message=f"there is no joint-calling engine {name} here",
        where="the freeze's request",
        rule=f"a freeze names an engine that is installed: {', '.join(sorted(ENGINES))}",
        fix=f"ask for the freeze again with --engine {next(iter(ENGINES))}",
    )


def _gatk(*, chunk_bp: int, memory_mb: int) -> Engine:
    from chassis.tools.gatk import gatk_for
    from services.jointcall.engines.gatk import HEAP_FRACTION, GatkEngine

    gatk = gatk_for(memory_mb=memory_mb, heap_fraction=HEAP_FRACTION)
    return GatkEngine(gatk=gatk, chunk_bp=chunk_bp)


def _columnar(*, chunk_bp: int, memory_mb: int) -> Engine:
    from services.jointcall.engines.columnar import ColumnarEngine

    return ColumnarEngine(chunk_bp=chunk_bp)


ENGINES: dict[str, MakeEngine] = {"columnar": _columnar, "gatk": _gatk}
