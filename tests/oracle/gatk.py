"""GATK as the oracle: one unsharded GenomicsDB workspace, rows in the order of names, then GenotypeGVCFs.

`python -m tests.oracle.gatk OUT GVCF... --fasta F --region C:1-100 [--all-sites] [--at POS ...]` writes OUT/gatk.vcf.gz
and prints its records. A folder stands for all `.g.vcf.gz` in it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from chassis.tools.gatk import Gatk, gatk_for, pinned_version
from chassis.tools.jars import default_cache
from services.jointcall.engines.gatk import CALLING, HEAP_FRACTION, QUIETLY

MEMORY_MB = 1500  # as every test that runs GATK in its own process: they share one JVM
ENDINGS = (".g.vcf.gz", ".gvcf.gz", ".vcf.gz")
METHOD = "2"
"""Part of the cache's key: raise it when what is asked of GATK changes."""


@cache
def gatk_of_tests() -> Gatk:
    return gatk_for(memory_mb=MEMORY_MB, heap_fraction=HEAP_FRACTION)


def joint_call(
    *, gvcfs: Sequence[Path], fasta: Path, contig: str, first: int, last: int, out: Path, all_sites: bool = False
) -> None:
    """Joint genotypes of `contig:first-last` by GATK to `out` (VCF in BGZF).

    `fasta` has `.fai` and `.dict` beside it. GATK is slow, so an answer is kept under `answers()` by the content of
    all that it depends on; removing that folder costs time and nothing else.
    """
    kept = answers() / f"{_key(gvcfs, fasta, contig, first, last, all_sites)}.vcf.gz"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="oracle-", dir=kept.parent) as scratch:
            called = _ask(gvcfs, fasta, f"{contig}:{first}-{last}", Path(scratch), all_sites)
            called.replace(kept)
    shutil.copyfile(kept, out)


def answers() -> Path:
    return default_cache().parent / "oracle"


def _ask(gvcfs: Sequence[Path], fasta: Path, region: str, scratch: Path, all_sites: bool) -> Path:
    workspace, called, log = scratch / "workspace", scratch / "called.vcf.gz", scratch / "gatk.log"
    importing = ["--genomicsdb-workspace-path", str(workspace)]
    # not by a map of names: with one, GATK takes the first sample's header for all and drops what that does not declare
    for _, path in sorted(stage(gvcfs, fasta, scratch).items()):
        importing += ["--variant", str(path)]
    # one batch: a workspace of several fragments answers the same, and takes longer
    importing += ["--intervals", region, "--batch-size", "0", *QUIETLY]
    gatk_of_tests().run("GenomicsDBImport", importing, log=log)
    genotyping = ["--reference", str(fasta), "--variant", f"gendb://{workspace}", "--intervals", region]
    genotyping += ["--output", str(called), "--create-output-variant-index", "false", *CALLING, *QUIETLY]
    genotyping += ["--include-non-variant-sites", "true"] if all_sites else []
    gatk_of_tests().run("GenotypeGVCFs", genotyping, log=log)
    return called


def stage(gvcfs: Sequence[Path], fasta: Path, folder: Path) -> dict[str, Path]:
    """By sample name: the gVCFs themselves where they have an index and name no contig but the FASTA's, else copies
    in `folder` that do. GATK refuses contigs that the reference lacks, and real headers name thousands."""
    known = {line.split("\t", 1)[0] for line in Path(f"{fasta}.fai").read_text().splitlines()}
    staged: dict[str, Path] = {}
    for path in gvcfs:
        header = _header(path)
        foreign = [line for line in header if line.startswith("##contig=") and _contig_id(line) not in known]
        name = header[-1].rstrip("\n").split("\t")[9]
        if name in staged:
            raise ValueError(f"{path.name} and {staged[name].name} are of the same sample, {name}")
        indexed = path.with_name(path.name + ".tbi").exists()
        staged[name] = path if indexed and not foreign else _copy(path, folder / f"{len(staged)}.g.vcf.gz", foreign)
    return staged


