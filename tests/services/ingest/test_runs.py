"""From folders to events on a real ledger: once each, the bad ones by name, the good ones on."""

from __future__ import annotations

import asyncio
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chassis.ledger import outbox, queue
from chassis.outcomes import Failed, Retry
from chassis.worker.settle import settle
from contracts.envelope import canonical_json
from contracts.events import MAX_EVENT_BYTES, RunCompleted, SampleWithdrawalRequested, WorkCancelRequested
from contracts.values import (
    Actor,
    ActorKind,
    Arrival,
    Artifact,
    ArtifactKind,
    LaneReads,
    RunSample,
    Sample,
)
from services.ingest import gather, workers
from services.ingest.main import build
from services.ingest.subscribers import on_cancel, on_withdrawal
from services.ingest.watcher import scan
from tests.services.ingest.bench import BASE_CALLS, FLOWCELL, RUN, Bench, RunFolder, SheetRow, fastq, sheet_v2

S1, S2 = SheetRow(library="S1-LIB1"), SheetRow(sample="S2", index="A" * 10)
NEXT = {"name": "240625_A01417_0221_BHLGT2DSX5", "run": "240625_A01417_0221_BHLGT2DSX5", "flowcell": "HLGT2DSX5"}
ACTOR = Actor(kind=ActorKind.person, name="operator")


async def states(bench: Bench) -> dict[str, str]:
    rows = await bench.fetch("select subject, state from status_subject where kind = 'sample'")
    return {row["subject"]: row["state"] for row in rows}


async def test_a_run_is_announced_once_with_all_that_align_needs(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, replace(S1, lane=2), S2)
    folder.whole()
    await bench.scan()
    assert (await bench.run())["state"] == "checking"
    assert await bench.work() == 2
    (told,) = await bench.events("run.completed")
    assert (told.run, told.platform, told.instrument, told.optical_distance) == (RUN, "ILLUMINA", "NovaSeq 6000", 2500)
    assert (told.part, told.parts, told.rejected) == (1, 1, 0)
    by_key = {one.sample.key: one for one in told.samples}
    assert set(by_key) == {bench.key("S1"), bench.key("S2")}
    one = by_key[bench.key("S1")]
    assert (one.arrival, one.sample.version, one.sample.project) == (Arrival.new, 1, "COHORT1")
    assert [(lane.read_group, lane.read_pairs) for lane in one.lanes] == [
        (f"{FLOWCELL}.{lane}.ACGTACGTAC+TTGCATTGCA", 3) for lane in (1, 2)
    ]
    stored = await bench.watch.store.get_bytes(one.lanes[0].r1.uri, limit=10_000, sha256=one.lanes[0].r1.id)
    assert stored == folder.fastq("S1", 1, 1).read_bytes()
    card = json.loads(await bench.watch.store.get_bytes(one.card.uri, limit=10_000, sha256=one.card.id))
    assert card["label"] == "S1"
    assert card["libraries"] == {one.lanes[0].library: "S1-LIB1"}
    run = await bench.run()
    assert (run["state"], run["samples"], run["rejected"], run["waits_for"]) == ("completed", 2, 0, "")
    for _ in range(3):
        await bench.go()
    assert len(await bench.events("run.completed")) == 1
    assert await bench.events("sample.failed") == []


async def test_no_event_and_no_status_says_a_laboratory_id(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, S2, SheetRow(sample="Jane_Smith", index="C" * 10, library="J-LIB1"))
    folder.whole()
    folder.fastq("S2", 1, 1).write_bytes(b"junk")
    await bench.go()
    status = [
        str(row)
        for view in ("status_run", "status_subject", "status_rejection", "status_task")
        for row in await bench.fetch(f"select * from {view}")
    ]
    everything = "\n".join([await bench.raw_events(), *status])
    assert bench.key("S1") in everything
    for word in ("S1-LIB1", "S1_S1", "S2_S2", "_R1_001", "Jane", "J-LIB1", '"S1"', '"S2"', "'S1'", "'S2'"):
        assert word not in everything, word
    labels = {row["label"]: row["version"] for row in await bench.fetch("select * from status_sample_label")}
    assert labels == {"S1": 1, "S2": 0}
    files = await bench.fetch("select * from status_sample_file where sample = $1 and mate = 1", bench.key("S2"))
    assert [row["file"] for row in files] == [f"{BASE_CALLS}/COHORT1/S2_S2_L001_R1_001.fastq.gz"]


