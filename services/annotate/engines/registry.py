"""Engines by the name that the settings give."""

from __future__ import annotations

from collections.abc import Callable

from chassis.errors import reject
from services.annotate.engines.protocol import Engine


def engine_for(name: str) -> Engine:
    """Raises Rejected (ENGINE_UNKNOWN) for an engine that this installation does not have."""
    if name in ENGINES:
        return ENGINES[name]()
    raise reject(
        code="ENGINE_UNKNOWN",
        message=f"there is no annotation engine {name} here",
        where="annotate.engine",
        rule=f"the setting names an engine that is installed: {', '.join(sorted(ENGINES))}",
        fix="set annotate.engine to csq",
    )


def _csq() -> Engine:
    from services.annotate.engines.csq import CsqEngine

    return CsqEngine()


ENGINES: dict[str, Callable[[], Engine]] = {"csq": _csq}
