"""Are the files there that the sheet promises? Every path found is inside the run root, links followed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from chassis.errors import Rejection
from services.ingest.observation import PromisedLane, PromisedSample
from services.ingest.profiles import Profile
from services.ingest.samplesheet import RefusedSample, Sheet, SheetSample


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A regular file, by its path relative to the run folder."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """`missing` counts the files that are not there of `expected`; `files` are those that are."""

    samples: tuple[PromisedSample, ...]
    refused: tuple[RefusedSample, ...]
    files: tuple[Found, ...]
    expected: int
    missing: int


class _Escapes(Exception):
    """A link leads out of the run root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """Each folder is read once an observation, however many samples share it."""

    folder: Path
    root: Path
    read: dict[str, dict[str, os.DirEntry[str]]] = field(default_factory=dict)

    def entries(self, within: str) -> dict[str, os.DirEntry[str]]:
        if within not in self.read:
            place = self.folder / within
            try:
                if not place.resolve().is_relative_to(self.root):
                    raise _Escapes
                with os.scandir(place) as listed:
                    self.read[within] = {entry.name: entry for entry in listed}
            except (FileNotFoundError, NotADirectoryError):
                self.read[within] = {}
        return self.read[within]

    def file(self, within: str, entry: os.DirEntry[str]) -> Found | None:
        if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(self.root):
            raise _Escapes
        try:
            facts = Path(entry.path).stat()
        except FileNotFoundError:  # a link to nothing yet, or moved since the listing
            return None
        if not stat.S_ISREG(facts.st_mode):
            return None
        path = entry.name if within == "." else f"{within}/{entry.name}"
        return Found(path=path, size=facts.st_size, mtime_ns=facts.st_mtime_ns)


def look_for(sheet: Sheet, *, folder: Path, root: Path, profile: Profile, analysis: str) -> Promised:
    """Find each sample's pairs. A sample whose file is a link out of the root is refused with UNSAFE_PATH."""
    listing = _Listing(folder=folder, root=root)
    samples: list[PromisedSample] = []
    refused: list[RefusedSample] = []
    files: list[Found] = []
    expected = missing = 0
    for sample in sheet.samples:
        try:
            lanes, found = _lanes(sample, listing, profile, analysis)
        except _Escapes:
            refused.append(RefusedSample(project=sample.project, sample=sample.sample, rejection=_ESCAPES))
            continue
        expected += 2 * len(sample.lanes)
        missing += 2 * len(sample.lanes) - len(found)
        files.extend(found)
        samples.append(
            PromisedSample(project=sample.project, sample=sample.sample, lanes=lanes, further=sample.further)
        )
    return Promised(
        samples=tuple(samples), refused=tuple(refused), files=tuple(files), expected=expected, missing=missing
    )


_ESCAPES = Rejection(
    code="UNSAFE_PATH",
    message="a FASTQ of the sample is a link that leads out of the run root",
    where="the sample's files in the run folder",
    rule="every file of a run lies inside the configured run root, links followed",
    fix="copy the file itself into the run folder",
)


def _lanes(
    sample: SheetSample, listing: _Listing, profile: Profile, analysis: str
) -> tuple[tuple[PromisedLane, ...], list[Found]]:
    lanes: list[PromisedLane] = []
    files: list[Found] = []
    for lane in sample.lanes:
        mates = [_find(sample, lane.lane, mate, listing, profile, analysis) for mate in (1, 2)]
        files.extend(found for found in mates if found is not None)
        first, second = mates
        if first is not None and second is not None:
            lanes.append(
                PromisedLane(
                    lane=lane.lane,
                    index=lane.index,
                    library=lane.library,
                    r1=first.path,
                    r2=second.path,
                    r1_size=first.size,
                    r2_size=second.size,
                    changed_ns=max(first.mtime_ns, second.mtime_ns),
                )
            )
    return tuple(lanes), files


def _find(
    sample: SheetSample, lane: int, mate: int, listing: _Listing, profile: Profile, analysis: str
) -> Found | None:
    name = profile.file_name(stem=sample.stem, lane=lane, mate=mate)
    for within in profile.folders(project=sample.project, sample=sample.sample, stem=sample.stem, analysis=analysis):
        matches = {
            int(match["number"]): entry
            for entry in listing.entries(within).values()
            if (match := name.fullmatch(entry.name)) is not None
        }
        # two projects may use one sample id: then the converter's number, the place in the sheet, tells them apart
        entry = next(iter(matches.values())) if len(matches) == 1 else matches.get(sample.number)
        if entry is not None:
            return listing.file(within, entry)
    return None
