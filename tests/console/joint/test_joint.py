"""`cohortstream joint`: a store's whole life on the command line, its words and its exit codes."""

from __future__ import annotations

import errno
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pysam
import pytest

from tests.console.conftest import Command, Ran
from tests.services.jointcall.columnar.library.algebra import People, people, scratch_digest
from tests.services.jointcall.engines.written import block, het, het_without_pl, sequence, write_gvcf, write_reference


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> People:
    return people(51, tmp_path_factory.mktemp("people"), number=5, sites=40)


@pytest.fixture
def joint(cohortstream: Command, tmp_path: Path) -> Command:
    config = tmp_path / "cohortstream.toml"
    config.write_text(f'state_dir = "{tmp_path / "state"}"\n')

    def run(*arguments: str | Path, **more: Any) -> Ran:
        return cohortstream("--config", config, "joint", *arguments, **more)

    return run


def flat(said: str) -> str:
    return " ".join(said.split())


def test_a_stores_life(joint: Command, cohort: People, tmp_path: Path) -> None:
    store, fasta = tmp_path / "store", cohort.fasta
    names, paths = list(cohort.own), list(cohort.own.values())
    listed = tmp_path / "list.txt"
    listed.write_text(f"{paths[1]}\n# later: {paths[4]}\n")
    ran = joint("import", store, "--reference", fasta, paths[0], "--gvcf-list", listed)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("2 samples imported: generation ") and "(#1) has 2 samples in 1 batch" in ran.out
    assert "of gVCF" in ran.out and ran.out.count("\n") == 1
    ran = joint("add", store, "--reference", fasta, *paths[2:4])
    assert "2 samples added" in ran.out and "used again" in ran.out
    ran = joint("replace", store, "--reference", fasta, cohort.other[names[0]])
    assert "1 sample replaced" in ran.out and "`joint rewrite` by" in ran.out
    day = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
    ran = joint("withdraw", store, names[3], "--deadline", day)
    assert "1 sample withdrawn" in ran.out and f"by {day}" in ran.out and "0 B written" in ran.out

    counting = [cohort.other[names[0]], paths[1], paths[2]]
    digest = json.loads(joint("export", store, "--digest", "--json").out)
    assert digest["digest"] == scratch_digest(cohort, counting).digest
    assert joint("export", store, "--digest").out.startswith(digest["digest"])

    out = tmp_path / "x.vcf.gz"
    ran = joint("genotype", store, "--out", out, "--level", "1")
    assert ran.code == 0 and f"{digest['records']} records of 3 samples" in ran.out and str(out) in flat(ran.out)
    assert out.with_name("x.vcf.gz.tbi").is_file()
    ran = joint("export", store, "--out", tmp_path / "y.vcf", "--samples", names[1], "--region", "chrX:1-400")
    assert ran.code == 0
    head = next(line for line in (tmp_path / "y.vcf").read_text().splitlines() if line.startswith("#CHROM"))
    assert head.split("\t")[9:] == [names[1]]
    ran = joint("genotype", store, "--out", tmp_path / "z.vcf", "--all-sites", "--reference", fasta)
    assert ran.code == 0 and (tmp_path / "z.vcf").read_text().count("\n") > digest["records"] * 2
    ran = joint("export", store, "--columns", tmp_path / "columns")
    assert ran.code == 0 and f"{digest['records']:,} sites of 3 samples" in ran.out
    ran = joint("genotype", store, "--out", tmp_path / "s.vcf", "--sites-only", "--lost", tmp_path / "lost.tsv.gz")
    assert ran.code == 0 and (tmp_path / "lost.tsv.gz").is_file()
    (tmp_path / "folder").mkdir()
    assert joint("genotype", store, "--out", tmp_path / "folder", "--sites-only").code == 0
    assert len(list((tmp_path / "folder").iterdir())) == 2

    facts = json.loads(joint("inspect", store, "--json", "--columns").out)
    assert (facts["samples"], facts["masked"], len(facts["batches"]), facts["number"]) == (3, 2, 3, 4)
    assert facts["names"] == sorted(names[:3]) and facts["columns"]["variants.pl"] > 0
    assert {mask["sample"]: mask["why"] for mask in facts["masks"]} == {names[0]: "replaced", names[3]: "withdrawn"}
    shown = joint("inspect", store, "--columns").out
    assert f"{names[3]} is withdrawn; its bytes go by {day}" in shown and "a sample and Mb" in shown

    assert "keeps generation" in joint("hold", store, "freeze-1", "--generation", "#2", "--reason", "released").out
    assert joint("rewrite", store).out == "no masked sample's deadline has come\n"
    assert "batches written anew" in joint("rewrite", store, "--now").out
    assert "batches put together" in joint("compact", store).out
    assert joint("compact", store).out == "nothing to put together\n"
    assert json.loads(joint("export", store, "--digest", "--json").out)["digest"] == digest["digest"]

    assert joint("gc", store).out.startswith("nothing was deleted. Not needed: 0 objects")
    plan = json.loads(joint("gc", store, "--grace-hours", "0", "--json").out)
    assert plan["bytes"] > 0 and plan["freed"] == 0 and len(plan["kept"]) == 2
    freed = json.loads(joint("gc", store, "--grace-hours", "0", "--delete", "--json").out)
    assert freed["freed"] == plan["bytes"]
    rows = json.loads(joint("history", store, "--json").out)
    assert [row["operation"] for row in rows] == ["compact", "rewrite", "withdraw", "replace", "add", "import"]
    assert [row["collected"] for row in rows] == [False, True, True, True, False, True]
    assert "held: freeze-1" in joint("history", store).out
    assert "is released" in joint("release", store, "freeze-1").out
    assert "there is no hold" in joint("release", store, "freeze-1").out


