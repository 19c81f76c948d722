"""Who came from whom: FASTQs -> the CRAM that holds their reads -> its gVCF -> the freezes that took it in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime

from contracts.values import ArtifactKind
from services.archive.facts import Check, Cram, Facts, Freeze, Gvcf, Hold, Lane, Recorded

SampleVersion = tuple[str, int]


def lanes_in(cram: Cram, lanes: Iterable[Lane]) -> Mapping[str, Lane]:
    """Read group -> the pair of FASTQs that this CRAM's reads came from: the latest that its version can have seen.

    A read group without an entry has no FASTQs known (yet). Where a rerun brought a lane's files again, the choice may
    be wrong; then the fingerprints differ and nothing is purged.
    """
    chosen: dict[str, Lane] = {}
    for lane in lanes:
        if lane.sample == cram.sample and lane.version <= cram.version and lane.read_group in cram.read_groups:
            known = chosen.get(lane.read_group)
            if known is None or known.order < lane.order:
                chosen[lane.read_group] = lane
    return chosen


class Lineage:
    """Indexes over facts. All answers are the same whatever order the facts came in."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._lanes_of_file: dict[str, list[Lane]] = defaultdict(list)
        self._lanes: dict[str, list[Lane]] = defaultdict(list)
        for lane in facts.lanes:
            self._lanes[lane.sample].append(lane)
            for file in (lane.r1, lane.r2):
                self._lanes_of_file[file].append(lane)
        self._crams: dict[str, list[Cram]] = defaultdict(list)
        for cram in facts.crams:
            self._crams[cram.sample].append(cram)
        self._chosen = {(c.sample, c.version, c.id): lanes_in(c, self._lanes[c.sample]) for c in facts.crams}
        self._gvcfs: dict[str, list[Gvcf]] = defaultdict(list)
        for gvcf in facts.gvcfs:
            self._gvcfs[gvcf.sample].append(gvcf)
        self._holds: dict[str, list[Hold]] = defaultdict(list)
        for hold in facts.holds:
            self._holds[hold.artifact].append(hold)

    def holds_on(self, artifact: Recorded) -> list[Hold]:
        return self._holds.get(artifact.id, [])

    def lanes_of(self, artifact: Recorded) -> list[Lane]:
        """Every pair of FASTQs that this file is one of: the same content may have come twice."""
        return self._lanes_of_file.get(artifact.id, [])

    def chosen(self, cram: Cram) -> Mapping[str, Lane]:
        return self._chosen[(cram.sample, cram.version, cram.id)]

    def crams_of(self, sample: str) -> list[Cram]:
        return self._crams.get(sample, [])

    def files_of(self, cram: Cram) -> frozenset[str]:
        """The FASTQs that its reads came from: those compared with success, else those that should have."""
        if cram.check is Check.agrees:
            return cram.compared
        return frozenset(file for lane in self.chosen(cram).values() for file in lane.files)

    def whole(self, cram: Cram) -> bool:
        """Whether the FASTQs of all its read groups are known."""
        return self.chosen(cram).keys() == cram.read_groups

    def to_compare(self, cram: Cram) -> bool:
        """Whether its fingerprint was never compared with the FASTQs that it should come from, and now can be."""
        return cram.check is not Check.agrees and self.whole(cram) and self.files_of(cram) != cram.compared

    def crams_holding(self, lane: Lane) -> list[Cram]:
        """CRAMs whose reads came from this very pair of files."""
        return [cram for cram in self.crams_of(lane.sample) if lane.files <= self.files_of(cram)]

    def crams_from(self, artifact: Recorded) -> list[Cram]:
        """CRAMs that bear on this artifact: that hold its reads, or that it is or indexes."""
        match artifact.kind:
            case ArtifactKind.fastq:
                return [cram for lane in self.lanes_of(artifact) for cram in self.crams_holding(lane)]
            case ArtifactKind.cram | ArtifactKind.crai:
                return [c for c in self.facts.crams if artifact.id in (c.id, c.crai)]
            case _:
                return []

    def newest_cram(self, sample: str) -> Cram | None:
        """The CRAM of the latest version of the sample that any fact speaks of; None while that one is to come."""
        versions = [lane.version for lane in self._lanes.get(sample, [])]
        versions += [cram.version for cram in self.crams_of(sample)]
        if not versions:
            return None
        latest = [cram for cram in self.crams_of(sample) if cram.version == max(versions)]
        return min(latest, key=lambda cram: (cram.recorded_at, cram.id), default=None)

    def versions_of(self, artifact: Recorded) -> set[SampleVersion]:
        """The sample versions whose calls rest on this artifact."""
        match artifact.kind:
            case ArtifactKind.gvcf | ArtifactKind.gvcf_index:
                return {(g.sample, g.version) for g in self.facts.gvcfs if artifact.id in (g.id, g.index)}
            case _:
                return {(cram.sample, cram.version) for cram in self.crams_from(artifact)}

    def samples_of(self, artifact: Recorded) -> set[str]:
        """Whose artifact this is; more than one where two samples' files have one content."""
        of = {lane.sample for lane in self.lanes_of(artifact)} | {sample for sample, _ in self.versions_of(artifact)}
        return of | {artifact.subject}

    def gvcfs_from(self, artifact: Recorded) -> list[Gvcf]:
        versions = self.versions_of(artifact)
        return [g for sample, _ in versions for g in self._gvcfs.get(sample, []) if (g.sample, g.version) in versions]

    def gvcfs_of(self, sample: str) -> list[Gvcf]:
        return self._gvcfs.get(sample, [])

    def freezes_of(self, artifact: Recorded) -> list[Freeze]:
        """Freezes that this artifact belongs to, or whose manifest names it or a gVCF called from it."""
        named = {artifact.id, *(gvcf.id for gvcf in self.gvcfs_from(artifact))}
        return [
            freeze
            for freeze in self.facts.freezes
            if freeze.id == artifact.subject or (freeze.members is not None and not named.isdisjoint(freeze.members))
        ]

    def when(self, event: str, artifact: Recorded) -> datetime | None:
        """When the event first happened to this artifact, by the ledger's clock; None: not yet."""
        moments: list[datetime | None]
        match event:
            case "cram.ready" if artifact.kind is ArtifactKind.lane_bam:
                newest = self.newest_cram(artifact.subject)
                moments = [newest.recorded_at if newest else None]
            case "cram.ready":
                moments = [cram.recorded_at for cram in self.crams_from(artifact)]
            case "gvcf.ready":
                moments = [gvcf.recorded_at for gvcf in self.gvcfs_from(artifact)]
            case "panel.released":
                moments = [freeze.released_at for freeze in self.freezes_of(artifact)]
            case _:
                raise ValueError(f"no policy can wait for {event}")
        return min((moment for moment in moments if moment is not None), default=None)
