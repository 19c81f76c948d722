"""Both joint-calling engines on the demo's cohort: what GATK says of it, and that the released panel is what columnar
says."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import pysam
import pytest

from chassis.reference.local import LocalReference
from chassis.tools import vcf
from contracts.values import Interval, ReferenceId
from services.jointcall.engines.protocol import GvcfInput
from services.jointcall.engines.registry import engine_for
from tests.e2e.conftest import Demo
from tests.oracle.compare import compare
from tests.oracle.report import Report

pytestmark = [pytest.mark.stack, pytest.mark.tools]

Genotyped = tuple[str, str, str, str, tuple[str, ...]]
"""CHROM, POS, REF, ALT and the genotypes, phased or not."""


@pytest.fixture(scope="module")
def reference(demo: Demo) -> LocalReference:
    (fasta,) = (demo.folder / "state" / "cache" / "references").rglob("reference.fa")
    with pysam.FastaFile(str(fasta)) as opened:
        whole = tuple(
            Interval(contig=name, start=1, end=length, contig_length=length)
            for name, length in zip(opened.references, opened.lengths, strict=True)
        )
    return LocalReference(id=ReferenceId(name="demo", digest="0" * 32), fasta=fasta, intervals=whole)


@pytest.fixture(scope="module")
def gvcfs(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> tuple[GvcfInput, ...]:
    """The second freeze's: of each sample the latest, out of what jointcall's host had fetched."""
    folder = tmp_path_factory.mktemp("gvcfs")
    found: dict[str, Path] = {}
    for path in sorted((demo.folder / "state" / "cache" / "objects").iterdir(), key=lambda one: one.stat().st_mtime):
        with gzip.open(path, "rb") as stream:
            if not stream.read(16).startswith(b"##fileformat=VCF"):
                continue
        header = vcf.header_of(path)
        if any(line.startswith(b"##ALT=<ID=NON_REF") for line in header):
            found[vcf.samples_of(header)[0]] = path
    return tuple(_indexed(name, path, folder) for name, path in found.items())


def _indexed(name: str, path: Path, folder: Path) -> GvcfInput:
    copy = folder / f"{name}.g.vcf.gz"
    shutil.copyfile(path, copy)
    return GvcfInput(name=name, path=copy, index=vcf.index(copy))


def call(engine: str, gvcfs: tuple[GvcfInput, ...], reference: LocalReference, folder: Path) -> list[Path]:
    """A VCF for each contig."""
    made = engine_for(engine, chunk_bp=1_000_000, memory_mb=2000)
    paths = []
    for interval in reference.intervals:
        scratch = folder / f"{engine}-{interval.contig}"
        scratch.mkdir()
        made.add_samples(
            generation=None,
            batch=gvcfs,
            interval=interval,
            reference=reference,
            out=scratch / "generation",
            scratch=scratch,
        )
        made.genotype(
            generation=scratch / "generation",
            interval=interval,
            reference=reference,
            out_vcf=scratch / "out.vcf.gz",
            out_sites=scratch / "sites.vcf.gz",
            scratch=scratch,
        )
        paths.append(scratch / "out.vcf.gz")
    return paths


def genotypes(path: Path) -> Iterator[Genotyped]:
    with gzip.open(path, "rt") as lines:
        for line in lines:
            if not line.startswith("#"):
                columns = line.rstrip("\n").split("\t")
                cells = tuple(cell.split(":")[0] for cell in columns[9:])
                yield columns[0], columns[1], columns[3], columns[4], cells


def test_columnar_says_what_gatk_says(
    demo: Demo, gvcfs: tuple[GvcfInput, ...], reference: LocalReference, tmp_path: Path
) -> None:
    assert len(gvcfs) == demo.document["freezes"][1]["samples"] == 5
    ours, theirs = (call(engine, gvcfs, reference, tmp_path) for engine in ("columnar", "gatk"))
    report = Report()
    for one, other in zip(theirs, ours, strict=True):
        report.add(compare(one, other))
    assert report.good, report.table()
    assert report.sites > 100 and report.cells > 500

    # the panel was made interval by interval, from columns that two freezes wrote
    released = [Path(path) for path in demo.document["freezes"][1]["panel"]["vcf"]]
    panel = {one for path in released for one in genotypes(path)}
    assert panel == {one for path in ours for one in genotypes(path)}


def test_the_second_freeze_says_what_it_reused(demo: Demo) -> None:
    first, second = demo.document["freezes"]
    assert first["engine"] == second["engine"] == "columnar"
    assert first["begun_with"] is None and second["begun_with"] == first["freeze"]
    assert (first["reuse"]["samples_reused"], first["reuse"]["samples_imported"]) == (0, 3)
    # two people are new, and one of the three was topped up
    assert (second["reuse"]["samples_reused"], second["reuse"]["samples_imported"]) == (2, 3)
    assert second["reuse"]["bytes_reused"] > 0 and second["reuse"]["bytes_written"] > 0