def test_what_is_refused_says_how_to_mend_it(joint: Command, cohort: People, tmp_path: Path) -> None:
    store, fasta = tmp_path / "store", cohort.fasta
    path = next(iter(cohort.own.values()))
    ran = joint("inspect", tmp_path / "nothing")
    assert ran.code == 3 and "FILE_MISSING" in ran.err and "import the first gVCFs" in flat(ran.err)
    assert not (tmp_path / "nothing").exists()
    assert joint("import", store, "--reference", fasta).code == 3
    assert joint("import", store, "--reference", fasta, path).code == 0
    for code, arguments in {
        "COHORT_EXISTS": ("import", store, "--reference", fasta, path),
        "COHORT_DUPLICATE": ("add", store, "--reference", fasta, path),
        "SAMPLE_UNKNOWN": ("withdraw", store, "nobody"),
        "DEADLINE_PAST": ("withdraw", store, "x", "--deadline", "2020-01-31"),
        "GENERATION_UNKNOWN": ("genotype", store, "--out", tmp_path / "x.vcf", "--generation", "77"),
        "FORMAT_MISMATCH": ("genotype", store, "--out", tmp_path / "x.doc"),
        "BUILD_MISMATCH": ("genotype", store, "--out", tmp_path / "x.vcf", "--region", "chrQ"),
        "UNSAFE_PATH": ("hold", store, "../x", "--reason", "r"),
    }.items():
        ran = joint(*arguments)
        assert ran.code == 3 and code in ran.err and "To mend it" in flat(ran.err), code
    for arguments in (
        ("genotype", store),
        ("export", store),
        ("genotype", store, "--out", tmp_path / "x.vcf", "--all-sites"),
        ("export", store, "--out", tmp_path / "x.vcf", "--carried"),
        ("export", store, "--out", tmp_path / "x.vcf", "--digest", "--columns", tmp_path),
    ):
        assert joint(*arguments).code == 2
    assert not list(tmp_path.glob("*.vcf"))