async def test_one_bad_sample_is_refused_by_name_and_the_rest_go_on(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, S2, SheetRow(sample="-x", index="C" * 10))
    folder.begin().copied()
    broken = gzip.compress(fastq(mate=2).replace(b"FFF:#\n@r2", b"FFF:\n@r2"))
    folder.rows = (S1, S2)
    folder.convert({("S2", 1, 2): broken, ("S2", 1, 1): gzip.compress(fastq(mate=1))})
    await bench.go()
    failed = {one.sample: one for one in await bench.events("sample.failed")}
    assert set(failed) == {bench.key("S2"), bench.key("-x")}
    fault = failed[bench.key("S2")]
    assert (fault.stage, fault.rejection.code, fault.rejection.where) == (
        "ingest",
        "FASTQ_LENGTH",
        "R2 of lane 1, record 2",
    )
    assert failed[bench.key("-x")].rejection.code == "UNSAFE_ID"
    (told,) = await bench.events("run.completed")
    assert ([one.sample.key for one in told.samples], told.rejected) == ([bench.key("S1")], 2)
    assert await states(bench) == {
        bench.key("S1"): "completed",
        bench.key("S2"): "rejected",
        bench.key("-x"): "rejected",
    }


async def test_a_mended_file_is_checked_again_and_follows_as_a_further_part(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, S2)
    folder.whole()
    good = folder.fastq("S2", 1, 1).read_bytes()
    folder.fastq("S2", 1, 1).write_bytes(good[:-4])
    assert await bench.go() == 2
    assert await bench.go() == 0
    folder.fastq("S2", 1, 1).write_bytes(good)
    assert await bench.go() == 1
    first, second = await bench.events("run.completed")
    assert (first.part, first.parts, first.rejected) == (1, 1, 1)
    assert (second.part, second.parts, second.rejected) == (2, 2, 0)
    assert [one.sample.key for one in second.samples] == [bench.key("S2")]
    assert len(await bench.events("sample.failed")) == 1
    assert (await bench.run())["state"] == "completed"


async def test_a_mended_sheet_is_offered_again_without_redoing_what_was_good(bench: Bench, folder: RunFolder) -> None:
    bad = replace(S2, sample="S 2")
    folder.rows = (S1, bad)
    folder.begin().copied()
    folder.rows = (S1, S2)
    folder.convert()
    assert await bench.go() == 1
    folder.write_sheet()
    assert await bench.go() == 1
    assert [len(told.samples) for told in await bench.events("run.completed")] == [1, 1]
    (failed,) = await bench.events("sample.failed")
    assert failed.rejection.code == "UNSAFE_ID"
    assert (await bench.fetch("select attempt from run"))[0]["attempt"] == 2


async def test_a_sheet_that_cannot_be_read_rejects_the_run_until_it_is_mended(bench: Bench, folder: RunFolder) -> None:
    folder.whole().write_sheet("[BCLConvert_Data]\nLane,Index\n1,ACGT\n")
    await bench.scan()
    for _ in range(3):
        await bench.scan()
    (refused,) = await bench.events("run.rejected")
    assert (refused.attempt, refused.rejection.code) == (1, "SHEET_COLUMN")
    run = await bench.run()
    assert run["state"] == "rejected"
    assert "mend the sample sheet" in run["waits_for"]
    folder.write_sheet("[Data]\n")
    await bench.scan()
    folder.write_sheet()
    assert await bench.go() == 1
    assert [one.attempt for one in await bench.events("run.rejected")] == [1, 2]
    assert len(await bench.events("run.completed")) == 1
    assert await bench.fetch("select * from status_rejection") == []


async def test_a_run_without_one_good_sample_is_rejected(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, S2)
    folder.whole()
    for sample in ("S1", "S2"):
        folder.fastq(sample, 1, 2).write_bytes(b"")
    await bench.go()
    assert await bench.events("run.completed") == []
    (refused,) = await bench.events("run.rejected")
    assert refused.rejection.code == "EMPTY_INPUT"
    assert "none of the run's 2 samples" in refused.rejection.message
    assert len(await bench.events("sample.failed")) == 2


