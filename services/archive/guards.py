"""Guards: each answers, from facts alone, why an artifact must not go yet, in words for people; None when it may.

A guard that has nothing to say about a kind of artifact refuses it: an error in a policy keeps bytes, it loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.values import ArtifactKind
from services.archive.facts import Check, Cram, Lane, Recorded
from services.archive.lineage import Lineage
from services.archive.policies import Policy
from services.archive.prices import PURGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One artifact before one policy."""

    artifact: Recorded
    policy: Policy
    lineage: Lineage
    now: datetime


Guard = Callable[[Case], str | None]


def cram_verified_fingerprint(case: Case) -> str | None:
    """A kept CRAM has exactly these reads: its fingerprint equals the one recomputed from the FASTQs."""
    match case.artifact.kind:
        case ArtifactKind.fastq:
            return _every_lane(case, lambda lane, crams: _proven(crams, lane.files))
        case ArtifactKind.cram | ArtifactKind.crai:
            return _proven(case.lineage.crams_from(case.artifact), frozenset())
        case _:
            return _says_nothing(case, "cram-verified-fingerprint")


def cram_ready(case: Case) -> str | None:
    """The sample's reads are in a kept CRAM. For a lane BAM: the newest version's, made after the BAM was written."""
    match case.artifact.kind:
        case ArtifactKind.fastq:
            return _every_lane(case, _some_kept)
        case ArtifactKind.lane_bam:
            newest = case.lineage.newest_cram(case.artifact.subject)
            if newest is None:
                return "the CRAM of the sample's newest version is not there yet"
            if not newest.kept:
                return "the CRAM of the sample's newest version is not kept"
            if case.artifact.made_at is None or case.artifact.made_at >= newest.recorded_at:
                return "it was written after the sample's newest CRAM was announced"
            return None
        case _:
            return _says_nothing(case, "cram-ready")


def gvcf_passed(case: Case) -> str | None:
    """Calls made from it passed quality control."""
    gvcfs = case.lineage.gvcfs_from(case.artifact)
    if any(gvcf.passed for gvcf in gvcfs):
        return None
    return "its gVCF did not pass quality control" if gvcfs else "its gVCF is not called yet"


def panel_released(case: Case) -> str | None:
    """A panel that rests on it was released."""
    if any(freeze.released_at is not None for freeze in case.lineage.freezes_of(case.artifact)):
        return None
    return "no panel with it is released yet"


def not_referenced_by_open_freeze(case: Case) -> str | None:
    """No freeze that is under way has it, or anything of its sample. An unread manifest may name anything."""
    mine = {case.artifact.id}
    for sample in case.lineage.samples_of(case.artifact):
        mine |= {gvcf.id for gvcf in case.lineage.gvcfs_of(sample)}
    for freeze in case.lineage.facts.freezes:
        if not freeze.open:
            continue
        if freeze.id == case.artifact.subject:
            return f"it belongs to the open freeze {freeze.id}"
        if freeze.members is None:
            return f"freeze {freeze.id} is open and its manifest is not read yet"
        if not mine.isdisjoint(freeze.members):
            return f"the open freeze {freeze.id} needs its sample"
    return None


def superseded(case: Case) -> str | None:
    """A newer version of the sample has all its reads, proven by fingerprint."""
    olds = case.lineage.crams_from(case.artifact)
    if not olds:
        return _says_nothing(case, "superseded")
    for old in olds:
        files = case.lineage.files_of(old)
        newer = [
            cram
            for cram in case.lineage.crams_of(old.sample)
            if cram.version > old.version and cram.id != old.id and files <= case.lineage.files_of(cram)
        ]
        if not newer or not (case.lineage.whole(old) or old.check is Check.agrees):
            return "no newer version of its sample is known to have all its reads"
        why_not = _proven(newer, files)
        if why_not is not None:
            return f"of the newer version: {why_not}"
    return None


def no_hold(case: Case) -> str | None:
    """Nobody holds it."""
    for hold in case.lineage.holds_on(case.artifact):
        return f"held by {hold.actor}: {hold.reason}"
    return None


def minimum_size(case: Case) -> str | None:
    """It is large enough to be worth moving."""
    least = _minimum(case, case.policy.action, "minimum_bytes")
    if case.policy.action == PURGE or least == 0:
        return None
    if case.artifact.size is None:
        return "its size is not known"
    if case.artifact.size < least:
        return f"it has {case.artifact.size} bytes; below {least} it would cost more there"
    return None


def minimum_stay(case: Case) -> str | None:
    """The days are over that its present class is billed for at least."""
    paid_until = billed_until(case)
    if paid_until is None or case.now >= paid_until:
        return None
    return f"it is billed in {case.artifact.tier} until {day(paid_until)} anyhow"


def billed_until(case: Case) -> datetime | None:
    """The end of the minimum charge of the class it lies in; None where there is none."""
    days = _minimum(case, case.artifact.tier, "minimum_days")
    return case.artifact.tier_since + timedelta(days=days) if days else None


def day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


GUARDS: Mapping[str, Guard] = {
    "cram-verified-fingerprint": cram_verified_fingerprint,
    "cram-ready": cram_ready,
    "gvcf-passed": gvcf_passed,
    "panel-released": panel_released,
    "not-referenced-by-open-freeze": not_referenced_by_open_freeze,
    "superseded": superseded,
    "no-hold": no_hold,
    "minimum-size": minimum_size,
    "minimum-stay": minimum_stay,
}


def _every_lane(case: Case, judge: Callable[[Lane, list[Cram]], str | None]) -> str | None:
    lanes = case.lineage.lanes_of(case.artifact)
    if not lanes:
        return "no run names it as a lane's FASTQ"
    for lane in lanes:
        crams = case.lineage.crams_holding(lane)
        why_not = judge(lane, crams) if crams else f"no CRAM holds its read group {lane.read_group} yet"
        if why_not is not None:
            return why_not
    return None


def _some_kept(lane: Lane, crams: list[Cram]) -> str | None:
    return None if any(cram.kept for cram in crams) else f"the CRAM with read group {lane.read_group} is not kept"


def _proven(crams: list[Cram], files: frozenset[str]) -> str | None:
    """None when one of these CRAMs proves the files; else the best that can be said of them."""
    if any(cram.proves(files) for cram in crams):
        return None
    if any(cram.check is Check.agrees for cram in crams):
        return "the verified CRAM is not kept"
    if any(cram.check is Check.differs for cram in crams):
        return "REFUSED: the CRAM's fingerprint differs from the FASTQs'"
    if any(cram.check is Check.failed for cram in crams):
        return "REFUSED: the CRAM's fingerprint could not be verified"
    return "the CRAM's fingerprint is not verified yet" if crams else "there is no CRAM of it"


def _says_nothing(case: Case, guard: str) -> str:
    return f"the guard {guard} says nothing about a {case.artifact.kind.value}"


def _minimum(case: Case, storage_class: str, what: str) -> int:
    price = case.lineage.facts.prices.get(storage_class)
    return int(getattr(price, what)) if price is not None else 0