def test_a_full_disk_is_said_in_words(
    joint: Command, cohort: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, paths = tmp_path / "store", list(cohort.own.values())
    joint("import", store, "--reference", cohort.fasta, paths[0])

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("services.jointcall.columnar.store.batch.os.fsync", full)
    ran = joint("add", store, "--reference", cohort.fasta, paths[1])
    monkeypatch.undo()
    assert ran.code == 1 and "No space left" in flat(ran.err) and "at the generation that it was at" in flat(ran.err)
    assert json.loads(joint("inspect", store, "--json").out)["samples"] == 1


def test_sites_that_one_record_takes_from_all_are_told(joint: Command, tmp_path: Path) -> None:
    """Thirteen records without PL, at one site beside a sample that has what is needed; and a site that is well."""
    bases = sequence(1000)
    reference = write_reference(tmp_path, bases)
    made = {}
    bare = list(range(100, 100 + 20 * 13, 20))
    for name, places in {"ada": {100: het, 900: het}, "ben": {**dict.fromkeys(bare, het_without_pl), 900: het}}.items():
        records, at = [], 1
        for place, kind in places.items():
            ref = bases[place - 1]
            records += [block(bases, at, place - 1), kind(ref, "ACGT"["ACGT".index(ref) - 1], place)]
            at = place + 1
        records.append(block(bases, at, len(bases)))
        made[name] = write_gvcf(tmp_path, name, records, contigs=[("c1", len(bases))]).path
    store, lost = tmp_path / "store", tmp_path / "lost.tsv.gz"
    assert joint("import", store, "--reference", reference.fasta, *made.values()).code == 0

    ran = joint("genotype", store, "--out", tmp_path / "x.vcf", "--lost", lost)
    assert ran.code == 0 and [line[:6] for line in (tmp_path / "x.vcf").read_text().splitlines()[-1:]] == ["c1\t900"]
    result, why, *sites = ran.out.splitlines()
    assert result.startswith("1 records of 2 samples")
    assert why.startswith("13 sites are left out") and "no PL" in why and "HaplotypeCaller -ERC GVCF" in why
    assert sites == [*(f"  c1:{at}  ben" for at in bare[:10]), "  and 3 more"]
    rows = [line.split("\t") for line in pysam.BGZFile(str(lost), "r", None).read().decode().splitlines()[1:]]
    assert [(int(row[1]), row[4], row[5]) for row in rows] == [
        (100, "NO_PL", "ada"),
        *((at, "NO_PL", "ben") for at in bare),
    ]

    told = {
        "sites": 13,
        "first": [{"contig": "c1", "position": at, "samples": ["ben"]} for at in bare[:10]],
    }
    for arguments in (
        ("genotype", store, "--out", tmp_path / "y.vcf", "--sites-only"),
        ("genotype", store, "--out", tmp_path / "z.vcf", "--all-sites", "--reference", reference.fasta),
        ("export", store, "--out", tmp_path / "one.bcf", "--samples", "ada"),
        ("export", store, "--out", f"{tmp_path}/parts/"),
        ("export", store, "--columns", tmp_path / "columns"),
        ("export", store, "--digest"),
    ):
        assert json.loads(joint(*arguments, "--json").out)["left_out"] == told, arguments
    assert "13 sites are left out" in joint("export", store, "--columns", tmp_path / "columns").out
    ran = joint("export", store, "--digest")
    assert ran.out.count("\n") == 1 and "13 sites are left out" in flat(ran.err), "what is piped is the digest alone"

    ran = joint("genotype", store, "--out", tmp_path / "x.vcf", "--region", "c1:100-101")
    assert "1 site is left out" in ran.out and ran.out.endswith("  c1:100  ben\n")
    ran = joint("genotype", store, "--out", tmp_path / "x.vcf", "--region", "c1:500-1000")
    assert ran.out.count("\n") == 1 and "left out" not in ran.out
    joint("withdraw", store, "ben")
    assert "left out" not in joint("genotype", store, "--out", tmp_path / "x.vcf").out
