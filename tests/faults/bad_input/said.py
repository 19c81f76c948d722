"""What every refusal must say, whichever door the bad input came through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

FEWEST_WORDS = 3
"""A rule or a fix of one or two words tells nobody anything."""


class Refusal(Protocol):
    """A rejection as it is raised, or as it travels in an event."""

    @property
    def code(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def rule(self) -> str: ...
    @property
    def fix(self) -> str: ...


def assert_says(
    refusal: Refusal, code: str, *, where: str, fix: str | None = None, withheld: Sequence[str] = ()
) -> None:
    """Its code, its place in full, a rule, a fix (with the words `fix` in it), and none of the `withheld` values."""
    assert (refusal.code, refusal.where) == (code, where)
    assert len({refusal.message, refusal.rule, refusal.fix}) == 3
    for text in (refusal.rule, refusal.fix):
        assert len(text.split()) >= FEWEST_WORDS, text
    if fix is not None:
        assert fix in refusal.fix
    everything = " ".join((refusal.message, refusal.where, refusal.rule, refusal.fix))
    for value in withheld:
        assert value not in everything