async def test_new_lanes_of_a_known_library_are_a_top_up(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1,)
    folder.whole()
    RunFolder(root=folder.root, rows=(S1, S2), **NEXT).whole()
    await bench.go()
    by_run = {told.run: told for told in await bench.events("run.completed")}
    arrivals = [one for told in by_run.values() for one in told.samples if one.sample.key == bench.key("S1")]
    assert sorted((one.sample.version, one.arrival) for one in arrivals) == [(1, Arrival.new), (2, Arrival.top_up)]
    assert {lane.library for one in arrivals for lane in one.lanes} == {arrivals[0].lanes[0].library}
    (label,) = await bench.fetch("select version from status_sample_label where label = 'S1'")
    assert label["version"] == 2


async def test_an_unknown_library_of_a_known_sample_must_be_declared(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1,)
    folder.whole()
    await bench.go()
    second = RunFolder(root=folder.root, rows=(replace(S1, library="S1-LIB2"), S2), **NEXT).whole()
    await bench.go()
    (failed,) = await bench.events("sample.failed")
    assert (failed.sample, failed.rejection.code) == (bench.key("S1"), "LIBRARY_UNKNOWN")
    assert "[Cohortstream_Data]" in failed.rejection.fix
    text = (second.path / "SampleSheet.csv").read_text()
    second.write_sheet(text + "\n[Cohortstream_Data]\nSample_ID,NewLibrary\nS1,S1-LIB2\n")
    await bench.go()
    told = (await bench.events("run.completed"))[-1]
    assert [(one.sample.key, one.sample.version, one.arrival) for one in told.samples] == [
        (bench.key("S1"), 2, Arrival.top_up)
    ]


async def test_the_same_lanes_in_a_run_of_another_name_are_a_rerun(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1,)
    folder.whole()
    await bench.go()
    again = RunFolder(root=folder.root, rows=(S1,), name="again", run="again").begin().copied()
    again.convert({("S1", 1, mate): folder.fastq("S1", 1, mate).read_bytes() for mate in (1, 2)})
    await bench.go()
    first, second = (told.samples[0] for told in await bench.events("run.completed"))
    assert (first.arrival, second.arrival) == (Arrival.new, Arrival.rerun)
    assert second.sample.version == 1


async def test_the_same_lanes_with_other_reads_are_a_conflict(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1,)
    folder.whole()
    await bench.go()
    other = {("S1", 1, mate): gzip.compress(fastq(mate=mate, name="other")) for mate in (1, 2)}
    RunFolder(root=folder.root, rows=(S1,), name="again", run="again").begin().copied().convert(other)
    await bench.go()
    assert len(await bench.events("run.completed")) == 1
    assert [one.rejection.code for one in await bench.events("sample.failed")] == ["IDEMPOTENCY_CONFLICT"]


async def test_a_second_folder_of_a_run_is_nothing_new_or_a_conflict(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1,)
    folder.whole()
    await bench.go()
    contents = {("S1", 1, mate): folder.fastq("S1", 1, mate).read_bytes() for mate in (1, 2)}
    copy = RunFolder(root=folder.root, name="copy", rows=(S1,)).begin().copied().convert(contents)
    assert await bench.go() == 0
    assert await bench.events("run.rejected") == []
    copy.fastq("S1", 1, 1).write_bytes(gzip.compress(fastq(mate=1, records=30)))
    copy.convert({**contents, ("S1", 1, 1): gzip.compress(fastq(mate=1, records=30))})
    await bench.go()
    await bench.go()
    (refused,) = await bench.events("run.rejected")
    assert refused.rejection.code == "IDEMPOTENCY_CONFLICT"
    assert (await bench.run())["state"] == "completed"


async def test_a_run_whose_folder_moved_goes_on_where_it_is(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1,)
    folder.begin().copied()
    await bench.scan()
    folder.path.rename(folder.root / "moved")
    folder.name = "moved"
    folder.convert()
    assert await bench.go() == 1
    assert (await bench.run())["state"] == "completed"


async def test_a_run_whose_folder_is_gone_says_so(bench: Bench, folder: RunFolder) -> None:
    folder.begin()
    await bench.scan()
    folder.path.rename(folder.root.parent / "taken-away")
    await bench.scan()
    assert (await bench.run())["waits_for"] == "its folder, which is gone"


