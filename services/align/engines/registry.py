"""Engines by the name that the settings give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from chassis.errors import Rejected, reject
from services.align.engines.protocol import Engine

if TYPE_CHECKING:
    from chassis.tools.bwa import Aligner

AlignerName = Literal["pybwa", "bwa"]


class MakeEngine(Protocol):
    def __call__(self, *, memory_mb: int, aligner: AlignerName) -> Engine: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How to make an engine, and its versions without making it: an event's handler asks for those, and may start
    nothing."""

    make: MakeEngine
    versions: Callable[[AlignerName], str]


def engine_for(name: str, *, memory_mb: int, aligner: AlignerName = "pybwa") -> Engine:
    """`memory_mb` is what one task may use. `bwa` is the program on PATH, for large samples.

    Raises Rejected: CONFIG_ENGINE for an engine that is not installed here, CONFIG_TOOL for a missing program.
    """
    return _entry(name).make(memory_mb=memory_mb, aligner=aligner)


def versions_of(name: str, *, aligner: AlignerName = "pybwa") -> str:
    """The engine's tools, versions and parameters in one line, to tell one pipeline from another; starts nothing and
    fetches nothing. Raises Rejected as `engine_for` does."""
    return _entry(name).versions(aligner)


def _entry(name: str) -> Entry:
    if name not in ENGINES:
        raise _unknown(name)
    return ENGINES[name]


def _cpu(*, memory_mb: int, aligner: AlignerName) -> Engine:
    from chassis.tools.gatk import gatk_for
    from services.align.engines.cpu import CpuEngine

    return CpuEngine(gatk=gatk_for(memory_mb=memory_mb), aligner=_aligner(aligner))


def _cpu_versions(aligner: AlignerName) -> str:
    from chassis.tools.gatk import pinned_version
    from services.align.engines.cpu import CpuParameters, provenance_of

    made_by = provenance_of(_aligner(aligner), CpuParameters(), gatk_version=pinned_version())
    return f"{made_by.version}; parameters {made_by.parameters}"


def _aligner(name: AlignerName) -> Aligner:
    from chassis.tools.bwa import BwaProgram, Pybwa

    return Pybwa() if name == "pybwa" else BwaProgram()


ENGINES: dict[str, Entry] = {"cpu": Entry(make=_cpu, versions=_cpu_versions)}


def _unknown(name: str) -> Rejected:
    return reject(
        code="CONFIG_ENGINE",
        message=f"there is no align engine {name} here",
        where="align.engine",
        rule=f"the engine is one that is installed: {', '.join(sorted(ENGINES))}",
        fix="set align.engine to cpu",
    )
