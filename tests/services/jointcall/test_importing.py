"""An interval's import with the columnar engine, one attempt after the other: what an earlier one had kept is not read
again, and what a policy let pass is read by the next one that would not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from chassis.errors import Preempted, Rejected
from chassis.ledger.tasks import Lease
from chassis.reference.cache import ReferenceCache
from chassis.reference.local import LocalReference
from chassis.settings import JointcallSettings, Settings
from chassis.storage import manifests
from chassis.storage.file import FileStore
from chassis.storage.store import tags_of
from chassis.worker.context import TaskContext
from contracts.values import ArtifactKind
from services.jointcall import increments
from services.jointcall.engines.columnar import ColumnarEngine
from services.jointcall.increments import Imported, imported
from services.jointcall.tasks import Columns, IntervalTask
from tests.services.jointcall.engines.written import block, sequence, write_gvcf, write_reference
from tests.support import events

LENGTH = 2000
BASES = sequence(LENGTH)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True)
class Host:
    folder: Path
    store: FileStore
    reference: LocalReference
    policy: Literal["note", "hold", "refuse"] = "hold"
    entries: list[dict[str, Any]] = field(default_factory=list)
    checkpoint: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0
    freezes: int = 0
    preempted_after: int | None = None

    async def member(self, number: int, *, end: int = LENGTH) -> None:
        """A sample more, or another gVCF in its place."""
        folder = self.folder / f"{number}-{end}"
        folder.mkdir()
        made = write_gvcf(folder, f"person{number}", [block(BASES, 1, end)], contigs=[("c1", LENGTH)])
        stored = []
        for kind, path in ((ArtifactKind.gvcf, made.path), (ArtifactKind.gvcf_index, made.index)):
            tags = tags_of(kind=kind, stage="align", subject="s")
            stored.append(
                (await self.store.put_file(f"working/align/{folder.name}/{path.name}", path, tags=tags)).artifact(kind)
            )
        key = events.sample_of(number)
        entry = {
            "sample": key,
            "version": 1,
            "gvcf": stored[0].model_dump(mode="json"),
            "index": stored[1].model_dump(mode="json"),
        }
        self.entries = sorted(
            [*(one for one in self.entries if one["sample"] != key), entry], key=lambda one: one["sample"]
        )

    async def attempt(self, *, earlier: Columns | None = None, afresh: bool = True) -> Imported:
        """`afresh`: of a new freeze; else the task's next attempt, with what was recorded before."""
        if afresh:
            self.checkpoint, self.freezes = {}, self.freezes + 1
        self.attempts += 1
        scratch = self.folder / f"scratch-{self.attempts}"
        scratch.mkdir()
        task = IntervalTask(
            freeze=f"c:{self.freezes}",
            cohort="c",
            index=0,
            interval=self.reference.intervals[0],
            manifest=await manifests.write_manifest(self.store, None, self.entries),
            reference=self.reference.id,
            engine="columnar",
            earlier=earlier,
        )
        settings = Settings(state_dir=self.folder / "state", jointcall=JointcallSettings(coverage_policy=self.policy))
        self.context = TaskContext(
            service="jointcall",
            settings=settings,
            lease=_lease(task, checkpoint=dict(self.checkpoint)),
            store=self.store,
            references=ReferenceCache(root=self.folder / "references", limit_bytes=1),
            scratch=scratch,
            log=scratch / "log",
            record=self._record,
        )
        engine = ColumnarEngine(chunk_bp=LENGTH)
        return await imported(self.context, task, engine, self.reference, scratch / "generation")

    def fetched(self) -> set[str]:
        """Keys of the samples whose gVCF the latest attempt fetched."""
        return {path.name.partition(".")[0] for path in self.context.scratch.glob("*.g.vcf.gz")}

    async def _record(self, chunk: str, value: Mapping[str, Any]) -> None:
        self.checkpoint[chunk] = dict(value)
        if self.preempted_after == len(self.checkpoint):
            raise Preempted("the worker is to stop")


