"""New, top-up or rerun? And when does what comes contradict what is stored?

A sample is (project, laboratory's id). It is *new* while nothing of it was ever announced. Reads of a known sample and
one of its known libraries, from lanes not stored yet, are a *top-up*. Lanes that are stored already, with the same
files, are a *rerun*: nothing new.

A known sample with a library that is not known matches none of these. It cannot be a new sample either, since the
sample's key is made of project and id alone: two samples would share one key, and duplicates would be marked and
versions counted across both. Nor is it taken on trust: a mistyped library name would keep PCR duplicates as
independent evidence, and a mistyped sample id would mix two people. So it is refused with LIBRARY_UNKNOWN until someone
says that it is meant, by declaring the library in the sheet's section `[Cohortstream_Data]`; then it is a top-up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chassis.errors import Rejection
from contracts.values import Arrival, LaneReads

LaneId = tuple[str, int, str]
"""Flow cell, lane, index: what a read group is called by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSample:
    """What was announced of a sample; version 0 and no libraries when nothing was."""

    version: int = 0
    libraries: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownLane:
    """A stored lane of a library, by keys; sums and sizes (bytes) of its two FASTQs."""

    library: str
    run: str
    r1_sha256: str
    r2_sha256: str
    r1_size: int
    r2_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """`version` is the sample's after this; `fresh` are the lanes to store, `lanes` those to announce."""

    arrival: Arrival
    version: int
    fresh: tuple[LaneReads, ...]
    lanes: tuple[LaneReads, ...]


def unknown_library(known: KnownSample, libraries: Iterable[str], further: Iterable[str]) -> Rejection | None:
    """LIBRARY_UNKNOWN when a known sample comes with a library that is neither known nor declared; all are keys."""
    if known.version == 0 or set(libraries) <= known.libraries | set(further):
        return None
    return Rejection(
        code="LIBRARY_UNKNOWN",
        message="the sample is known, its library is not",
        where="the sample's rows in SampleSheet.csv",
        rule="a top-up names the project, the sample and a library that are all known",
        fix="name the library as in the sample's first run; declare a further library with a row in a section "
        "[Cohortstream_Data] with the columns Sample_ID,NewLibrary; give another person's sample an id of its own",
    )


def relabelled(lane: LaneId, library: str, stored: Mapping[LaneId, KnownLane]) -> Rejection | None:
    """IDEMPOTENCY_CONFLICT when this lane and index are stored as another library's."""
    known = stored.get(lane)
    if known is None or known.library == library:
        return None
    return Rejection(
        code="IDEMPOTENCY_CONFLICT",
        message=f"the reads of this index in lane {lane[1]} are stored as another library's",
        where="the sample's rows in SampleSheet.csv",
        rule="a lane's index names one library, and what was announced stays true",
        fix="restore the sheet; if two samples were swapped, withdraw the wrong ones and give the right ones new ids",
    )


def changed(lane: LaneId) -> Rejection:
    """IDEMPOTENCY_CONFLICT: the same lane with other files."""
    return Rejection(
        code="IDEMPOTENCY_CONFLICT",
        message=f"lane {lane[1]} was stored before with other content",
        where=f"R1 and R2 of lane {lane[1]}",
        rule="the same flow cell, lane, index and library always have the same reads",
        fix="restore the files that were announced; reads of a new conversion need a sample id of their own",
    )


def settle(
    known: KnownSample,
    lanes: Sequence[LaneReads],
    *,
    further: Iterable[str],
    stored: Mapping[LaneId, KnownLane],
) -> Settled | Rejection:
    """What checked lanes of one sample are, given all that is stored. Pure: the caller holds the sample's lock."""
    if (unknown := unknown_library(known, [lane.library for lane in lanes], further)) is not None:
        return unknown
    fresh: list[LaneReads] = []
    for lane in lanes:
        place = lane_id(lane)
        if (conflict := relabelled(place, lane.library, stored)) is not None:
            return conflict
        before = stored.get(place)
        if before is None:
            fresh.append(lane)
        elif (before.r1_sha256, before.r2_sha256) != (lane.r1.id, lane.r2.id):
            return changed(place)
    if not fresh:
        return Settled(arrival=Arrival.rerun, version=known.version, fresh=(), lanes=tuple(lanes))
    arrival = Arrival.new if known.version == 0 else Arrival.top_up
    return Settled(arrival=arrival, version=known.version + 1, fresh=tuple(fresh), lanes=tuple(fresh))


def lane_id(lane: LaneReads) -> LaneId:
    return (lane.flowcell, lane.lane, lane.index)
