"""The QC verdict of a sample: its figures against thresholds that are data, so that a site sets its own."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from chassis.errors import Rejected, excerpt, reject
from contracts.values import QcStatus, QcVerdict
from services.align.engines.protocol import CramMetrics

BUILT_IN = Path(__file__).parent / "qc_rules.toml"
_SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Threshold(BaseModel):
    """One figure's bound (exactly one of the two) and the verdict of a sample that misses it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    at_least: float | None = None
    at_most: float | None = None
    otherwise: Literal["fail", "hold"]

    @model_validator(mode="after")
    def _one_bound(self) -> Threshold:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("give either at_least or at_most")
        return self

    def missed_by(self, value: float) -> str | None:
        """How `value` misses the bound, in words; None when it holds. NaN misses every bound."""
        if self.at_least is not None and not value >= self.at_least:
            return f"{value:.4g} is below {self.at_least:g}"
        if self.at_most is not None and not value <= self.at_most:
            return f"{value:.4g} is above {self.at_most:g}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class QcRules:
    """A named rule set: figure of CramMetrics -> threshold."""

    name: str
    thresholds: dict[str, Threshold]


def load_rules(name: str, *, path: Path = BUILT_IN) -> QcRules:
    """The rule set `name` of a TOML file. Raises Rejected (CONFIG_QC_RULES) when the file or the set is missing, or a
    threshold is not one."""
    try:
        sets = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # no file, no UTF-8, no TOML, lists in lists in lists
        raise _config(f"the file cannot be read: {error}", path) from error
    if name not in sets or not _SET_NAME.fullmatch(name):
        raise _config(f"there is no rule set {excerpt(name)}, only {', '.join(sorted(sets)) or 'none'}", path)
    try:
        thresholds = TypeAdapter(dict[str, Threshold]).validate_python(sets[name])
    except ValidationError as error:
        first = error.errors()[0]
        raise _config(f"{name}.{'.'.join(map(str, first['loc']))}: {first['msg']}", path) from error
    if unknown := sorted(set(thresholds) - _FIGURES):
        raise _config(f"{name}.{unknown[0]} is no figure of a CRAM; known are {', '.join(sorted(_FIGURES))}", path)
    if not thresholds:
        raise _config(f"the rule set {name} is empty: every sample would pass", path)
    return QcRules(name=name, thresholds=thresholds)


def verdict(rules: QcRules, metrics: CramMetrics | Mapping[str, float]) -> QcVerdict:
    """Pass when every threshold holds; otherwise the worst verdict of those missed, with a reason for each.

    Figures by name do as well: a call's task carries them so.
    """
    reasons: list[str] = []
    status = QcStatus.passed
    for figure, threshold in rules.thresholds.items():
        missed = threshold.missed_by(metrics[figure] if isinstance(metrics, Mapping) else getattr(metrics, figure))
        if missed is not None:
            reasons.append(f"{figure} {missed}")
            status = QcStatus.failed if QcStatus.failed in (status, threshold.otherwise) else QcStatus.held
    return QcVerdict(status=status, rules=rules.name, reasons=tuple(reasons))


_FIGURES = {field.name for field in fields(CramMetrics) if get_type_hints(CramMetrics)[field.name] in (int, float)}


def _config(message: str, path: Path) -> Rejected:
    return reject(
        code="CONFIG_QC_RULES",
        message=excerpt(message, 300),
        where=path.name,
        rule='[set] with lines like: mean_coverage = { at_least = 20, otherwise = "fail" }',
        fix="name a rule set of the file in align.qc_rules, or mend the file",
    )
