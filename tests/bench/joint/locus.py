"""A simulated cohort beside the real locus that it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.bench.joint.cohort import GQ_BEGINS, Cohort

NEAR = 0.20
REAL = {
    "records": 107_000.0,
    "explicit records": 3_200.0,
    "text bytes": 9.7e6,
    "bgzip bytes": 1.50e6,
}
"""Of one person's Mb at HaplotypeCaller's finest bands, from one real locus."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    what: str
    simulated: float
    real: float

    @property
    def ratio(self) -> float:
        return self.simulated / self.real

    @property
    def near(self) -> bool:
        return abs(self.ratio - 1) <= NEAR


def compared(cohort: Cohort) -> tuple[Compared, ...]:
    """Means over people, for one Mb."""
    mb = cohort.bases / 1e6 * len(cohort.profiles)
    simulated = {
        "records": sum(one.blocks + one.explicit for one in cohort.profiles) / mb,
        "explicit records": sum(one.explicit for one in cohort.profiles) / mb,
        "text bytes": sum(one.text_bytes for one in cohort.profiles) / mb,
        "bgzip bytes": sum(one.bgzip_bytes for one in cohort.profiles) / mb,
    }
    return tuple(Compared(what=what, simulated=simulated[what], real=real) for what, real in REAL.items())


def bases_by_gq(cohort: Cohort) -> dict[str, float]:
    """Share of the bases in blocks, by class of GQ."""
    total = np.sum([one.by_gq for one in cohort.profiles], axis=0)
    return {f"GQ {begin}+": float(share) for begin, share in zip(GQ_BEGINS, total / total.sum(), strict=True)}


def table(figures: Sequence[Compared]) -> str:
    """One line each."""
    return "\n".join(
        f"{one.what:17} {one.simulated:12,.0f} a sample-Mb; real {one.real:12,.0f}; {one.ratio:.2f}"
        f"{'' if one.near else '  NOT WITHIN 20%'}"
        for one in figures
    )
