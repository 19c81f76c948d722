"""A service with its seeded engine in a worker's child: the service's own work, and attempts that fail as they are told
to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chassis.reference import bundle
from contracts.events import CramReady, GvcfReady, RunCompleted
from contracts.values import Arrival, ArtifactKind, LaneReads, QcStatus, RunSample, Sample
from deploy.embedded.stack import Endpoints
from tests.support import events
from tests.support.seeded import people
from tests.support.seeded.builders import builder_of
from tests.support.seeded.flaky import FILE, Flakiness
from tests.support.served import Served, serve

SECTIONS = {"align": {"reference": "people", "qc_rules": "tiny", "call_interval_bp": 1000}}
LIBRARY = "lib_" + "0" * 24
ENDINGS = "select ending from attempt where task_key like $1 order by epoch"


async def run_completed(served: Served, contigs: dict[str, str]) -> RunCompleted:
    """One sample in two lanes."""
    lanes = []
    for lane in (1, 2):
        pair = people.fastq_pair(person=1, lane=lane, contigs=contigs)
        r1, r2 = [
            await served.put(ArtifactKind.fastq, f"landing/run/L{lane}R{mate}.fastq.gz", content)
            for mate, content in enumerate(pair, start=1)
        ]
        lanes.append(LaneReads(flowcell="FC1", lane=lane, index="ACGT", library=LIBRARY, r1=r1, r2=r2, read_pairs=60))
    card = json.dumps({"label": "S1", "libraries": {LIBRARY: "LIB1"}}).encode()
    arrived = RunSample(
        sample=Sample(key=events.sample_of(1), project="P", version=1),
        arrival=Arrival.new,
        card=await served.put(ArtifactKind.card, "landing/run/card.json", card),
        lanes=tuple(lanes),
    )
    return RunCompleted(run="run", platform="ILLUMINA", instrument="NovaSeq", optical_distance=2500, samples=(arrived,))


@pytest.mark.stack
async def test_align_ends_well_after_attempts_that_failed(endpoints: Endpoints, tmp_path: Path) -> None:
    fasta = people.write_fasta(tmp_path / "people.fa")
    async with serve(builder_of("align"), endpoints=endpoints, folder=tmp_path, sections=SECTIONS) as served:
        await bundle.add(served.store, name="people", fasta=fasta, max_interval_bp=1000, scratch=tmp_path)
        (tmp_path / FILE).write_text('crash_rate = 1.0\nseed = 1\nmost_crashes = 1\nways = ["tool"]\n')
        await served.deliver(await run_completed(served, people.bases_of(fasta)))
        async with served.working():
            (called,) = await served.until_said(GvcfReady)
        (aligned,) = await served.said(CramReady)
        assert (aligned.reads, aligned.provenance.tool) == (240, "seeded-align")
        assert called.verdict.status is QcStatus.passed
        assert called.variants > 20
        for kind in ("align", "call"):
            assert [row["ending"] for row in await served.rows(ENDINGS, f"{kind}:%")] == ["crash", "done"]


def test_which_attempts_fail_is_drawn_for_task_and_attempt() -> None:
    flaky = Flakiness(crash_rate=0.3, seed=7)
    keys = [f"call:{number}" for number in range(1000)]
    struck = {key for key in keys if flaky.strike(key, 1, memory_class="small")}
    assert 250 < len(struck) < 350
    assert struck == {key for key in keys if flaky.strike(key, 1, memory_class="small")}
    assert struck != {key for key in keys if Flakiness(crash_rate=0.3, seed=8).strike(key, 1, memory_class="small")}
    assert not any(flaky.strike(key, 3, memory_class="small") for key in keys), "a budget has three crashes"
    higher = [flaky.strike(key, 1, memory_class="medium") for key in keys]
    assert {one.way for one in higher if one is not None} == {"tool", "exit"}
