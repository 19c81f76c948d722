"""How long each subject and task may stand still: `expected.toml`, with a site's own file over it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from chassis.errors import Rejected, reject

BUILT_IN = Path(__file__).with_name("expected.toml")
NEVER = "never"
_LENGTH = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h|d)")
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_ENOUGH = 5
"""So many ended tasks tell what is usual."""

Length = timedelta | None
"""None: for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """What the last tasks of a kind took."""

    tasks: int
    longest: timedelta
    """The 95th percentile."""


class TaskTimes(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    claimed: Length
    times_usual: float = Field(gt=1)
    at_least: timedelta
    unknown: Length
    woken: Length

    @field_validator("claimed", "at_least", "unknown", "woken", mode="before")
    @classmethod
    def _read(cls, said: Any) -> Length:
        return length(said)

    def at_work(self, usual: Usual | None) -> Length:
        """How long a task may be at work, given what is usual of its kind."""
        if usual is None or usual.tasks < _ENOUGH:
            return self.unknown
        return max(self.at_least, self.times_usual * usual.longest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What one service expects of its tasks, and of its subjects by (kind, state)."""

    tasks: TaskTimes
    otherwise: Length
    subjects: Mapping[tuple[str, str], Length]

    def of(self, kind: str, state: str) -> Length:
        return self.subjects.get((kind, state), self.otherwise)


def load_expected(service: str, *, own: Path | None = None) -> Expected:
    """The expectations of `service`. Raises Rejected (CONFIG_WATCH) when a file cannot be read or says what is none."""
    said = _document(BUILT_IN)
    path = BUILT_IN
    if own is not None:
        path, said = own, _over(said, _document(own))
    try:
        if unknown := said.keys() - {"tasks", "subjects"}:
            raise ValueError(f"there is no section [{min(unknown)}]")
        subjects = dict(said["subjects"])
        otherwise = length(subjects.pop("otherwise"))
        kinds = {name: dict(of_service) for name, of_service in subjects.items()}.get(service, {})
        return Expected(
            tasks=TaskTimes.model_validate(said["tasks"]),
            otherwise=otherwise,
            subjects={(kind, state): length(one) for kind, of_kind in kinds.items() for state, one in of_kind.items()},
        )
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise _refused(path, f"tasks.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise _refused(path, str(error)) from None


def length(said: Any) -> Length:
    """`90 s`, `30 min`, `12 h`, `3 d` as a length of time; None for `never`. Raises ValueError for anything else."""
    if said == NEVER:
        return None
    found = _LENGTH.fullmatch(said) if isinstance(said, str) else None
    if found is None:
        raise ValueError(f"{said!r} is no length of time")
    try:
        return timedelta(seconds=float(found[1]) * _UNITS[found[2]])
    except OverflowError:
        raise ValueError(f"{said!r} is too long: say {NEVER!r}") from None


def _over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for name, value in over.items():
        there = merged.get(name)
        merged[name] = _over(there, value) if isinstance(there, Mapping) and isinstance(value, Mapping) else value
    return merged


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _refused(path, f"the file cannot be read: {error}") from error


def _refused(path: Path, message: str) -> Rejected:
    return reject(
        code="CONFIG_WATCH",
        message=message,
        where=path.name,
        rule='lengths of time are "90 s", "30 min", "12 h", "3 d" or "never", in [tasks] and [subjects.SERVICE.KIND]',
        fix="mend the file that watch.expected names, after the built-in chassis/health/expected.toml",
    )
