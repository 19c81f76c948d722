"""Completion profiles: which files say that a run's FASTQs are there, and where these lie. The profiles are data."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from chassis.errors import reject

_PROFILES = Path(__file__).with_name("profiles.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """See profiles.toml for what each field means."""

    name: str
    base_calls: tuple[str, ...]
    conversion: tuple[str, ...]
    fastqs: tuple[str, ...]
    pattern: str
    analysis: str | None = None

    def copied(self, folder: Path) -> str | None:
        """The marker that the copy of base calls still lacks, None when it has ended."""
        return next((marker for marker in self.base_calls if not (folder / marker).is_file()), None)

    def converted(self, folder: Path) -> str | None:
        """The analysis folder whose conversion has ended ("." where the profile knows no analyses), None before."""
        if self.analysis is None:
            return "." if any((folder / marker).is_file() for marker in self.conversion) else None
        for analysis in sorted(folder.glob(self.analysis), key=_number, reverse=True):
            within = analysis.relative_to(folder).as_posix()
            if any((folder / marker.replace("{analysis}", within)).is_file() for marker in self.conversion):
                return within
        return None

    @property
    def waits_for(self) -> str:
        """The converter's marker in words."""
        return " or ".join(marker.replace("{analysis}", self.analysis or "") for marker in self.conversion)

    def folders(self, *, project: str, sample: str, stem: str, analysis: str) -> tuple[str, ...]:
        """Where this sample's FASTQs may lie, relative to the run folder. The names must have been checked."""
        return tuple(
            folder.format(project=project, sample=sample, stem=stem, analysis=analysis) for folder in self.fastqs
        )

    def file_name(self, *, stem: str, lane: int, mate: int) -> re.Pattern[str]:
        """Matches the name of a FASTQ; its group `number` is the sample's place in the sheet."""
        escaped = re.escape(self.pattern)
        for field, value in (("stem", stem), ("lane", f"{lane:03d}"), ("mate", str(mate))):
            escaped = escaped.replace(re.escape(f"{{{field}}}"), re.escape(value))
        return re.compile(escaped.replace(re.escape("{number}"), "(?P<number>[0-9]+)"))


def profile_named(name: str) -> Profile:
    """Raises Rejected CONFIG_VALUE for a profile that does not exist."""
    known = _profiles()
    if name not in known:
        raise reject(
            code="CONFIG_VALUE",
            message=f"there is no completion profile {name!r}",
            where="ingest.profile",
            rule=f"profiles are {', '.join(sorted(known))}",
            fix="name one of them",
        )
    return known[name]


@cache
def _profiles() -> dict[str, Profile]:
    document = tomllib.loads(_PROFILES.read_text(encoding="utf-8"))
    return {
        name: Profile(
            name=name,
            base_calls=tuple(table["base_calls"]),
            conversion=tuple(table["conversion"]),
            fastqs=tuple(table["fastqs"]),
            pattern=table["name"],
            analysis=table.get("analysis"),
        )
        for name, table in document.items()
    }


def _number(analysis: Path) -> tuple[int, str]:
    return (int(analysis.name) if analysis.name.isdecimal() else -1, analysis.name)
