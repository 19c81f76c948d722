"""`python -m tests.oracle.site FOLDER POS [--shrink] [--all-sites]`: all that is known of one site of a cohort.

FOLDER holds gVCFs and their only FASTA, as `python -m tests.oracle --keep` leaves them. For each sample: the records
that reach the site, GATK's cell and ours. `--shrink` first leaves out the samples that the difference does not need.
"""

from __future__ import annotations

import argparse
import gzip
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tests.oracle import gatk
from tests.oracle.cohorts import Cohort, JointCall, shadow
from tests.oracle.compare import compare
from tests.oracle.judge import columnar
from tests.oracle.report import Report


def cohort_in(folder: Path, region: str) -> Cohort:
    fasta = gatk.index_fasta(next(folder.glob("*.fa")))
    contig, first, last = gatk.region_of(region, fasta)
    gvcfs = tuple(sorted(folder.glob("*.g.vcf.gz")))
    return Cohort(name=folder.name, fasta=fasta, contig=contig, first=first, last=last, gvcfs=gvcfs)


def differs(cohort: Cohort, ours: JointCall, at: int, folder: Path, *, all_sites: bool) -> bool:
    report = _compared(cohort, ours, folder, all_sites=all_sites)
    return any(one.site.startswith(f"{cohort.contig}:{at} ") for one in report.unexplained)


def shrink(cohort: Cohort, ours: JointCall, at: int, folder: Path, *, all_sites: bool) -> Cohort:
    """The cohort without samples that the difference at base `at` does not need, tried in ever smaller groups."""
    size = len(cohort.gvcfs) // 2
    while size:
        for start in range(0, len(cohort.gvcfs), size):
            rest = cohort.gvcfs[:start] + cohort.gvcfs[start + size :]
            smaller = replace(cohort, gvcfs=rest)
            if rest and differs(smaller, ours, at, folder, all_sites=all_sites):
                cohort = smaller
                break
        else:
            size //= 2
        size = min(size, len(cohort.gvcfs) - 1)
    return cohort


def _compared(cohort: Cohort, ours: JointCall, folder: Path, *, all_sites: bool) -> Report:
    theirs = cohort.call(gatk.joint_call, folder / "gatk.vcf.gz", all_sites=all_sites)
    made = cohort.call(ours, folder / "ours.vcf.gz", all_sites=all_sites)
    return compare(theirs, made, shadow=shadow(cohort))


def reaching(gvcf: Path, at: int) -> Iterator[str]:
    """Records from which `at` can be seen, those of deletions that end shortly before it included."""
    with gzip.open(gvcf, "rt") as stream:
        for line in stream:
            if line.startswith("#"):
                continue
            columns = line.rstrip("\n").split("\t")
            start, end = int(columns[1]), int(columns[1]) + len(columns[3]) - 1
            if columns[7].startswith("END="):
                end = int(columns[7][4:].split(";")[0])
            if start <= at <= end + 5 and (columns[4] != "<NON_REF>" or at <= end):
                yield " ".join((columns[1], columns[3], columns[4], columns[7], *columns[8:]))


def show(cohort: Cohort, at: int, folder: Path) -> None:
    sides = {name: _line(folder / f"{name}.vcf.gz", at) for name in ("gatk", "ours")}
    for name, columns in sides.items():
        print(f"{name}: {' '.join(columns[:9])}")
    with gzip.open(folder / "gatk.vcf.gz", "rt") as stream:
        names = next(line for line in stream if line.startswith("#CHROM")).rstrip("\n").split("\t")[9:]
    paths = gatk.stage(cohort.gvcfs, cohort.fasta, folder)
    for number, name in enumerate(names):
        cells = [columns[9 + number] if columns else "-" for columns in sides.values()]
        print(f"{'  ' if cells[0] == cells[1] else '!!'} {name} ({paths[name].name})  gatk {cells[0]}  ours {cells[1]}")
        for record in reaching(paths[name], at):
            print(f"        {record}")


def _line(vcf: Path, at: int) -> list[str]:
    with gzip.open(vcf, "rt") as stream:
        lines = (line.rstrip("\n").split("\t") for line in stream if not line.startswith("#"))
        return next((columns for columns in lines if int(columns[1]) == at), [])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.site", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("at", type=int)
    parser.add_argument("--region", default="")
    parser.add_argument("--shrink", action="store_true")
    parser.add_argument("--all-sites", action="store_true")
    parser.add_argument("--against", choices=("columnar", "gatk"), default="columnar")
    args = parser.parse_args(argv)
    ours = columnar() if args.against == "columnar" else gatk.joint_call
    with tempfile.TemporaryDirectory(prefix="oracle-") as scratch:
        folder = Path(scratch)
        cohort = cohort_in(args.folder, args.region)
        if args.shrink:
            cohort = shrink(cohort, ours, args.at, folder, all_sites=args.all_sites)
        report = _compared(cohort, ours, folder, all_sites=args.all_sites)
        report.unexplained = [one for one in report.unexplained if f":{args.at} " in one.site]
        show(cohort, args.at, folder)
        print(report.table())
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
