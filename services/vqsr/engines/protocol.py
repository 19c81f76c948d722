"""What a filtering engine does, files in, files out. Tasks, leases and the store lie around it.

Gathering the sites and measuring them is the service's own (engines/sites.py): what decides between a model and hard
filters must not depend on the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from contracts.events import FilterDecision
from contracts.values import Provenance
from services.vqsr.rules import VariantType


class NotFitted(Exception):
    """No model was found in these sites: expected in small cohorts, answered by `rules.fall_back`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedModel:
    """What `filter` needs of a model. `recal` is a VCF of scores in BGZF with `.tbi` beside it."""

    recal: Path
    tranches: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterCounts:
    """Records of the interval, and those that pass all filters."""

    variants: int
    passed: int


class Engine(Protocol):
    """The same input gives the same bytes, without a trace of the run in the headers."""

    def provenance(self) -> Provenance: ...

    def train(
        self,
        *,
        sites: Path,
        decision: FilterDecision,
        resources: Sequence[Path],
        out_recal: Path,
        out_tranches: Path,
        out_model: Path,
        scratch: Path,
    ) -> TrainedModel:
        """Fit the model that `decision` asks for and score all `sites` (sites-only, indexed) with it.

        `resources` are VCFs of sites taken for true, with `.tbi` beside them. Raises NotFitted, with the tool's words.
        """
        ...

    def filter(
        self,
        *,
        vcf_in: Path,
        decisions: Sequence[FilterDecision],
        models: Mapping[VariantType, TrainedModel],
        out: Path,
        scratch: Path,
    ) -> FilterCounts:
        """Filter an interval as decided, each type in its own way, and say so in the header. Writes `out` and its
        `.tbi`.

        `vcf_in` has its `.tbi` beside it; `models` holds one for each decision whose method is vqsr.
        """
        ...