async def test_a_changed_library_of_a_stored_lane_is_a_conflict(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1,)
    folder.whole()
    await bench.go()
    folder.write_sheet("[Data]\nLane,Sample_ID,index,index2,Sample_Project\n1,S1,ACGTACGTAC,TTGCATTGCA,COHORT1\n")
    folder.rows = (replace(S1, library="S1"),)
    await bench.go()
    (failed,) = await bench.events("sample.failed")
    assert failed.rejection.code == "LIBRARY_UNKNOWN"
    assert len(await bench.events("run.completed")) == 1


async def test_a_stored_lane_cannot_become_another_samples(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, S2)
    folder.whole()
    await bench.go()
    swapped = (replace(S1, sample="S2", library=""), replace(S2, sample="S1", library="S1-LIB1"))
    folder.write_sheet(sheet_v2(*swapped))
    files = {(s, mate): folder.fastq(s, 1, mate) for s in ("S1", "S2") for mate in (1, 2)}
    for mate in (1, 2):
        number = {"S1": 2, "S2": 1}
        for sample in ("S1", "S2"):
            target = files[sample, mate].with_name(f"{sample}_S{number[sample]}_L001_R{mate}_001.fastq.gz")
            files[sample, mate].rename(target)
    await bench.go()
    assert {one.rejection.code for one in await bench.events("sample.failed")} == {"IDEMPOTENCY_CONFLICT"}
    assert len(await bench.events("run.completed")) == 1


async def test_two_watchers_take_a_run_in_once(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, S2)
    folder.whole()
    await bench.scan(settled=False)
    bench.clock.turn(60)
    await asyncio.gather(*(scan(bench.watch) for _ in range(4)))
    assert await bench.work() == 2
    assert len(await bench.events("run.completed")) == 1


async def test_the_last_two_samples_end_at_once_and_the_run_is_announced_once(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, S2)
    folder.whole()
    await bench.scan()
    leases = [await bench.claim(), await bench.claim()]
    assert all(leases)
    outcomes = [await bench.attempt(lease) for lease in leases if lease is not None]
    service = build(bench.settings)
    await asyncio.gather(
        *(
            settle(bench.ledger, service, lease, outcome)
            for lease, outcome in zip(leases, outcomes, strict=True)
            if lease is not None
        )
    )
    (told,) = await bench.events("run.completed")
    assert len(told.samples) == 2


async def test_an_attempt_goes_on_after_the_lanes_of_the_last_one(
    bench: Bench, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.rows = (S1, replace(S1, lane=2))
    folder.whole()
    await bench.scan()
    lease = await bench.claim()
    assert lease is not None
    recorded: dict[str, Any] = {}
    await bench.attempt(lease, recorded=recorded)
    assert list(recorded) == ["lane 1", "lane 2"]
    read: list[int] = []
    check_pair = workers.check_pair

    def counting(first: Path, second: Path, *, lane: int) -> Any:
        read.append(lane)
        return check_pair(first, second, lane=lane)

    monkeypatch.setattr(workers, "check_pair", counting)
    await bench.attempt(replace(lease, checkpoint={"lane 1": recorded["lane 1"]}))
    assert read == [2]


async def test_files_that_change_under_the_reader_are_tried_again(
    bench: Bench, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.rows = (S1,)
    folder.whole()
    await bench.scan()
    lease = await bench.claim()
    assert lease is not None
    check_pair = workers.check_pair

    def changing(first: Path, second: Path, *, lane: int) -> Any:
        checked = check_pair(first, second, lane=lane)
        first.write_bytes(gzip.compress(fastq(mate=1, records=9)))
        return checked

    monkeypatch.setattr(workers, "check_pair", changing)
    assert isinstance(await bench.attempt(lease), Retry)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "link"])
async def test_a_worker_reads_nothing_outside_the_run_root(bench: Bench, folder: RunFolder, path: str) -> None:
    folder.rows = (S1,)
    folder.whole()
    (folder.root / "link").symlink_to("/etc/passwd")
    await bench.scan()
    lease = await bench.claim()
    assert lease is not None
    lanes = [{**lane, "r1": path} for lane in lease.payload["lanes"]]
    outcome = await bench.attempt(replace(lease, payload={**lease.payload, "lanes": lanes}))
    assert isinstance(outcome, Failed)
    assert outcome.rejection.code == "UNSAFE_PATH"
    other_root = await bench.attempt(replace(lease, payload={**lease.payload, "root": "/"}))
    assert isinstance(other_root, Failed)
    assert other_root.rejection.code == "UNSAFE_PATH"