def _header(path: Path) -> list[str]:
    header = []
    with gzip.open(path, "rt") as stream:
        for line in stream:
            if not line.startswith("#"):
                break
            header.append(line)
    return header


def _contig_id(line: str) -> str:
    return line.split("ID=", 1)[1].split(",")[0].rstrip(">\n")


def _copy(path: Path, to: Path, without: Sequence[str]) -> Path:
    import pysam

    unwanted = set(without)
    with gzip.open(path, "rt") as stream:
        text = "".join(line for line in stream if line not in unwanted)
    with pysam.BGZFile(str(to), "w", None) as sink:
        sink.write(text.encode())
    pysam.tabix_index(str(to), preset="vcf", force=True)
    return to


def _key(gvcfs: Sequence[Path], fasta: Path, contig: str, first: int, last: int, all_sites: bool) -> str:
    asked = [METHOD, pinned_version(), f"{contig}:{first}-{last}", str(all_sites), *CALLING]
    contents = [_sum(fasta), *sorted(_sum(path) for path in gvcfs)]
    return hashlib.sha256("\n".join([*asked, *contents]).encode()).hexdigest()


def _sum(path: Path) -> str:
    """Of the text, not of its compression."""
    opener = gzip.open if path.suffix == ".gz" else Path.open
    with opener(path, "rb") as stream:
        digest = hashlib.sha256()
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def index_fasta(fasta: Path) -> Path:
    """`fasta`, with `.fai` and `.dict` beside it."""
    import pysam

    index = Path(f"{fasta}.fai")
    if not index.exists() or index.stat().st_mtime_ns < fasta.stat().st_mtime_ns:
        pysam.faidx(str(fasta))
        fasta.with_suffix(".dict").unlink(missing_ok=True)
    if not fasta.with_suffix(".dict").exists():
        pysam.samtools.dict("-o", str(fasta.with_suffix(".dict")), str(fasta), catch_stdout=False)
    return fasta


def gvcfs_in(paths: Sequence[Path]) -> list[Path]:
    """Folders become the gVCFs in them, by the usual endings: what ends in `.g.vcf.gz`, else the next that is there."""
    found: list[Path] = []
    for path in paths:
        by_ending = (sorted(path.glob(f"*{ending}")) for ending in ENDINGS) if path.is_dir() else iter([[path]])
        found += next((those for those in by_ending if those), [])
    return found


def region_of(text: str, fasta: Path) -> tuple[str, int, int]:
    """`c1`, `c1:10-20`; empty: the whole of the first contig."""
    lengths = dict(line.split("\t")[:2] for line in Path(f"{fasta}.fai").read_text().splitlines())
    contig, _, span = (text or next(iter(lengths))).partition(":")
    first, _, last = span.replace(",", "").partition("-")
    return contig, int(first or 1), int(last or lengths[contig])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.gatk", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("gvcfs", type=Path, nargs="+")
    parser.add_argument("--fasta", type=Path, help="else the only .fa in the first folder of gVCFs")
    parser.add_argument("--region", default="")
    parser.add_argument("--all-sites", action="store_true")
    parser.add_argument("--at", type=int, nargs="*", help="print the records at these positions alone")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    fasta = index_fasta(args.fasta or next(args.gvcfs[0].glob("*.fa")))
    contig, first, last = region_of(args.region, fasta)
    called = args.out / "gatk.vcf.gz"
    joint_call(
        gvcfs=gvcfs_in(args.gvcfs),
        fasta=fasta,
        contig=contig,
        first=first,
        last=last,
        out=called,
        all_sites=args.all_sites,
    )
    with gzip.open(called, "rt") as stream:
        for line in stream:
            if not line.startswith("##") and (not args.at or line[0] == "#" or int(line.split("\t", 2)[1]) in args.at):
                print(line, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
