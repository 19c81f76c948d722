"""`python -m tests.oracle`: the long run against GATK, on kept cohorts and on made ones until `--sites` are compared.

`--gvcfs DIR --fasta F [--region R]` compares on a folder of other gVCFs instead. Exit status 1 on an unexplained
mismatch, or when a predicate explains more than its cap.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic

from tests.oracle import gatk
from tests.oracle.cohorts import Cohort, JointCall
from tests.oracle.judge import columnar, judge
from tests.oracle.made import cohort as made_cohort
from tests.oracle.report import Report
from tests.oracle.sources import KEPT_COHORTS, given

PEOPLE = (2, 5, 12, 30)
"""Of made cohorts, in turn: InbreedingCoeff wants ten, ties want few."""
ALL_SITES_BP = 30_000
"""At the end of a region: what is compared with a record for each base, most of which say the same."""
LOCI = 500
"""Drawn for a made cohort; some six in ten become sites."""


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first made cohort")
    parser.add_argument("--sites", type=int, default=10_000, help="variant sites of made cohorts to compare")
    parser.add_argument("--loci", type=int, default=LOCI, help="drawn for each made cohort")
    parser.add_argument("--people", type=int, nargs="*", default=PEOPLE, help="in each made cohort, in turn")
    parser.add_argument("--only", nargs="*", default=None, help=f"kept cohorts to compare: {', '.join(KEPT_COHORTS)}")
    parser.add_argument("--variants-only", action="store_true", help="leave the runs with all sites out")
    parser.add_argument("--keep", type=Path, help="keep cohorts with mismatches and both VCFs in this folder")
    parser.add_argument("--gvcfs", type=Path, help="a folder of gVCFs to compare on instead")
    parser.add_argument("--fasta", type=Path, help="their reference")
    parser.add_argument("--region", default="", help="c, c:first-last; else the first contig")
    parser.add_argument("--against", choices=("columnar", "gatk"), default="columnar", help="gatk: the harness itself")
    parser.add_argument("--memory", type=int, default=gatk.MEMORY_MB, help="for GATK, in MB")
    args = parser.parse_args(argv)
    gatk.MEMORY_MB = args.memory
    ours = columnar() if args.against == "columnar" else gatk.joint_call
    total = Report()
    if args.gvcfs is not None:
        if args.fasta is None:
            parser.error("--gvcfs wants --fasta")
        with _folder(args.keep, "given") as folder:
            cohort = given(args.gvcfs.name, gatk.gvcfs_in([args.gvcfs]), args.fasta, args.region, folder)
            total.add(_both(cohort, ours, folder, variants_only=args.variants_only))
    else:
        for name in KEPT_COHORTS if args.only is None else args.only:
            with _folder(args.keep, name) as folder:
                total.add(_both(KEPT_COHORTS[name](folder), ours, folder, variants_only=args.variants_only))
        if args.sites:
            total.add(_made(args, ours))
    print(total.table())
    return 0 if total.good else 1


def _made(args: argparse.Namespace, ours: JointCall) -> Report:
    total, variants, seed = Report(), 0, args.seed
    while variants < args.sites:
        people = args.people[seed % len(args.people)]
        with _folder(args.keep, f"made-{seed}") as folder:
            cohort = made_cohort(seed, folder, people=people, sites=args.loci)
            by_variants = judge(cohort, ours, folder)
            variants += by_variants.sites
            _say(cohort, by_variants)
            total.add(by_variants)
            # every other cohort: a record for each base is mostly more of the same
            if not args.variants_only and seed % 2:
                everywhere = judge(cohort, ours, folder, all_sites=True)
                _say(cohort, everywhere)
                total.add(everywhere)
        seed += 1
    return total


def _both(cohort: Cohort, ours: JointCall, folder: Path, *, variants_only: bool) -> Report:
    total = Report()
    for all_sites in (False,) if variants_only else (False, True):
        within = replace(cohort, first=max(cohort.first, cohort.last - ALL_SITES_BP)) if all_sites else cohort
        one = judge(within, ours, folder, all_sites=all_sites)
        _say(within, one)
        total.add(one)
    return total


_began = monotonic()


def _say(cohort: Cohort, report: Report) -> None:
    done = f"{monotonic() - _began:6.0f} s  {cohort.name}: {len(cohort.gvcfs)} samples, {report.sites:,} sites"
    print(f"{done}, {len(report.unexplained):,} unexplained", file=sys.stderr, flush=True)


@contextmanager
def _folder(keep: Path | None, name: str) -> Iterator[Path]:
    if keep is not None:
        (keep / name).mkdir(parents=True, exist_ok=True)
        yield keep / name
        return
    with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
        yield Path(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
