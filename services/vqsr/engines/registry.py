"""The engine of this service. There is one, so no setting names it."""

from __future__ import annotations

from typing import Protocol

from services.vqsr.engines.protocol import Engine

ENGINE = "gatk"


class MakeEngine(Protocol):
    def __call__(self, *, memory_mb: int) -> Engine: ...


def engine_for(name: str = ENGINE, *, memory_mb: int) -> Engine:
    """`memory_mb` is what one task may use. Raises KeyError for a name that is not in `ENGINES`."""
    return ENGINES[name](memory_mb=memory_mb)


def _gatk(*, memory_mb: int) -> Engine:
    from chassis.tools.gatk import gatk_for
    from services.vqsr.engines.gatk import GatkFilters

    return GatkFilters(gatk=gatk_for(memory_mb=memory_mb))


ENGINES: dict[str, MakeEngine] = {"gatk": _gatk}
