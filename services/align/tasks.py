"""Align's tasks: align a sample's reads (chunks: lanes), call its variants (chunks: groups of calling intervals)."""

from __future__ import annotations

import hashlib
import json

from chassis.ledger.tasks import NewTask
from chassis.settings import Settings
from contracts.values import Artifact, LibraryKey, Name, ReferenceId, RunSample, Sample, Text, Value

ALIGN, CALL = "align", "call"


class Aligned(Value):
    """What an earlier version of a sample left: its reads are merged with the new ones."""

    cram: Artifact
    crai: Artifact
    reference: ReferenceId
    libraries: tuple[LibraryKey, ...] = ()


class AlignTask(Value):
    run: Name
    platform: Text
    optical_distance: int
    arrived: RunSample
    reference_name: Name
    previous: Aligned | None = None
    pipeline: Text

    @property
    def sample(self) -> Sample:
        return self.arrived.sample

    @property
    def libraries(self) -> tuple[str, ...]:
        """Of all reads of the version: those that came, and those that they are merged with."""
        earlier = self.previous.libraries if self.previous is not None else ()
        return tuple(sorted({*earlier, *(lane.library for lane in self.arrived.lanes)}))

    def task(self, *, memory_class: str) -> NewTask:
        return NewTask(
            memory_class=memory_class,
            key=f"align:{self.sample.key}:v{self.sample.version}:{self.pipeline}",
            kind=ALIGN,
            subject=self.sample.key,
            belongs_to=self.run,
            payload=self.model_dump(mode="json"),
            priority=float(sum(lane.read_pairs for lane in self.arrived.lanes)),
        )


class CallTask(Value):
    run: Name
    sample: Sample
    cram: Artifact
    crai: Artifact
    reference: ReferenceId
    metrics: dict[str, float]
    pipeline: Text

    def task(self, *, memory_class: str) -> NewTask:
        return NewTask(
            memory_class=memory_class,
            key=f"call:{self.sample.key}:v{self.sample.version}:{self.pipeline}",
            kind=CALL,
            subject=self.sample.key,
            belongs_to=self.run,
            payload=self.model_dump(mode="json"),
            priority=self.metrics["reads"],
        )


def pipeline_of(settings: Settings, *, engine_versions: str) -> str:
    """What the task key says of the pipeline: another reference, engine, version or parameter is new work."""
    matter = {
        "reference": settings.align.reference,
        "engine": settings.align.engine,
        "aligner": settings.align.aligner,
        "versions": engine_versions,
        "call_interval_bp": settings.align.call_interval_bp,
    }
    digest = hashlib.sha256(json.dumps(matter, sort_keys=True).encode()).hexdigest()
    return f"{settings.align.engine}-{digest[:12]}"
