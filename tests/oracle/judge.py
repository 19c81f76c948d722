"""One cohort by GATK and by us, compared."""

from __future__ import annotations

import importlib
from pathlib import Path

from tests.oracle import gatk
from tests.oracle.cohorts import Cohort, JointCall, shadow, spanned
from tests.oracle.compare import compare
from tests.oracle.report import Report


def judge(cohort: Cohort, ours: JointCall, folder: Path, *, all_sites: bool = False) -> Report:
    """`folder` holds both VCFs afterwards: gatk.vcf.gz and ours.vcf.gz, `-all` before the ending with `all_sites`."""
    ending = "-all.vcf.gz" if all_sites else ".vcf.gz"
    theirs = cohort.call(gatk.joint_call, folder / f"gatk{ending}", all_sites=all_sites)
    try:
        made = cohort.call(ours, folder / f"ours{ending}", all_sites=all_sites)
    except Exception as error:
        error.add_note(f"cohort {cohort.name} in {folder}, all_sites={all_sites}")
        raise
    return compare(theirs, made, shadow=shadow(cohort), spanned=spanned(cohort) if all_sites else frozenset())


def columnar() -> JointCall:
    called: JointCall = importlib.import_module("services.jointcall.columnar.alone").joint_call
    return called
