"""The laboratory's labels of samples, for people who may see them: events, keys and logs never carry them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chassis.errors import excerpt, reject

KEY = re.compile(r"smp_[0-9a-f]{24}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    key: str
    project: str
    label: str
    version: int

    def __str__(self) -> str:
        return f"{self.label} ({self.project})"


class Labels:
    """Labels by sample key, and the way back from what a person types."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._by_key = {
            row["key"]: Label(
                key=row["key"], project=row["project"], label=row["label"] or row["key"], version=row["version"]
            )
            for row in rows
        }

    def __iter__(self) -> Iterator[Label]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: str) -> Label | None:
        return self._by_key.get(key)

    def shown(self, subject: str) -> str:
        """`label (project)` of a sample key; anything else is itself."""
        found = self._by_key.get(subject)
        return str(found) if found is not None else subject

    def resolve(self, named: str) -> str:
        """The key of a sample named by label, by `project/label` or by key.

        Raises Rejected: SAMPLE_UNKNOWN with the nearest label, SAMPLE_AMBIGUOUS with every `project/label` it could be.
        """
        if KEY.fullmatch(named):
            if self._by_key and named not in self._by_key:
                raise self._unknown(named)
            return named
        project, slash, label = named.rpartition("/")
        found = [one for one in self._by_key.values() if one.label == label and (not slash or one.project == project)]
        if len(found) == 1:
            return found[0].key
        if found:
            raise reject(
                code="SAMPLE_AMBIGUOUS",
                message=f"{len(found)} samples have the label {label}",
                where=named,
                rule="a label names a sample within its project only",
                fix="say " + " or ".join(sorted(f"{one.project}/{one.label}" for one in found)),
            )
        raise self._unknown(named)

    def _unknown(self, named: str) -> Exception:
        words = [word for one in self._by_key.values() for word in (one.label, f"{one.project}/{one.label}", one.key)]
        near = difflib.get_close_matches(excerpt(named), words, n=1)
        return reject(
            code="SAMPLE_UNKNOWN",
            message="no sample of this name is known",
            where=excerpt(named),
            rule="a sample is named by its label, by project/label or by its key",
            fix=f"did you mean {near[0]}?" if near else "`cohortstream samples list` shows them all",
        )
