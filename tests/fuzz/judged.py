"""What every parser of foreign input promises: a result, or a rejection that says what to do and repeats little."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from hypothesis import HealthCheck, settings

from chassis.errors import Rejected, Rejection

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
"""Of each property; more of them find more and take longer (FUZZ_EXAMPLES=5000)."""
LONGEST_EXCERPT = 400
"""Characters of any field of a rejection: a rule is a sentence or two, an excerpt of the input is a word."""
PATIENCE_S = 20
"""Inputs here are a few kilobytes; a parser that takes this long for one hangs."""
SECRET = "MRN0012345"
"""Planted in documents that may name a person: no rejection repeats it."""

T = TypeVar("T")

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


def judged(parse: Callable[[], T], *, withheld: tuple[str, ...] = ()) -> T | Rejection:
    """The parser's result, or the rejection once it is seen to be a good one. Anything else that it raises is a bug."""
    with _patience():
        try:
            return parse()
        except Rejected as rejected:
            good(rejected.rejection, withheld=withheld)
            return rejected.rejection


def good(rejection: Rejection, *, withheld: tuple[str, ...] = ()) -> None:
    """Complete, fit to travel in an event, short, and without the words that are to be withheld."""
    detail = rejection.detail()
    for name, text in rejection.as_dict().items():
        assert text.strip(), f"{name} is empty: {rejection!r}"
        assert len(text) <= LONGEST_EXCERPT, f"{name} has {len(text)} characters: {text[:200]!r}"
    assert detail.code == rejection.code
    for word in withheld:
        assert word not in str(rejection), f"{word} is repeated: {rejection!r}"


@contextmanager
def _patience() -> Iterator[None]:
    def give_up(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"the parser took longer than {PATIENCE_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
