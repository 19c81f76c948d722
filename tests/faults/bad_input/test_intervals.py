"""Intervals that cannot be: in an event, in a gene model, and in the regions that a reference is called within."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from chassis.errors import Rejected
from chassis.messaging.receive import Receipt, receive
from chassis.reference import bundle
from chassis.settings import Settings
from chassis.storage.file import FileStore
from services.vqsr.main import build
from tests.conftest import LedgerFor
from tests.faults.bad_input.said import assert_says
from tests.services.jointcall.engines.written import sequence
from tests.support import events
from tests.support.deliver import delivery_of

LENGTH = 2000
BOUNDS, COUNTED = ("INTERVAL_BOUNDS", "mend the line"), ("BED_COORDINATES", "name the file by how it counts")

REGIONS: Mapping[str, tuple[str, str, str, str, str]] = {
    "beyond its contig": ("a.bed", "c1\t0\t100\nc1\t1900\t2001\n", *BOUNDS, "a.bed, line 2"),
    "end before start": ("a.bed", "c1\t100\t50\n", *BOUNDS, "a.bed, line 1"),
    "beyond its contig, counted from 1": (
        "a.interval_list",
        "@HD\tVN:1.6\nc1\t1\t2001\t+\tx\n",
        *BOUNDS,
        "a.interval_list, line 2",
    ),
    "one base, counted from 1": ("a.bed", "c1\t0\t100\nc1\t500\t500\n", *COUNTED, "a.bed, line 2"),
    "the whole contig, counted from 1": ("a.bed", "c1\t1\t2000\n", *COUNTED, "a.bed, line 1"),
    "tiles, counted from 1": ("a.bed", "c1\t1\t500\nc1\t501\t1000\nc1\t1001\t1500\n", *COUNTED, "a.bed, line 2"),
    "an interval list named BED": (
        "a.bed",
        "@HD\tVN:1.6\n@SQ\tSN:c1\tLN:2000\nc1\t1\t100\t+\tx\n",
        *COUNTED,
        "a.bed, line 1",
    ),
    "an interval list that counts from 0": (
        "a.interval_list",
        "@HD\tVN:1.6\nc1\t0\t100\t+\tx\n",
        *COUNTED,
        "a.interval_list, line 2",
    ),
    "a contig of another build": ("a.bed", "chr1\t0\t100\n", "BUILD_MISMATCH", "of this reference", "a.bed, line 1"),
    "no region": ("a.bed", "# none\n", "EMPTY_INPUT", "give the file with its regions", "a.bed"),
    "no numbers": ("a.bed", "c1\tx\t100\n", "FORMAT_MISMATCH", "mend the line", "a.bed, line 1"),
    "a name that does not say": ("a.txt", "c1\t0\t100\n", "FORMAT_MISMATCH", "name the file", "a.txt"),
}


@pytest.mark.parametrize("name", REGIONS)
async def test_broken_regions_refuse_the_reference(name: str, tmp_path: Path) -> None:
    file, text, code, fix, where = REGIONS[name]
    fasta, regions = tmp_path / "ref.fa", tmp_path / file
    fasta.write_text(f">c1\n{sequence(LENGTH)}\n")
    regions.write_text(text)
    store = FileStore(root=tmp_path / "store")
    with pytest.raises(Rejected) as refused:
        await bundle.add(store, name="toy", fasta=fasta, regions=regions, max_interval_bp=1000, scratch=tmp_path)
    assert_says(refused.value.rejection, code, where=where, fix=fix)
    assert await bundle.list_references(store) == ()


async def test_mended_regions_are_taken_under_the_same_name(tmp_path: Path) -> None:
    fasta, regions = tmp_path / "ref.fa", tmp_path / "targets.bed"
    fasta.write_text(f">c1\n{sequence(LENGTH)}\n")
    regions.write_text("c1\t101\t101\n")
    store = FileStore(root=tmp_path / "store")
    with pytest.raises(Rejected, match="BED_COORDINATES"):
        await bundle.add(store, name="toy", fasta=fasta, regions=regions, max_interval_bp=1000, scratch=tmp_path)
    regions.write_text("c1\t100\t200\nc1\t150\t400\nc1\t1900\t2000\n")
    made = await bundle.add(store, name="toy", fasta=fasta, regions=regions, max_interval_bp=1000, scratch=tmp_path)
    assert [(one.start, one.end) for one in made.intervals] == [(101, 400), (1901, 2000)]


async def test_the_two_formats_of_one_set_of_regions_make_the_same_intervals(tmp_path: Path) -> None:
    fasta = tmp_path / "ref.fa"
    fasta.write_text(f">c1\n{sequence(LENGTH)}\n")
    store = FileStore(root=tmp_path / "store")
    from_zero, from_one = tmp_path / "a.bed", tmp_path / "a.interval_list"
    from_zero.write_text("track name=x\nc1\t0\t500\tx\nc1\t500\t1000\tx\n")
    from_one.write_text("@HD\tVN:1.6\n@SQ\tSN:c1\tLN:2000\nc1\t1\t500\t+\tx\nc1\t501\t1000\t+\tx\n")
    made = [
        await bundle.add(store, name=path.suffix[1:], fasta=fasta, regions=path, max_interval_bp=400, scratch=tmp_path)
        for path in (from_zero, from_one)
    ]
    assert [(one.start, one.end) for one in made[0].intervals] == [(1, 333), (334, 666), (667, 1000)]
    assert made[0].intervals == made[1].intervals


async def test_a_feature_beyond_its_contig_refuses_the_gene_model(tmp_path: Path) -> None:
    fasta, gff = tmp_path / "ref.fa", tmp_path / "genes.gff3"
    fasta.write_text(f">c1\n{sequence(LENGTH)}\n")
    line = "c1\t.\tgene\t{}\t{}\t.\t+\t.\tID=g\n"
    gff.write_text("##gff-version 3\n" + line.format(1, 100) + line.format(1990, 2001))
    store = FileStore(root=tmp_path / "store")
    with pytest.raises(Rejected) as refused:
        await bundle.add(store, name="toy", fasta=fasta, gff=gff, max_interval_bp=1000, scratch=tmp_path)
    assert_says(refused.value.rejection, "INTERVAL_BOUNDS", where="genes.gff3, line 3", fix="of this reference")


@pytest.mark.parametrize(
    "bad", [{"start": 900, "end": 800}, {"end": 1_000_001}], ids=["end before start", "beyond its contig"]
)
async def test_an_event_with_such_an_interval_is_kept_apart_with_its_reason(
    bad: Mapping[str, int], ledger_for: LedgerFor
) -> None:
    import json

    service = build(Settings())
    ledger = await ledger_for("vqsr", versions=service.migrations)
    sound = delivery_of(events.genotyped(0))
    body = json.loads(sound.body)
    body["interval"].update(bad)
    assert await receive(ledger, service.subscriptions, replace(sound, body=json.dumps(body).encode(), offset=7)) is (
        Receipt.quarantined
    )
    async with ledger.connection() as conn:
        held = await conn.fetchrow("select code, rejection from quarantine")
    assert held is not None
    rejection = held["rejection"]
    assert held["code"] == "EVENT_DECODE"
    assert rejection["where"] == "interval.genotyped[0]@7"
    assert "interval (INTERVAL_BOUNDS)" in rejection["message"]
    assert await receive(ledger, service.subscriptions, sound) is Receipt.handled
