"""A process's pulse: what its loops did last, and what it needs in order to be of use. No I/O here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Beat = Callable[[], None]
"""A loop calls it each time round."""
WhyNot = Callable[[], str | None]
"""Why a need is not met, in a few words without names or secrets; None when it is met."""


def unwatched() -> None:
    """The beat of a loop that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding. `age_s` is how long ago a loop went round, `within_s` how long it may take."""

    name: str
    of: Literal["live", "ready"]
    well: bool
    age_s: float | None = None
    within_s: float | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """Live: the process makes progress, and a restart would be no help. Ready: it has all that it needs, too."""

    live: bool
    ready: bool
    checks: tuple[Check, ...]

    def as_dict(self) -> dict[str, Any]:
        checks = [{name: value for name, value in asdict(one).items() if value is not None} for one in self.checks]
        return {"live": self.live, "ready": self.ready, "checks": checks}


class Pulse:
    """Loops expect themselves here and beat; needs are asked each time that somebody wants to know."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beaten: dict[str, tuple[float, float]] = {}
        self._needs: dict[str, WhyNot] = {}

    def expect(self, name: str, *, within_s: float) -> Beat:
        """From now on, this loop goes round at least every `within_s` seconds, whatever else is out of order: waiting
        for a server that is away counts as progress, as long as the wait has an end."""

        def beat() -> None:
            self._beaten[name] = (self._clock(), within_s)

        beat()
        return beat

    def over(self, name: str) -> None:
        """The loop came to its end, or the need is no more."""
        self._beaten.pop(name, None)
        self._needs.pop(name, None)

    def require(self, name: str, why_not: WhyNot) -> None:
        """The process is ready only while this need is met."""
        self._needs[name] = why_not

    def vitals(self) -> Vitals:
        now = self._clock()
        loops = [_loop(name, now - beaten, within) for name, (beaten, within) in sorted(self._beaten.items())]
        needs = [Check(name=name, of="ready", well=why is None, why=why) for name, why in self._asked()]
        live = all(one.well for one in loops)
        return Vitals(live=live, ready=live and all(one.well for one in needs), checks=(*loops, *needs))

    def _asked(self) -> list[tuple[str, str | None]]:
        return [(name, why_not()) for name, why_not in sorted(self._needs.items())]


def _loop(name: str, age: float, within: float) -> Check:
    well = age <= within
    why = None if well else f"has not gone round for {age:.0f} s"
    return Check(name=name, of="live", well=well, age_s=round(age, 1), within_s=within, why=why)