async def test_one_file_for_two_lanes_or_two_samples_is_refused(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, replace(S1, lane=2))
    folder.begin().copied()
    same = {("S1", lane, mate): gzip.compress(fastq(mate=mate), mtime=0) for lane in (1, 2) for mate in (1, 2)}
    folder.convert(same)
    other = RunFolder(root=folder.root, rows=(S1, S2), **NEXT).begin().copied()
    other.convert({(s, 1, mate): gzip.compress(fastq(mate=mate), mtime=0) for s in ("S1", "S2") for mate in (1, 2)})
    await bench.go()
    failed = await bench.events("sample.failed")
    assert [one.rejection.code for one in failed] == ["PAIR_DUPLICATE"] * 2
    (told,) = await bench.events("run.completed")
    assert (told.run, len(told.samples)) == (NEXT["run"], 1)


async def test_a_site_with_personal_ids_labels_by_key(bench: Bench, folder: RunFolder) -> None:
    site = bench.settings.site.model_copy(update={"ids_are_pseudonymous": False})
    bench.settings = bench.settings.model_copy(update={"site": site})
    folder.rows = (S1,)
    folder.whole()
    await bench.go()
    (told,) = await bench.events("run.completed")
    card = json.loads(await bench.watch.store.get_bytes(told.samples[0].card.uri, limit=10_000))
    assert card["label"] == bench.key("S1")
    assert set(card["libraries"].values()) == set(card["libraries"])


async def test_a_long_run_is_announced_in_parts(
    bench: Bench, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gather, "PART_BYTES", 3000)
    folder.rows = tuple(SheetRow(sample=f"S{n}", index=letter * 10) for n, letter in enumerate("ACGT"))
    folder.whole()
    await bench.go()
    told = await bench.events("run.completed")
    assert [one.part for one in told] == list(range(1, len(told) + 1))
    assert {one.parts for one in told} == {len(told)}
    assert len(told) > 1
    assert len({one.sample.key for part in told for one in part.samples}) == 4


def test_parts_of_large_runs_fit_into_events() -> None:
    """384 samples on eight lanes, with URIs as long as they come."""

    def artifact(kind: ArtifactKind, number: int) -> Artifact:
        return Artifact(kind=kind, id=f"{number:064x}", uri=f"s3://bucket/{'x' * 400}", size=1 << 36, version="v" * 32)

    def lane(number: int) -> LaneReads:
        return LaneReads(
            flowcell=FLOWCELL,
            lane=number,
            index="ACGTACGTAC+TTGCATTGCA",
            library=f"lib_{number:024x}",
            r1=artifact(ArtifactKind.fastq, number),
            r2=artifact(ArtifactKind.fastq, number),
            read_pairs=400_000_000,
        )

    samples = [
        RunSample(
            sample=Sample(key=f"smp_{number:024x}", project="COHORT1", version=1),
            arrival=Arrival.new,
            card=artifact(ArtifactKind.card, number),
            lanes=tuple(map(lane, range(1, 9))),
        )
        for number in range(384)
    ]
    parts = list(gather.in_parts(samples))
    assert [one for part in parts for one in part] == samples
    for number, part in enumerate(parts, start=1):
        told = RunCompleted(
            run=RUN,
            platform="ILLUMINA",
            instrument="NovaSeq 6000",
            optical_distance=2500,
            samples=part,
            part=number,
            parts=len(parts),
        )
        assert len(canonical_json(told)) < MAX_EVENT_BYTES


async def test_a_cancelled_run_does_not_wait_for_its_samples(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, S2)
    folder.whole()
    await bench.scan()
    lease = await bench.claim()
    assert lease is not None
    await settle(bench.ledger, build(bench.settings), lease, await bench.attempt(lease))
    async with bench.ledger.transaction() as tx:
        await on_cancel(tx, WorkCancelRequested(request_id=_id(1), target=RUN, actor=ACTOR, reason="wrong flow cell"))
    (told,) = await bench.events("run.completed")
    assert len(told.samples) == 1
    assert [one.rejection.code for one in await bench.events("sample.failed")] == ["CANCELLED"]
    assert await bench.go() == 0


