"""FASTQs that are broken, in the run folder where they enter: the sample is refused, the run goes on, a mended file
follows."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from chassis.storage import keys
from contracts.events import RunCompleted, SampleFailed
from tests.faults.bad_input.said import assert_says
from tests.services.ingest.bench import Bench, RunFolder, SheetRow, fastq

GOOD, BAD = SheetRow(library="S1-LIB1"), SheetRow(sample="S2", index="A" * 10, library="S2-LIB1")
LABORATORYS = ("S2", "S2-LIB1", "_R1_001", "_R2_001")
"""What only the laboratory may read: ids, and the names of files, which are made of them."""

R1, R2 = (fastq(mate=mate, name="r") for mate in (1, 2))
WHOLE = gzip.compress(R2)


def damaged(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


@dataclass(frozen=True, kw_only=True)
class Row:
    code: str
    where: str
    fix: str
    r2: bytes
    r1: bytes = gzip.compress(R1)


FILE, RECORD = "R2 of lane 1", "R2 of lane 1, record 2"
ROWS: Mapping[str, Row] = {
    "empty file": Row(code="EMPTY_INPUT", where=FILE, fix="convert the lane again", r2=b""),
    "no read in it": Row(code="EMPTY_INPUT", where=FILE, fix="convert the lane again", r2=gzip.compress(b"")),
    "truncated gzip": Row(code="GZIP_TRUNCATED", where=FILE, fix="copy the file again", r2=WHOLE[:-20]),
    "CRC mismatch": Row(code="GZIP_CRC", where=FILE, fix="copy the file again", r2=damaged(WHOLE, len(WHOLE) - 6)),
    "not gzip": Row(code="FORMAT_MISMATCH", where=FILE, fix="compress the file", r2=R2),
    "trailing junk": Row(code="GZIP_TRAILING", where=FILE, fix="copy the file again", r2=WHOLE + b"junk"),
    "lengths differ": Row(
        code="FASTQ_LENGTH",
        where=RECORD,
        fix="convert the lane again",
        r2=gzip.compress(R2.replace(b"FFF:#\n@r2", b"FFF:\n@r2")),
    ),
    "counts differ": Row(
        code="PAIR_COUNT",
        where="R2 of lane 1, after record 2",
        fix="again",
        r2=gzip.compress(fastq(mate=2, name="r", records=2)),
    ),
    "mate names differ": Row(
        code="PAIR_NAME",
        where="R1 and R2 of lane 1, record 2",
        fix="put the file that belongs to the other",
        r2=gzip.compress(R2.replace(b"@r1 ", b"@q1 ")),
    ),
    "the same file twice": Row(
        code="PAIR_DUPLICATE", where="R1 and R2 of lane 1", fix="right file", r2=gzip.compress(R1)
    ),
    "quality out of range": Row(
        code="FASTQ_QUAL",
        where=RECORD,
        fix="Phred+64",
        r2=gzip.compress(R2.replace(b"FFF:#\n@r2", b"hhhfB\n@r2")),
    ),
}


@pytest.mark.parametrize("name", ROWS)
async def test_a_broken_fastq_costs_its_sample_alone_until_it_is_mended(
    name: str, bench: Bench, folder: RunFolder, caplog: pytest.LogCaptureFixture
) -> None:
    row = ROWS[name]
    folder.rows = (GOOD, BAD)
    folder.begin().copied().convert({("S2", 1, 1): row.r1, ("S2", 1, 2): row.r2})
    assert await bench.go() == 2

    (failed,) = await bench.events("sample.failed")
    assert isinstance(failed, SampleFailed)
    assert (failed.sample, failed.stage) == (bench.key("S2"), "ingest")
    assert_says(failed.rejection, row.code, where=row.where, fix=row.fix, withheld=LABORATORYS)
    (told,) = await bench.events("run.completed")
    assert isinstance(told, RunCompleted)
    assert ([one.sample.key for one in told.samples], told.rejected) == ([bench.key("S1")], 1)
    (lane,) = told.samples[0].lanes
    for artifact, mate in ((lane.r1, 1), (lane.r2, 2)):
        stored = await bench.watch.store.get_bytes(artifact.uri, limit=10_000, sha256=artifact.id)
        assert stored == folder.fastq("S1", 1, mate).read_bytes()
    assert await stored_of(bench, "S2") == [], "nothing of a sample that is refused is kept"
    assert folder.fastq("S2", 1, 2).read_bytes() == row.r2, "the run folder is the laboratory's: nothing is changed"
    assert not [word for word in LABORATORYS if word in caplog.text]

    folder.convert()
    assert await bench.go() == 1, "the sample that was good is not read again"
    _, followed = await bench.events("run.completed")
    assert [one.sample.key for one in followed.samples] == [bench.key("S2")]
    assert (followed.part, followed.parts, followed.rejected) == (2, 2, 0)
    assert len(await bench.events("sample.failed")) == 1
    assert (await bench.run())["state"] == "completed"


async def test_a_file_that_stands_for_two_lanes_is_refused(bench: Bench, folder: RunFolder) -> None:
    """Over lanes too: each file is read once, and the second lane's reads are the first's."""
    folder.rows = (GOOD, BAD, replace(BAD, lane=2))
    folder.begin().copied()
    twice = {("S2", lane, mate): gzip.compress(fastq(mate=mate)) for lane in (1, 2) for mate in (1, 2)}
    folder.convert(twice)
    await bench.go()
    (failed,) = await bench.events("sample.failed")
    assert_says(failed.rejection, "PAIR_DUPLICATE", where="R1 of lane 1", fix="right file", withheld=LABORATORYS)
    (told,) = await bench.events("run.completed")
    assert [one.sample.key for one in told.samples] == [bench.key("S1")]


async def stored_of(bench: Bench, sample: str) -> list[str]:
    prefix = keys.landing(run=folder_name(bench), sample=bench.key(sample), name="x").rpartition("/")[0]
    return [facts.key async for facts in bench.watch.store.list(prefix)]


def folder_name(bench: Bench) -> str:
    (run,) = [path.name for path in bench.watch.roots[0].iterdir()]
    return run
