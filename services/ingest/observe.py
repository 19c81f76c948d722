"""One look at a run folder: files in, an observation out. No ledger, no clock of its own, nothing is changed."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from chassis.errors import Rejected, Rejection, reject
from services.ingest.observation import Observation, Offer, Rules, RunState, Seen
from services.ingest.promised import Promised, look_for
from services.ingest.runfolder import (
    RUN_INFO,
    RUN_PARAMETERS,
    SAMPLE_SHEET,
    Instrument,
    RunInfo,
    read_instrument,
    read_run_info,
    safe_run_name,
)
from services.ingest.samplesheet import Sheet, parse_sheet

PAPERS = (RUN_INFO, RUN_PARAMETERS, SAMPLE_SHEET)
PAPER_BYTES = 32 << 20
"""No paper of a run is larger; what is larger is refused unread."""


def run_folders(root: Path) -> list[str]:
    """Names of the folders of a root that are runs, sorted: a RunInfo.xml is in them."""
    try:
        with os.scandir(root) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    except FileNotFoundError:
        return []
    return sorted(name for name in names if (root / name / RUN_INFO).is_file())


def glance(folder: Path, *, rules: Rules) -> str:
    """A cheap mark that changes when the papers or a marker of the run change: a finished run is looked at no closer
    while it stays the same."""
    analysis = rules.profile.converted(folder) or ""
    watched = [*PAPERS, *(marker.replace("{analysis}", analysis) for marker in rules.profile.conversion)]
    marks = [f"{name}:{facts.st_size}:{facts.st_mtime_ns}" for name in watched if (facts := _facts(folder / name))]
    return hashlib.sha256("\n".join([analysis, *marks]).encode()).hexdigest()


def observe(
    folder: Path, previous: Mapping[str, Seen], *, root: Path, rules: Rules, now: datetime
) -> Observation | None:
    """Where the run in `folder` (below `root`) stands at `now`, given what was `previous`ly seen of its files.

    A file has settled when its size and time of change have been the same for `rules.settle`, as seen by this watcher:
    clocks and habits of the file server do not matter. Papers are judged only once they have settled and the base
    calls' copy has ended, so that a half-written sheet is not refused. None when the folder is no run (any more).
    """
    papers = _Papers.read(folder)
    if papers is None:
        return None
    look = _Look(folder=folder, root=root.resolve(), rules=rules, now=now, previous=previous, papers=papers)
    lacking = rules.profile.copied(folder)
    try:
        if not folder.resolve().is_relative_to(look.root):
            raise _folder_escapes()
        info = read_run_info(papers.content(RUN_INFO) or b"")
    except Rejected as rejected:
        run = safe_run_name(folder.name) or f"run-{hashlib.sha256(folder.name.encode()).hexdigest()[:16]}"
        if lacking is not None:
            return look.waiting(run, RunState.copying, _copying(lacking))
        return look.refused(run, rejected.rejection)
    if lacking is not None:
        return look.waiting(info.run, RunState.copying, _copying(lacking))
    return _after_copy(look, info)


def _after_copy(look: _Look, info: RunInfo) -> Observation:
    sheet_bytes = look.papers.content(SAMPLE_SHEET)
    if sheet_bytes is None:
        return look.waiting(info.run, RunState.files, SAMPLE_SHEET)
    try:
        instrument = read_instrument(look.papers.content(RUN_PARAMETERS), serial=info.serial)
        sheet = parse_sheet(sheet_bytes, lanes=info.lanes)
        if not sheet.samples and not sheet.refused:
            raise _no_samples()
    except Rejected as rejected:
        return look.refused(info.run, rejected.rejection)
    analysis = look.rules.profile.converted(look.folder)
    if analysis is None:
        return look.waiting(info.run, RunState.conversion, f"the converter's marker {look.rules.profile.waits_for}")
    return _after_conversion(look, info, instrument, sheet, sheet_bytes, analysis)


def _after_conversion(
    look: _Look, info: RunInfo, instrument: Instrument, sheet: Sheet, sheet_bytes: bytes, analysis: str
) -> Observation:
    promised = look_for(sheet, folder=look.folder, root=look.root, profile=look.rules.profile, analysis=analysis)
    seen = look.seen(promised)
    if promised.missing:
        waits_for = f"{promised.missing} of {promised.expected} FASTQs that the sheet promises"
        return look.waiting(info.run, RunState.files, waits_for, seen)
    growing = look.unsettled(seen)
    if growing:
        return look.waiting(info.run, RunState.files, f"{growing} of {len(seen)} files to stop growing", seen)
    flag = look.rules.qc_flag
    if flag is not None and not (look.folder / flag).is_file():
        return look.waiting(info.run, RunState.flag, f"a technician's file {flag}", seen)
    offer = Offer(
        info=info,
        instrument=instrument,
        samples=promised.samples,
        refused=(*sheet.refused, *promised.refused),
        sheet=sheet_bytes,
    )
    return Observation(
        run=info.run, state=RunState.checking, waits_for="", seen=seen, papers=look.papers.digest, offer=offer
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Papers:
    """The run's papers as they were read, with what the file system said of them."""

    read_files: Mapping[str, tuple[bytes, os.stat_result]]

    @classmethod
    def read(cls, folder: Path) -> _Papers | None:
        found: dict[str, tuple[bytes, os.stat_result]] = {}
        for name in PAPERS:
            facts = _facts(folder / name)
            if facts is not None:
                with (folder / name).open("rb") as file:
                    found[name] = (file.read(PAPER_BYTES), facts)
        return cls(read_files=found) if RUN_INFO in found else None

    def content(self, name: str) -> bytes | None:
        return self.read_files[name][0] if name in self.read_files else None

    @property
    def digest(self) -> str:
        sums = [f"{name}:{hashlib.sha256(content).hexdigest()}" for name, (content, _) in self.read_files.items()]
        return hashlib.sha256("\n".join(sums).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    folder: Path
    root: Path
    rules: Rules
    now: datetime
    previous: Mapping[str, Seen]
    papers: _Papers

    def seen(self, promised: Promised | None = None) -> dict[str, Seen]:
        sizes = [(name, facts.st_size, facts.st_mtime_ns) for name, (_, facts) in self.papers.read_files.items()]
        if promised is not None:
            sizes += [(file.path, file.size, file.mtime_ns) for file in promised.files]
        return {path: self._seen(path, size, mtime_ns) for path, size, mtime_ns in sizes}

    def unsettled(self, seen: Mapping[str, Seen]) -> int:
        return sum(1 for file in seen.values() if self.now - file.since < self.rules.settle)

    def waiting(self, run: str, state: RunState, waits_for: str, seen: Mapping[str, Seen] | None = None) -> Observation:
        return Observation(
            run=run,
            state=state,
            waits_for=waits_for,
            seen=self.seen() if seen is None else seen,
            papers=self.papers.digest,
        )

    def refused(self, run: str, rejection: Rejection) -> Observation:
        """Refused as a whole, once the papers have settled."""
        seen = self.seen()
        if self.unsettled(seen):
            return self.waiting(run, RunState.files, "the run's papers to stop changing", seen)
        return Observation(
            run=run, state=RunState.rejected, waits_for="", seen=seen, papers=self.papers.digest, rejection=rejection
        )

    def _seen(self, path: str, size: int, mtime_ns: int) -> Seen:
        before = self.previous.get(path)
        if before is not None and (before.size, before.mtime_ns) == (size, mtime_ns):
            return before
        return Seen(size=size, mtime_ns=mtime_ns, since=self.now)


def _facts(path: Path) -> os.stat_result | None:
    """Of a regular file, links followed; None for anything else: a pipe would hold the reader for ever."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts if stat.S_ISREG(facts.st_mode) else None


def _copying(lacking: str) -> str:
    return f"{lacking}, which ends the copy of the base calls"


def _folder_escapes() -> Rejected:
    return reject(
        code="UNSAFE_PATH",
        message="the run folder is a link that leads out of the run root",
        where="the run folder",
        rule="every file of a run lies inside the configured run root, links followed",
        fix="name the folder that holds the run as a run root, or copy the run into this one",
    )


def _no_samples() -> Rejected:
    return reject(
        code="SHEET_COLUMN",
        message="the sheet names no sample",
        where=SAMPLE_SHEET,
        rule="[BCLConvert_Data] or [Data] has a row for each sample",
        fix="mend the sample sheet in the run folder; the run is offered again when it changes",
    )