async def test_a_run_cancelled_while_it_waits_stays_so(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1,)
    folder.begin().copied()
    await bench.scan()
    async with bench.ledger.transaction() as tx:
        await on_cancel(tx, WorkCancelRequested(request_id=_id(2), target=RUN, actor=ACTOR, reason="not ours"))
    folder.convert()
    assert await bench.go() == 0
    assert (await bench.run())["state"] == "rejected"
    assert [one.rejection.code for one in await bench.events("run.rejected")] == ["CANCELLED"]


async def test_a_withdrawn_sample_is_left_out_at_every_point(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, S2)
    folder.whole()
    await bench.scan()
    lease = await bench.claim()
    assert lease is not None
    await settle(bench.ledger, build(bench.settings), lease, await bench.attempt(lease))
    withdrawal = SampleWithdrawalRequested(request_id=_id(3), sample=lease.subject, deadline="2030-01-01", actor=ACTOR)
    async with bench.ledger.transaction() as tx:
        await on_withdrawal(tx, withdrawal)
    await bench.work()
    (told,) = await bench.events("run.completed")
    assert lease.subject not in {one.sample.key for one in told.samples}
    RunFolder(root=folder.root, rows=(S1, S2), **NEXT).whole()
    assert await bench.go() == 1
    codes = {(one.sample, one.rejection.code) for one in await bench.events("sample.failed")}
    assert codes == {(lease.subject, "CONSENT_WITHDRAWN")}


async def test_a_revived_task_announces_its_sample_after_all(bench: Bench, folder: RunFolder) -> None:
    folder.rows = (S1, S2)
    folder.whole()
    good = folder.fastq("S2", 1, 1).read_bytes()
    folder.fastq("S2", 1, 1).write_bytes(good[:-4])
    await bench.go()
    folder.fastq("S2", 1, 1).write_bytes(good)
    (dead,) = await bench.fetch("select key from task where state = 'failed'")
    async with bench.ledger.transaction() as tx:
        assert await queue.revive(tx, dead["key"])
    assert await bench.work() == 1
    assert [told.part for told in await bench.events("run.completed")] == [1, 2]
    assert await states(bench) == {bench.key("S1"): "completed", bench.key("S2"): "completed"}


async def test_sheets_are_kept_unless_a_row_may_name_a_person(bench: Bench, folder: RunFolder) -> None:
    async def sheets() -> int:
        return len([one async for one in bench.watch.store.list(f"landing/{RUN}") if "SampleSheet" in one.key])

    folder.rows = (S1,)
    folder.whole()
    folder.write_sheet((folder.path / "SampleSheet.csv").read_text().replace("1,S1,", "1,John_Smith,", 1))
    await bench.go()
    assert await sheets() == 0
    folder.write_sheet()
    await bench.go()
    assert await sheets() == 1


class Struck(Exception):
    """What the test does to a transaction."""


async def test_a_crash_before_the_commit_leaves_nothing_half_done(
    bench: Bench, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transaction that takes a run in, and the one that announces it, are undone whole and done again whole."""
    folder.rows = (S1, SheetRow(sample="-x", index="C" * 10))
    folder.begin().copied()
    folder.rows = (S1,)
    folder.convert()
    add = outbox.add

    async def crash(*arguments: object) -> None:
        raise Struck

    monkeypatch.setattr(outbox, "add", crash)
    await bench.scan(settled=False)
    bench.clock.turn(60)
    with pytest.raises(Struck):
        await scan(bench.watch)
    assert await bench.fetch("select * from run_sample") == []
    monkeypatch.setattr(outbox, "add", add)
    await scan(bench.watch)
    lease = await bench.claim()
    assert lease is not None
    outcome = await bench.attempt(lease)
    monkeypatch.setattr(outbox, "add", crash)
    with pytest.raises(Struck):
        await settle(bench.ledger, build(bench.settings), lease, outcome)
    assert await bench.events("run.completed") == []
    monkeypatch.setattr(outbox, "add", add)
    await settle(bench.ledger, build(bench.settings), lease, outcome)
    assert len(await bench.events("run.completed")) == 1
    assert len(await bench.events("sample.failed")) == 1


def _id(number: int) -> Any:
    import uuid

    return uuid.UUID(int=number)
