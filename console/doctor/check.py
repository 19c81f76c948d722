"""One look of the doctor: what was looked at, how it is, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`verdict`: well, note (works, but someone should know), bad (something will fail)."""

    what: str
    verdict: Literal["well", "note", "bad"]
    said: str
    fix: str = ""


def well(what: str, said: str) -> Check:
    return Check(what=what, verdict="well", said=said)


def note(what: str, said: str, fix: str) -> Check:
    return Check(what=what, verdict="note", said=said, fix=fix)


def bad(what: str, said: str, fix: str) -> Check:
    return Check(what=what, verdict="bad", said=said, fix=fix)