def _lease(task: IntervalTask, *, checkpoint: dict[str, Any]) -> Lease:
    return Lease(
        key="interval:c:1:0",
        kind="interval",
        subject=task.freeze,
        belongs_to=task.cohort,
        payload=task.model_dump(mode="json"),
        pool="default",
        memory_class="small",
        epoch=1,
        incarnation=1,
        owner="o",
        until=NOW + timedelta(minutes=1),
        checkpoint=checkpoint,
        traceparent=None,
        attempts=1,
        created_at=NOW,
        started_at=NOW,
    )


@pytest.fixture
async def host(tmp_path: Path) -> Host:
    made = Host(folder=tmp_path, store=FileStore(root=tmp_path / "store"), reference=write_reference(tmp_path, BASES))
    for number in range(3):
        await made.member(number)
    return made


def keys(*numbers: int) -> set[str]:
    return {events.sample_of(number) for number in numbers}


async def test_what_is_imported_is_not_read_again_after_a_preemption(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(increments, "GROUP", 1)
    whole = (await host.attempt()).columns.generation
    host.preempted_after = 2
    with pytest.raises(Preempted):
        await host.attempt()
    assert host.fetched() == keys(0, 1)
    host.preempted_after = None
    got = await host.attempt(afresh=False)
    assert host.fetched() == keys(2)
    assert (got.reuse.samples_reused, got.reuse.samples_imported, got.reuse.freeze) == (0, 3, None)
    assert got.columns.generation == whole
    again = await host.attempt(afresh=False)
    assert again == got and host.fetched() == set()


async def test_a_replaced_gvcf_alone_is_read(host: Host) -> None:
    first = await host.attempt()
    host.policy = "note"
    await host.member(1, end=1500)
    second = await host.attempt(earlier=first.columns)
    assert host.fetched() == keys(1)
    assert second.reuse.freeze == "c:1" and second.columns.freeze == "c:2"
    assert (second.reuse.samples_reused, second.reuse.samples_imported) == (2, 1)
    assert second.reuse.bytes_written < first.reuse.bytes_written


async def test_a_gap_that_one_policy_let_pass_is_refused_by_the_next(host: Host) -> None:
    host.policy = "note"
    await host.member(1, end=1500)
    first = await host.attempt()
    host.policy = "hold"
    with pytest.raises(Rejected) as refused:
        await host.attempt(earlier=first.columns)
    assert host.fetched() == keys(1), "nobody else is read for it"
    assert (refused.value.rejection.code, refused.value.rejection.where.partition(".")[0]) == (
        "GVCF_COVERAGE",
        events.sample_of(1),
    )
    for one in host.entries:
        one["gaps_accepted"] = True
    assert (await host.attempt(earlier=first.columns)).reuse.samples_reused == 3
    assert host.fetched() == set()


async def test_columns_of_another_lineage_are_passed_over(host: Host) -> None:
    first = await host.attempt()
    other = first.columns.model_copy(update={"lineage": "columnar 0"})
    assert (await host.attempt(earlier=other)).reuse.samples_imported == 3


async def test_one_gvcf_under_two_keys_is_refused(host: Host) -> None:
    twin = replace_key(host.entries[0], number=9)
    host.entries.append(twin)
    with pytest.raises(Rejected, match="COHORT_DUPLICATE"):
        await host.attempt()


async def test_names_of_samples_that_are_taken_over_are_withheld(host: Host) -> None:
    first = await host.attempt()
    await host.attempt(earlier=first.columns)
    assert (
        host.context.withheld.cleaned("of person0 and person2") == f"of {events.sample_of(0)} and {events.sample_of(2)}"
    )


def replace_key(entry: Mapping[str, Any], *, number: int) -> dict[str, Any]:
    return {**entry, "sample": events.sample_of(number)}
