"""Annotate through its own tasks: a filtered panel goes in, csq runs in a worker's child, a panel is released."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from chassis.reference import bundle
from chassis.reference.local import LocalReference
from chassis.storage.manifests import read_manifest, write_manifest
from chassis.tools import vcf
from contracts.events import PanelReleased
from contracts.values import Artifact, ArtifactKind, Interval
from deploy.embedded.stack import Endpoints
from services.annotate.main import BUILDER
from tests.services.annotate.conftest import META, SAMPLES, record
from tests.support import events
from tests.support.served import Served, serve

pytestmark = [pytest.mark.stack, pytest.mark.tools]

HLA = "HLA-A*01:01"
"""As GRCh38's analysis set has them: a name that is neither a file's nor an object key's."""
LENGTHS = {"chr1": 3000, "chr2": 400, HLA: 210}
INTERVALS = (("chr1", 1, 1500), ("chr1", 1501, 3000), ("chr2", 1, 400), (HLA, 1, 210))
RECORDS = {
    0: (
        record("chr1", 1054, "G", "A", "0/1", "0/0", "1/1"),  # the gene's second codon, GCT
        record("chr1", 1056, "T", "C", "0/1", "0/1", "0/0"),
        record("chr1", 1057, "G", "T", "0/1", "0/0", "0/0", filters="QD2"),
    ),
    2: (
        record("chr2", 1, "A", "C", "1/1", "0/0", "./."),
        record("chr2", 4, "TA", "T", "0/1", "0/0", "0/0"),
        record("chr2", 9, "A", "G,T", "1/2", "0/1", "0/0"),
    ),
    3: (record(HLA, 3, "T", "C", "0/0", "0/1", "0/0"),),
}
ALLELES = {"chr1": 3, "chr2": 4, HLA: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The event, and every file of its manifest in `folder` under the name that the manifest gives it."""

    event: PanelReleased
    entries: tuple[dict[str, Any], ...]
    folder: Path

    def records(self, contig_file: str) -> list[list[str]]:
        with gzip.open(self.folder / contig_file, "rt") as lines:
            return [line.rstrip("\n").split("\t") for line in lines if not line.startswith("#")]

    def query(self, table: str, what: str) -> list[tuple[Any, ...]]:
        """`what` is SQL in which LAKE stands for the table, as an analyst would read it."""
        files = str(self.folder / "lake" / table / "*" / "*.parquet")
        with duckdb.connect() as connection:
            lake = "read_parquet(?, hive_partitioning = true)"
            return connection.sql(what.replace("LAKE", lake), params=[files]).fetchall()


@pytest.fixture(scope="module")
async def annotate(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serve(BUILDER, endpoints=endpoints, folder=tmp_path_factory.mktemp("annotate")) as served:
        yield served


@pytest.fixture(scope="module")
async def panel(annotate: Served, reference: LocalReference, tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = tmp_path_factory.mktemp("panel")
    event = await recalibrated(annotate, reference, folder)
    async with annotate.working():
        await annotate.deliver(event, event)
        (released,) = await annotate.until_said(PanelReleased)
    entries = await read_manifest(annotate.store, released.manifest)
    for entry in entries:
        await annotate.get(Artifact.model_validate(entry["artifact"]), folder / "released", entry["name"])
    return Released(event=released, entries=tuple(entries), folder=folder / "released")


async def recalibrated(served: Served, reference: LocalReference, folder: Path) -> Any:
    """What vqsr would have told of the freeze c:1, the artifacts in the store."""
    fasta = folder / "panel.fa"
    fasta.write_text(f"{reference.fasta.read_text()}>{HLA}\n{'GATTACA' * 30}\n")
    registered = await bundle.add(
        served.store, name="panel", fasta=fasta, gff=reference.gff, max_interval_bp=3000, scratch=folder
    )
    entries = []
    for index, (contig, start, end) in enumerate(INTERVALS):
        path = folder / f"{index}.vcf.gz"
        columns = "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *SAMPLES))
        with vcf.writing(path) as out:
            for line in (*META, f"##contig=<ID={HLA},length={LENGTHS[HLA]}>", columns, *RECORDS.get(index, ())):
                out.write(line.encode() + b"\n")
        vcf.index(path)
        interval = Interval(contig=contig, start=start, end=end, contig_length=LENGTHS[contig])
        stored = await served.put(ArtifactKind.vcf, f"working/vqsr/{index}/filtered.vcf.gz", path)
        tbi = await served.put(ArtifactKind.vcf_index, f"working/vqsr/{index}/filtered.vcf.gz.tbi", Path(f"{path}.tbi"))
        entries.append(
            {
                "index": index,
                "interval": interval.model_dump(mode="json"),
                "vcf": stored.model_dump(mode="json"),
                "vcf_index": tbi.model_dump(mode="json"),
                "variants": len(RECORDS.get(index, ())),
                "passed": sum("\tPASS\t" in one for one in RECORDS.get(index, ())),
            }
        )
    manifest = await write_manifest(served.store, None, entries)
    return events.recalibrated(intervals=len(entries)).model_copy(
        update={"manifest": manifest, "reference": registered.id, "samples": len(SAMPLES), "variants": 7, "passed": 6}
    )


async def test_the_manifest_names_every_file_and_each_is_there(panel: Released) -> None:
    names = {entry["name"] for entry in panel.entries}
    stems = ("chr1", "chr2", "HLA-A%2A01%3A01")
    assert names == {
        *(f"{stem}.vcf.gz{ending}" for stem in stems for ending in ("", ".tbi")),
        *(f"lake/{table}/contig={stem}/part-0.parquet" for stem in stems for table in ("variants", "genotypes")),
        "report.json",
        "report.html",
    }
    assert panel.event.manifest.entries == len(names)


async def test_consequences_are_told_and_nothing_else_is_changed(panel: Released) -> None:
    found = [one for stem in ("chr1", "chr2", "HLA-A%2A01%3A01") for one in panel.records(f"{stem}.vcf.gz")]
    given = [one.split("\t") for index in sorted(RECORDS) for one in RECORDS[index]]
    assert [one[:7] + one[8:] for one in found] == [one[:7] + one[8:] for one in given]
    told = {int(one[1]): one[7] for one in found[:3]}
    assert "BCSQ=missense|GENE1|T1|protein_coding|+|2A>2T|1054G>A" in told[1054]
    assert "BCSQ=synonymous|GENE1" in told[1056]
    assert "BCSQ" not in found[-1][7]


async def test_the_lake_holds_what_the_vcfs_hold(panel: Released) -> None:
    by_contig = "select contig, count(*) from LAKE group by contig"
    assert dict(panel.query("variants", by_contig)) == ALLELES
    assert dict(panel.query("genotypes", by_contig)) == {name: n * len(SAMPLES) for name, n in ALLELES.items()}
    by_filter = "select filter, count(*) from LAKE group by filter"
    assert dict(panel.query("variants", by_filter)) == {"PASS": 7, "QD2": 1}
    carried = "select sample, sum(dosage) from LAKE group by sample"
    assert dict(panel.query("genotypes", carried)) == {"NA001": 1 + 1 + 1 + 2 + 1 + 2, "NA002": 1 + 1 + 1, "NA003": 2}
    missense = "select contig, pos, gene from LAKE where consequence = 'missense' and filter = 'PASS'"
    assert panel.query("variants", missense) == [("chr1", 1054, "GENE1")]


async def test_the_summary_is_right(panel: Released) -> None:
    """Counted by hand: transitions at chr1:1054, chr1:1056, chr2:9 (G) and in HLA; transversions at chr2:1 and chr2:9
    (T); seven heterozygous and two homozygous genotypes among the records that passed."""
    summary = panel.event.summary
    assert (summary.samples, summary.variants, summary.snps, summary.indels, summary.passed) == (3, 7, 6, 1, 6)
    assert summary.ti_tv == 2.0
    assert summary.het_hom == 3.5
    assert summary.filtered_rate == round(1 / 7, 6)


async def test_the_report_says_the_same_and_how_it_was_filtered(panel: Released) -> None:
    report = json.loads((panel.folder / "report.json").read_text())
    assert report["freeze"] == panel.event.freeze == "c:1"
    assert report["summary"] == panel.event.summary.model_dump(mode="json")
    assert [one["rule"] for one in report["filtering"]] == ["fewer than 30 samples"] * 2
    assert panel.event.decisions == events.decisions()
    (machine,) = (one for one in panel.entries if one["name"] == "report.json")
    assert Artifact.model_validate(machine["artifact"]) == panel.event.report
    assert "Panel c:1" in (panel.folder / "report.html").read_text()


async def test_the_same_event_again_released_the_panel_once(panel: Released, annotate: Served) -> None:
    tasks = await annotate.rows("select key from task order by key")
    assert [row["key"] for row in tasks] == [*(f"annotate:c:1:{n}" for n in range(4)), "plan:c:1", "release:c:1"]
    (row,) = await annotate.rows("select * from status_panel")
    assert (row["freeze"], row["number"], row["manifest"]["entries"]) == ("c:1", 1, len(panel.entries))
    (stands,) = await annotate.rows("select state, waits_for from status_subject")
    assert tuple(stands) == ("released", None)
