"""What the demo found: values, their JSON, and nothing that draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeFigures:
    """One freeze. `seconds` from its request to its release; rates are None where nobody knows the truth."""

    freeze: str
    samples: int
    intervals: int
    variants: int
    passed: int
    seconds: float
    decisions: tuple[Mapping[str, Any], ...]
    vcf: tuple[Path, ...]
    parquet: Path
    evaluation: Mapping[str, Any] | None
    engine: str
    begun_with: str | None
    """The freeze that an incremental engine began with."""
    reuse: Mapping[str, int] | None
    """What it took over: samples and bytes (status_freeze)."""

    def as_json(self) -> dict[str, Any]:
        found = self.evaluation or {}
        return {
            "freeze": self.freeze,
            "samples": self.samples,
            "intervals": self.intervals,
            "variants": self.variants,
            "passed": self.passed,
            "genotype_concordance": found.get("genotype_concordance"),
            "recall": found.get("recall"),
            "precision": found.get("precision"),
            "filters": found.get("filters"),
            "filtered_by": {one["variant_type"]: one["method"] for one in self.decisions},
            "engine": self.engine,
            "begun_with": self.begun_with,
            "reuse": None if self.reuse is None else dict(self.reuse),
            "seconds": self.seconds,
            "panel": {"vcf": [str(path) for path in self.vcf], "parquet": str(self.parquet)},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFigures:
    """A service's work. `seconds` is work time summed over tasks; `endings` counts attempts by how they ended."""

    service: str
    tasks: int
    seconds: float
    endings: Mapping[str, int]

    @property
    def attempts(self) -> int:
        return sum(self.endings.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUp:
    """Mean coverage of the topped-up sample, by version."""

    sample: str
    coverage: Mapping[int, float]

    @property
    def raised(self) -> bool:
        versions = sorted(self.coverage)
        return len(versions) > 1 and self.coverage[versions[-1]] > self.coverage[versions[0]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    freezes: tuple[FreezeFigures, ...]
    services: tuple[ServiceFigures, ...]
    storage: tuple[Mapping[str, Any], ...]
    events: Mapping[str, int]
    quarantined: int
    topped_up: TopUp | None
    seconds: float
    state_dir: Path
    folder: Path
    phases: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "freezes": [one.as_json() for one in self.freezes],
            "events": dict(self.events),
            "quarantined": self.quarantined,
            "seconds": self.seconds,
            "state_dir": str(self.state_dir),
            "folder": str(self.folder),
            "services": {
                one.service: {"tasks": one.tasks, "seconds": one.seconds, "attempts": dict(one.endings)}
                for one in self.services
            },
            "storage": [dict(row) for row in self.storage],
            "topped_up": None
            if self.topped_up is None
            else {"sample": self.topped_up.sample, "coverage": dict(self.topped_up.coverage)},
            "phases": dict(self.phases),
        }
