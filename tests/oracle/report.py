"""What a comparison found, as values that add and as a table to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.oracle.predicates import Context, Mismatch, Predicate

SHOWN = 40
"""Unexplained mismatches that the table lists; the rest are counted by field."""
PER_SITES = 10_000
ALWAYS = 2
"""Sites that are within every cap: a short comparison cannot tell one in a thousand."""


@dataclass(slots=True, kw_only=True)
class Worst:
    """Of one tolerated field: values that differ within the tolerance, and the largest difference with its place."""

    differing: int = 0
    difference: float = 0.0
    where: str = ""

    def take(self, difference: float, where: str) -> None:
        self.differing += 1
        if difference > self.difference:
            self.difference, self.where = difference, where

    def add(self, other: Worst) -> None:
        differing = self.differing + other.differing
        self.take(other.difference, other.where)
        self.differing = differing


@dataclass(slots=True, kw_only=True)
class Report:
    """`sites` counts positions that either side has, `cells` the sample columns of those that both have."""

    predicates: tuple[Predicate, ...] = ()
    sites: int = 0
    cells: int = 0
    values: Counter[str] = field(default_factory=Counter)
    drawn_qds: int = 0
    worst: dict[str, Worst] = field(default_factory=dict)
    explained: Counter[str] = field(default_factory=Counter)
    explained_sites: Counter[str] = field(default_factory=Counter)
    unexplained: list[Mismatch] = field(default_factory=list)

    def take(self, found: Iterable[Mismatch], context: Context) -> None:
        """All that differs at one site."""
        named: Counter[str] = Counter()
        for item in found:
            name = next((one.name for one in self.predicates if one.explains(item, context)), None)
            if name is None:
                self.unexplained.append(item)
            else:
                named[name] += 1
        self.explained += named
        self.explained_sites += Counter(named.keys())

    def tolerated(self, name: str, difference: float, where: str) -> None:
        self.worst.setdefault(name, Worst()).take(difference, where)

    def add(self, other: Report) -> None:
        self.predicates = self.predicates or other.predicates
        self.sites += other.sites
        self.cells += other.cells
        self.values += other.values
        self.drawn_qds += other.drawn_qds
        for name, worst in other.worst.items():
            self.worst.setdefault(name, Worst()).add(worst)
        self.explained += other.explained
        self.explained_sites += other.explained_sites
        self.unexplained += other.unexplained

    @property
    def over_cap(self) -> list[str]:
        """Predicates that explain more than they may."""
        return [
            one.name
            for one in self.predicates
            if self.explained_sites[one.name] > max(ALWAYS, one.cap * self.sites / PER_SITES)
        ]

    @property
    def good(self) -> bool:
        return not self.unexplained and not self.over_cap

    def table(self) -> str:
        lines = [
            f"{self.sites:,} sites, {self.cells:,} cells compared, {len(self.unexplained):,} mismatches unexplained"
        ]
        lines.append(f"{self.drawn_qds:,} QDs of a raw ratio of 35 or more were not compared: GATK draws them by lot")
        if self.worst:
            rows = [("tolerated field", "values", "differ", "worst", "where")]
            for name, one in sorted(self.worst.items()):
                rows.append((name, f"{self.values[name]:,}", f"{one.differing:,}", f"{one.difference:.3g}", one.where))
            lines += ["", *_aligned(rows)]
        if self.predicates:
            counted = [("predicate", "values", "sites", "cap per 10,000", "why")]
            counted += [
                (
                    rule.name,
                    f"{self.explained[rule.name]:,}",
                    f"{self.explained_sites[rule.name]:,}",
                    f"{rule.cap:,}",
                    rule.reason,
                )
                for rule in self.predicates
            ]
            lines += ["", *_aligned(counted)]
        lines += [f"OVER ITS CAP: {name}" for name in self.over_cap]
        if self.unexplained:
            by_field = Counter(item.field for item in self.unexplained)
            lines += ["", "unexplained by field: " + ", ".join(f"{k} {n:,}" for k, n in by_field.most_common())]
            listed = [("site", "sample", "field", "GATK", "ours")]
            listed += [(m.site, m.sample, m.field, _cut(m.theirs), _cut(m.ours)) for m in self.unexplained[:SHOWN]]
            lines += _aligned(listed)
        return "\n".join(lines)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:50]}...({len(text)})"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
