"""Engines by the name that a freeze asks for."""

from __future__ import annotations

from chassis.errors import reject
from chassis.settings import Settings
from services.jointcall.engines.protocol import Engine


def engine_for(name: str, *, settings: Settings, memory_mb: int) -> Engine:
    """Raises Rejected (ENGINE_UNKNOWN) for an engine that this installation does not have."""
    if name == "gatk":
        from chassis.tools.gatk import gatk_for
        from services.jointcall.engines.gatk import HEAP_FRACTION, GatkEngine

        gatk = gatk_for(memory_mb=memory_mb, heap_fraction=HEAP_FRACTION)
        return GatkEngine(gatk=gatk, chunk_bp=settings.jointcall.chunk_bp)
    raise reject(
        code="ENGINE_UNKNOWN",
        message=f"there is no joint-calling engine {name} here",
        where="the freeze's request",
        rule="a freeze names an engine that is installed: gatk",
        fix="ask for the freeze again with --engine gatk",
    )
