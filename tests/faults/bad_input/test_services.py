"""Bad input through whole services, on workers with real children: it costs its sample alone, and is taken up again
when it is mended."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from chassis.reference import bundle
from chassis.reference.model import Bundle
from chassis.service import Service
from chassis.storage.manifests import read_manifest
from contracts.events import (
    CohortFrozen,
    FreezeFailed,
    GvcfReady,
    IntervalGenotyped,
    RunCompleted,
    SampleFailed,
    SampleTagRequested,
    SampleVerdictRequested,
    Selection,
    WorkReviveRequested,
)
from contracts.values import Arrival, Artifact, ArtifactKind, LaneReads, RunSample, Sample
from deploy.embedded.stack import Endpoints
from services.jointcall.engines.protocol import GvcfInput
from tests.faults.bad_input import broken
from tests.faults.bad_input.broken import BASES, CONTIGS, GOOD, Make
from tests.faults.bad_input.said import assert_says
from tests.services.jointcall.engines.written import write_gvcf
from tests.support import events
from tests.support.seeded import people
from tests.support.seeded.builders import builder_of
from tests.support.served import Served, serve

pytestmark = pytest.mark.stack

FIRST, SECOND = 1, 2
"""Samples that are sound."""


# --- joint calling ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohorts:
    served: Served
    reference: Bundle
    folder: Path

    async def ready(self, number: int, gvcf: GvcfInput, *, version: int = 1) -> GvcfReady:
        """What align tells, without having counted what the gVCF covers."""
        prefix = f"working/align/{number}-{version}"
        return events.gvcf_ready(
            number,
            version=version,
            gvcf=await self.served.put(ArtifactKind.gvcf, f"{prefix}/s.g.vcf.gz", gvcf.path),
            index=await self.served.put(ArtifactKind.gvcf_index, f"{prefix}/s.g.vcf.gz.tbi", gvcf.index)
            if gvcf.index.exists()
            else events.artifact(ArtifactKind.gvcf_index, "missing"),
            reference=self.reference.id,
        )

    async def tag(self, tag: str, *numbers: int) -> None:
        for number in numbers:
            request = SampleTagRequested(
                request_id=uuid.uuid4(), sample=events.sample_of(number), tag=tag, actor=events.PERSON
            )
            await self.served.deliver(request)

    async def ask(self, tag: str) -> None:
        await self.served.deliver(events.freeze_requested(tag, Selection(how="tag", tag=tag)))

    async def genotyped(self, freeze: str) -> set[str]:
        """Wait until the freeze is called, with as many columns as members; these, by key."""
        (frozen,) = await self.served.until_said(CohortFrozen, subject=freeze)
        done = await self.served.until_said(IntervalGenotyped, count=frozen.intervals.entries, subject=freeze)
        members = {entry["sample"] for entry in await read_manifest(self.served.store, frozen.manifest)}
        assert {one.samples for one in done} == {len(members)}
        return members

    def sound(self, name: str) -> GvcfInput:
        folder = self.folder / f"sound-{name}"
        folder.mkdir(exist_ok=True)
        return write_gvcf(folder, name, GOOD, contigs=CONTIGS)


@pytest.fixture(scope="module")
async def cohorts(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cohorts]:
    folder = tmp_path_factory.mktemp("cohorts")
    fasta = folder / "c1.fa"
    fasta.write_text(f">c1\n{BASES}\n")
    sections = {"jointcall": {"interval_bp": 1000, "chunk_bp": 1000}}
    async with serve(builder_of("jointcall"), endpoints=endpoints, folder=folder, sections=sections) as served:
        reference = await bundle.add(served.store, name="c1", fasta=fasta, max_interval_bp=1000, scratch=folder)
        made = Cohorts(served=served, reference=reference, folder=folder)
        for number in (FIRST, SECOND):
            await served.deliver(await made.ready(number, made.sound(f"sound{number}")))
        async with served.working():
            yield made


ROWS: Mapping[str, tuple[Make, str, str]] = {
    "no <NON_REF>": (broken.without_non_ref, "GVCF_NON_REF", ", record at c1:500"),
    "an index of another file": (broken.with_an_index_of_more_records, "INDEX_STALE", ".tbi"),
    "a gap that nobody counted": (broken.with_a_gap, "GVCF_COVERAGE", ", c1:701-800"),
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_freeze_that_a_bad_gvcf_ends_goes_on_without_it_and_with_it_mended(
    name: str, cohorts: Cohorts, tmp_path: Path
) -> None:
    make, code, where = ROWS[name]
    served, number, cohort = cohorts.served, 10 + list(ROWS).index(name), f"row{list(ROWS).index(name)}"
    sample = events.sample_of(number)
    await served.deliver(await cohorts.ready(number, make(tmp_path)))
    await cohorts.tag(cohort, FIRST, SECOND, number)
    await cohorts.ask(cohort)
    (failed,) = await served.until_said(FreezeFailed, subject=f"{cohort}:1")
    place = f"{sample}.g.vcf.gz{where}"
    assert_says(failed.rejection, code, where=place, withheld=("ada",))
    assert sample in failed.went_on
    (stands,) = await served.rows("select state, waits_for from status_subject where subject = $1", sample)
    assert tuple(stands) == (f"held: {code}", "a person: samples pass; or its gVCF, called again")

    await cohorts.ask(cohort)
    both = {events.sample_of(FIRST), events.sample_of(SECOND)}
    assert await cohorts.genotyped(f"{cohort}:2") == both

    await served.deliver(await cohorts.ready(number, cohorts.sound(f"mended{number}"), version=2))
    await cohorts.ask(cohort)
    assert await cohorts.genotyped(f"{cohort}:3") == {*both, sample}
    assert [one.freeze for one in await served.said(FreezeFailed) if one.cohort == cohort] == [f"{cohort}:1"]


async def test_a_gap_that_a_person_lets_pass_is_genotyped(cohorts: Cohorts, tmp_path: Path) -> None:
    number, cohort = 30, "passed"
    short = (await cohorts.ready(number, broken.with_a_gap(tmp_path))).model_copy(
        update={"covered_bp": 1900, "declared_bp": 2000}
    )
    spoken = SampleVerdictRequested(
        request_id=uuid.uuid4(), sample=events.sample_of(number), verdict="pass", actor=events.PERSON, reason="meant"
    )
    await cohorts.served.deliver(short, spoken)
    await cohorts.tag(cohort, FIRST, number)
    await cohorts.ask(cohort)
    assert await cohorts.genotyped(f"{cohort}:1") == {events.sample_of(FIRST), events.sample_of(number)}


async def test_the_same_name_in_two_gvcfs_ends_the_freeze_and_holds_nobody(cohorts: Cohorts, tmp_path: Path) -> None:
    number, cohort = 31, "twice"
    again = write_gvcf(tmp_path, f"sound{FIRST}", GOOD[:1] + GOOD[1:], contigs=CONTIGS)
    await cohorts.served.deliver(await cohorts.ready(number, again))
    await cohorts.tag(cohort, FIRST, number)
    await cohorts.ask(cohort)
    (failed,) = await cohorts.served.until_said(FreezeFailed, subject=f"{cohort}:1")
    where = f"{events.sample_of(number)}.g.vcf.gz"
    assert_says(failed.rejection, "COHORT_DUPLICATE", where=where, fix="keep the newer")
    held = await cohorts.served.rows("select subject from status_subject where state like 'held%'")
    assert {events.sample_of(FIRST), events.sample_of(number)}.isdisjoint({row["subject"] for row in held})


async def test_an_object_that_is_not_what_its_event_named_costs_its_sample_until_it_is_restored(
    cohorts: Cohorts,
) -> None:
    served, number, cohort = cohorts.served, 32, "changed"
    told = await cohorts.ready(number, cohorts.sound("changed"))
    put_back = overwrite(served, told.gvcf, b"not these bytes")
    await served.deliver(told)
    await cohorts.tag(cohort, FIRST, number)
    await cohorts.ask(cohort)
    (failed,) = await served.until_said(FreezeFailed, subject=f"{cohort}:1")
    where = f"{events.sample_of(number)}.g.vcf.gz, {told.gvcf.uri}"
    assert_says(failed.rejection, "CONTENT_CHANGED", where=where, fix="restore the object")
    await cohorts.ask(cohort)
    assert await cohorts.genotyped(f"{cohort}:2") == {events.sample_of(FIRST)}

    put_back()
    spoken = SampleVerdictRequested(
        request_id=uuid.uuid4(), sample=events.sample_of(number), verdict="pass", actor=events.PERSON, reason="back"
    )
    await served.deliver(spoken)
    await cohorts.ask(cohort)
    assert await cohorts.genotyped(f"{cohort}:3") == {events.sample_of(FIRST), events.sample_of(number)}


@pytest.mark.parametrize(
    "uri",
    ["s3://someone-elses-bucket/patients/erika.g.vcf.gz", "file:///etc/hostname"],
    ids=["a bucket", "a file"],
)
async def test_a_uri_that_is_not_the_systems_costs_its_sample_and_is_not_repeated(uri: str, cohorts: Cohorts) -> None:
    served, scheme = cohorts.served, uri.partition(":")[0]
    number, cohort = {"s3": 33, "file": 34}[scheme], f"foreign-{scheme}"
    told = await cohorts.ready(number, cohorts.sound(cohort))
    foreign = told.model_copy(update={"gvcf": told.gvcf.model_copy(update={"uri": uri})})
    await served.deliver(foreign)
    await cohorts.tag(cohort, FIRST, number)
    await cohorts.ask(cohort)
    (failed,) = await served.until_said(FreezeFailed, subject=f"{cohort}:1")
    where = f"{events.sample_of(number)}.g.vcf.gz, an object URI"
    fix = "copy the object into the store"
    withheld = (uri, "someone-elses", "erika", "hostname")
    assert_says(failed.rejection, "URI_FORBIDDEN", where=where, fix=fix, withheld=withheld)

    await served.deliver(await cohorts.ready(number, cohorts.sound(f"{cohort}-again"), version=2))
    await cohorts.ask(cohort)
    assert await cohorts.genotyped(f"{cohort}:2") == {events.sample_of(FIRST), events.sample_of(number)}


def overwrite(served: Served, artifact: Artifact, content: bytes) -> Callable[[], None]:
    """Change an object behind the store's back; call the result to put it back."""
    path = Path(artifact.uri.removeprefix("file://"))
    assert path.is_relative_to(served.site.folder)
    before = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content)

    def put_back() -> None:
        path.write_bytes(before)

    return put_back


