"""What is found in a sample's gVCF after its QC: noted, held or refused, so that everyone else's freeze goes on."""

from __future__ import annotations

import re
from typing import Literal

from chassis.errors import Rejection
from chassis.ledger.ledger import Tx
from contracts.events import GvcfReady
from services.jointcall import statements

Policy = Literal["note", "hold", "refuse"]
COVERAGE = "GVCF_COVERAGE"
NO_ONES_FAULT = frozenset({"COHORT_DUPLICATE"})
"""Codes that name one gVCF though another may be the wrong one: a person says which."""
_GVCF = re.compile(r"(smp_[0-9a-f]{24})\.g\.vcf\.gz")


def coverage_of(event: GvcfReady) -> Rejection | None:
    """GVCF_COVERAGE when the gVCF covers less than the calling intervals, by what its event counted."""
    if event.covered_bp is None or event.declared_bp is None or event.covered_bp >= event.declared_bp:
        return None
    return Rejection(
        code=COVERAGE,
        message=f"it covers {event.covered_bp} of {event.declared_bp} bases of the calling intervals",
        where=f"the gVCF of version {event.sample.version} of {event.sample.key}",
        rule="a gVCF covers every base of the reference's calling intervals: without a record no one knows of a base "
        "whether it was read",
        fix="call the sample again over all calling intervals; where the gap is meant, let it pass by name "
        "(`cohortstream samples pass`) or by policy (jointcall.coverage_policy)",
    )


async def hold_for(tx: Tx, freeze: str, rejection: Rejection) -> str | None:
    """Hold the sample whose gVCF ended a freeze, with the reason; the next freeze of all goes on without it. Returns
    its key, None when the rejection names no sample of this freeze."""
    named = _GVCF.match(rejection.where)
    if named is None or rejection.code in NO_ONES_FAULT:
        return None
    held: str | None = await tx.conn.fetchval(
        statements.FOUND, freeze, named[1], {"policy": "hold", "rejection": rejection.as_dict()}
    )
    return held
