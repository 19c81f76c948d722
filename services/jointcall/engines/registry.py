"""Engines by the name that a freeze asks for."""

from __future__ import annotations

from typing import Protocol

from chassis.errors import reject
from chassis.settings import Settings
from services.jointcall.engines.protocol import Engine


class MakeEngine(Protocol):
    def __call__(self, *, settings: Settings, memory_mb: int) -> Engine: ...


def engine_for(name: str, *, settings: Settings, memory_mb: int) -> Engine:
    """`memory_mb` is what one task may use. Raises Rejected (ENGINE_UNKNOWN) for an engine that this installation does
    not have."""
    if name in ENGINES:
        return ENGINES[name](settings=settings, memory_mb=memory_mb)
    raise reject(
        code="ENGINE_UNKNOWN",
        message=f"there is no joint-calling engine {name} here",
        where="the freeze's request",
        rule=f"a freeze names an engine that is installed: {', '.join(sorted(ENGINES))}",
        fix="ask for the freeze again with --engine gatk",
    )


def _gatk(*, settings: Settings, memory_mb: int) -> Engine:
    from chassis.tools.gatk import gatk_for
    from services.jointcall.engines.gatk import HEAP_FRACTION, GatkEngine

    gatk = gatk_for(memory_mb=memory_mb, heap_fraction=HEAP_FRACTION)
    return GatkEngine(gatk=gatk, chunk_bp=settings.jointcall.chunk_bp)


ENGINES: dict[str, MakeEngine] = {"gatk": _gatk}
