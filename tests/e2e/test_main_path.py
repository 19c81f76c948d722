"""The whole path, end to end, on the embedded stack: from run folders to two released panels."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pysam
import pytest

from tests.e2e.conftest import Demo

pytestmark = [pytest.mark.stack, pytest.mark.tools]


def test_two_freezes_are_released_and_the_second_is_larger(demo: Demo) -> None:
    first, second = demo.document["freezes"]
    assert (first["samples"], second["samples"]) == (3, 5)
    assert first["intervals"] >= 8 and second["intervals"] >= 8
    assert second["variants"] > first["variants"] > 50
    assert demo.document["quarantined"] == 0


def test_the_panels_tell_the_truth(demo: Demo) -> None:
    """The issue's bar: non-reference genotypes, SNPs 0.98, indels 0.90; PASS records only."""
    for freeze in demo.document["freezes"]:
        for rate in ("recall", "precision"):
            assert freeze[rate]["snp"] >= 0.98, (freeze["freeze"], rate, freeze[rate])
            assert freeze[rate]["indel"] >= 0.90, (freeze["freeze"], rate, freeze[rate])


def test_the_top_up_raised_its_samples_coverage(demo: Demo) -> None:
    coverage = demo.document["topped_up"]["coverage"]
    assert coverage["2"] > coverage["1"] * 1.2


def test_every_fact_of_the_flow_was_published(demo: Demo) -> None:
    events = demo.document["events"]
    first, second = demo.document["freezes"]
    assert events["run.completed"] == 2
    assert events["cram.ready"] == events["gvcf.ready"] == 6
    assert events["cohort.freeze.requested"] == events["cohort.frozen"] == 2
    assert events["interval.genotyped"] == first["intervals"] + second["intervals"]
    assert events["panel.recalibrated"] == events["panel.released"] == 2
    assert events["artifact.tiered"] > 0


def test_the_kept_folder_is_as_the_readme_says(demo: Demo) -> None:
    assert (demo.folder / "truth.vcf.gz").exists()
    for number, freeze in enumerate(demo.document["freezes"], start=1):
        paths = [Path(path) for path in freeze["panel"]["vcf"]]
        assert paths and all(path.parent == demo.folder / f"panel-{number}" for path in paths)
        names = set()
        for path in paths:
            with pysam.VariantFile(str(path)) as vcf:
                names.add(tuple(vcf.header.samples))
                header = str(vcf.header)
                assert "cohortstream_filter" in header, "the panel says how it was filtered"
                assert "BCSQ" in header
        assert names == {tuple(sorted(next(iter(names))))}, "sample columns in the order of their names"


def test_the_lake_holds_what_the_vcfs_hold(demo: Demo) -> None:
    for freeze in demo.document["freezes"]:
        records = 0
        for path in freeze["panel"]["vcf"]:
            with pysam.VariantFile(path) as vcf:
                records += sum(1 for _ in vcf)
        lake = f"{freeze['panel']['parquet']}/variants/**/*.parquet"
        [(sites,)] = duckdb.sql(
            f"select count(distinct (contig, pos, ref)) from read_parquet('{lake}', hive_partitioning=true)"
        ).fetchall()
        assert records == freeze["variants"]
        assert sites == records


def test_nothing_was_lost_on_the_way(demo: Demo) -> None:
    for service, figures in demo.document["services"].items():
        assert set(figures["attempts"]) <= {"done"}, (service, figures)


def test_identifiers_of_people_stay_out_of_events_logs_and_spans(demo: Demo) -> None:
    labels = ("S0001", "S0002", "S0003", "S0004", "S0005")
    for path in (demo.folder / "state").rglob("*"):
        if path.suffix in (".log", ".jsonl") and "attempts" not in path.parts and path.is_file():
            text = path.read_text(errors="replace")
            assert not [label for label in labels if label in text], path
    for span in demo.received.spans:
        assert not [label for label in labels if label in repr(span)], span.name
