"""Who takes part in a freeze, decided by pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chassis.errors import Rejection
from contracts.events import Selection
from contracts.values import ReferenceId

MOST_NAMED = 10
"""Samples named in a rejection; a person needs a few to look at, not all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sample as jointcall knows it."""

    key: str
    version: int
    gvcf: Mapping[str, Any]
    reference: ReferenceId
    pipeline: str
    verdict: str
    override: str | None
    withdrawn: bool
    finding: str | None = None
    """What a finding in its gVCF means for it: note, hold or refuse."""
    found: str | None = None
    """The finding's code."""
    decided: bool = False
    """A person spoke of the sample after that was found."""

    @property
    def may_join(self) -> bool:
        """A person's word counts before the QC verdict, and before a finding that it answers; a withdrawal and a
        gVCF that is refused count before both."""
        if self.withdrawn or self.finding == "refuse" or (self.finding == "hold" and not self.decided):
            return False
        return (self.override or self.verdict) == "pass"

    @property
    def member(self) -> dict[str, Any]:
        """Its gVCF as the freeze keeps it."""
        return dict(self.gvcf) | ({"gaps_accepted": True} if self.found == "GVCF_COVERAGE" else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    samples: tuple[Candidate, ...]
    reference: ReferenceId


def choose(
    selection: Selection, candidates: Sequence[Candidate], *, named: Sequence[str] | None, where: str
) -> Chosen | Rejection:
    """The samples of a freeze, sorted by key, or why there is none.

    `named` are the samples that a list or a tag names, None for all. A mix of references or pipelines is refused: its
    likelihoods would not be comparable.
    """
    if selection.how == "list" and named is not None:
        refused = _refused_by_name(named, candidates, where)
        if refused is not None:
            return refused
    joining = sorted((c for c in candidates if c.may_join), key=lambda c: c.key)
    if not joining:
        return Rejection(
            code="COHORT_EMPTY",
            message="no sample takes part",
            where=where,
            rule="a freeze has at least one sample whose verdict is pass",
            fix="see `cohortstream samples list` for what each sample waits for",
        )
    for what, value_of in (("reference", lambda c: c.reference.digest), ("pipeline", lambda c: c.pipeline)):
        mixed = _mixed(joining, what, value_of, where)
        if mixed is not None:
            return mixed
    return Chosen(samples=tuple(joining), reference=joining[0].reference)


def _refused_by_name(named: Sequence[str], candidates: Sequence[Candidate], where: str) -> Rejection | None:
    known = {c.key: c for c in candidates}
    missing = [key for key in named if key not in known]
    barred = [key for key in named if key in known and not known[key].may_join]
    if not missing and not barred:
        return None
    said = []
    if missing:
        said.append(f"not called yet: {_list(missing)}")
    if barred:
        said.append(f"held, refused, failed QC or withdrawn: {_list(barred)}")
    return Rejection(
        code="COHORT_SAMPLE",
        message="; ".join(said),
        where=where,
        rule="each sample of a list is called and its verdict is pass",
        fix="wait for them, pass them by name and reason, or leave them out",
    )


def _mixed(joining: Sequence[Candidate], what: str, value_of: Any, where: str) -> Rejection | None:
    groups: dict[str, list[str]] = {}
    for candidate in joining:
        groups.setdefault(value_of(candidate), []).append(candidate.key)
    if len(groups) == 1:
        return None
    (_, most), *others = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    differing = [key for _, keys in others for key in keys]
    return Rejection(
        code="BUILD_MISMATCH" if what == "reference" else "PIPELINE_MIX",
        message=f"{len(groups)} {what}s among {len(joining)} samples; these {len(differing)} differ from the other "
        f"{len(most)}: {_list(differing)}",
        where=where,
        rule=f"all samples of a freeze have one {what}",
        fix=f"call the differing samples again with the {what} of the others, or freeze them apart",
    )


def _list(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:MOST_NAMED])
    return shown + (f" and {len(keys) - MOST_NAMED} more" if len(keys) > MOST_NAMED else "")