# --- alignment --------------------------------------------------------------------------------------------------------

LIBRARY = "lib_" + "0" * 24


async def arrived(served: Served, number: int, contigs: Mapping[str, str]) -> RunSample:
    pair = people.fastq_pair(person=number, pairs=20, contigs=dict(contigs))
    r1, r2 = [
        await served.put(ArtifactKind.fastq, f"landing/run/{number}R{mate}.fastq.gz", content)
        for mate, content in enumerate(pair, start=1)
    ]
    card = json.dumps({"label": f"S{number}", "libraries": {LIBRARY: "LIB1"}}).encode()
    return RunSample(
        sample=Sample(key=events.sample_of(number), project="P", version=1),
        arrival=Arrival.new,
        card=await served.put(ArtifactKind.card, f"landing/run/{number}.json", card),
        lanes=(LaneReads(flowcell="FC1", lane=1, index="ACGT", library=LIBRARY, r1=r1, r2=r2, read_pairs=20),),
    )


async def test_a_fastq_that_changed_costs_its_sample_alone_and_is_taken_up_again(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    from chassis.messaging.common import with_common

    fasta = people.write_fasta(tmp_path / "people.fa")
    sections = {"align": {"reference": "people", "qc_rules": "tiny", "call_interval_bp": 1000}}
    async with serve(builder_of("align"), endpoints=endpoints, folder=tmp_path, sections=sections) as served:
        await bundle.add(served.store, name="people", fasta=fasta, max_interval_bp=1000, scratch=tmp_path)
        contigs = people.bases_of(fasta)
        samples = [await arrived(served, number, contigs) for number in (1, 2)]
        bad = samples[1].lanes[0].r2
        put_back = overwrite(served, bad, b"x" * bad.size)
        run = RunCompleted(
            run="run", platform="ILLUMINA", instrument="NovaSeq", optical_distance=2500, samples=tuple(samples)
        )
        await served.deliver(run)
        async with served.working():
            (failed,) = await served.until_said(SampleFailed)
            assert (failed.sample, failed.stage) == (events.sample_of(2), "align/align")
            assert_says(failed.rejection, "CONTENT_CHANGED", where=bad.uri, fix="restore the object")
            assert failed.went_on == "every other sample of the run"
            (called,) = await served.until_said(GvcfReady)
            assert called.sample.key == events.sample_of(1)
            assert called.covered_bp is not None
            assert called.declared_bp == sum(map(len, contigs.values()))
            assert called.covered_bp >= called.declared_bp

            put_back()
            revive = WorkReviveRequested(
                request_id=uuid.uuid4(), target=events.sample_of(2), actor=events.PERSON, reason="restored"
            )
            await deliver_common(served, with_common(served.service), revive)
            both = await served.until_said(GvcfReady, count=2)
        assert {one.sample.key for one in both} == {events.sample_of(1), events.sample_of(2)}


async def deliver_common(served: Served, service: Service, event: WorkReviveRequested) -> None:
    from chassis.messaging.receive import Receipt
    from tests.support.deliver import deliver

    assert await deliver(served.ledger, service, event) == [Receipt.handled]
