"""Gather what the demo shows: a panel's files, its comparison with the truth, what each service did."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chassis.settings import Settings
from chassis.storage import manifests, open_store
from console.demo.figures import FreezeFigures, ServiceFigures, TopUp
from console.supervisor import SERVICES
from console.views import BACKLOG, Views
from contracts.values import Artifact, ArtifactKind, ManifestRef

ATTEMPTS = "select ending, count(*) as attempts from status_attempt group by ending"
HELD = "select count(*) as held from status_quarantine where state = 'held'"
STORAGE = "select * from status_storage"
COVERAGE = "select version, metrics from status_version where sample = $1 order by version"
KEY_OF = "select key from status_sample_label where label = $1"


async def collect_panel(
    settings: Settings,
    *,
    panel: Mapping[str, Any],
    freeze: Mapping[str, Any],
    folder: Path,
    truth: Path | None,
    reference: Path,
    people: Sequence[str],
    seconds: float,
) -> FreezeFigures:
    """Fetch a released panel into `folder` and compare it with the truth where there is one."""
    vcfs, parquet = await _fetch(settings, ManifestRef.model_validate(panel["manifest"]), folder)
    evaluation = None
    if truth is not None:
        evaluation = await asyncio.to_thread(_evaluated, truth, vcfs, people, reference)
    summary = panel["summary"]
    return FreezeFigures(
        freeze=panel["freeze"],
        samples=summary["samples"],
        intervals=freeze["intervals"],
        variants=summary["variants"],
        passed=summary["passed"],
        seconds=seconds,
        decisions=tuple(panel["decisions"]),
        vcf=tuple(vcfs),
        parquet=parquet,
        evaluation=evaluation,
        engine=freeze["engine"],
        begun_with=freeze["begun_with"],
        reuse=freeze["reuse"],
    )


async def _fetch(settings: Settings, manifest: ManifestRef, folder: Path) -> tuple[list[Path], Path]:
    """Every file that the panel's manifest names, under its own name: VCFs beside each other, the lake below."""
    vcfs: list[Path] = []
    lake = folder / "lake"
    async with open_store(settings.store) as store:
        for entry in await manifests.read_manifest(store, manifest):
            artifact = Artifact.model_validate(entry["artifact"])
            path = folder / entry["name"]
            if not path.resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"the panel's manifest names {entry['name']}, which leaves its folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            await store.get_file(artifact.uri, path, sha256=artifact.id, size=artifact.size)
            if artifact.kind is ArtifactKind.vcf:
                vcfs.append(path)
    return vcfs, lake


def _evaluated(truth: Path, vcfs: Sequence[Path], people: Sequence[str], reference: Path) -> dict[str, Any]:
    from console.demo.evaluate import evaluate

    return evaluate(truth_vcf=truth, panel_vcfs=list(vcfs), samples=list(people), reference=reference).to_json()


async def service_figures(views: Views) -> tuple[ServiceFigures, ...]:
    found = []
    for service in SERVICES:
        done = [row for row in await views.rows(service, BACKLOG) if row["state"] == "done"]
        endings = {row["ending"]: row["attempts"] for row in await views.rows(service, ATTEMPTS)}
        found.append(
            ServiceFigures(
                service=service,
                tasks=sum(row["tasks"] for row in done),
                seconds=round(sum(float(row["seconds"] or 0) for row in done), 1),
                endings=endings,
            )
        )
    return tuple(found)


async def storage(views: Views) -> tuple[Mapping[str, Any], ...]:
    """Objects and bytes by kind and tier."""
    return tuple(await views.rows("archive", STORAGE))


async def held_events(views: Views) -> int:
    """Events in quarantine, over all services."""
    return sum(row["held"] for rows in (await views.everywhere(HELD)).values() for row in rows)


async def top_up(views: Views, label: str) -> TopUp | None:
    """Coverage of a sample by version, as align measured it."""
    row = await views.one("ingest", KEY_OF, label)
    if row is None:
        return None
    versions = await views.rows("align", COVERAGE, row["key"])
    return TopUp(
        sample=label,
        coverage={one["version"]: one["metrics"]["mean_coverage"] for one in versions if one["metrics"] is not None},
    )


async def events_by_topic(settings: Settings) -> dict[str, int]:
    """How many events each topic holds."""
    from aiokafka import AIOKafkaConsumer, TopicPartition
    from aiokafka.admin import AIOKafkaAdminClient

    from chassis.messaging.security import plain_options
    from contracts.topics import TOPICS

    admin = AIOKafkaAdminClient(**plain_options(settings.kafka))
    await admin.start()
    try:
        described = await admin.describe_topics([topic.name for topic in TOPICS])
    finally:
        await admin.close()
    partitions = [TopicPartition(one["topic"], part["partition"]) for one in described for part in one["partitions"]]
    consumer = AIOKafkaConsumer(**plain_options(settings.kafka))
    await consumer.start()
    try:
        counts: Counter[str] = Counter()
        for partition, end in (await consumer.end_offsets(partitions)).items():
            counts[partition.topic] += end
        return {topic.name: counts[topic.name] for topic in TOPICS if counts[topic.name]}
    finally:
        await consumer.stop()
