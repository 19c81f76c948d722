"""GATK's VQSR and hard filters: train once on all sites, apply interval by interval."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from chassis.errors import Rejected, ToolFailed
from chassis.tools import vcf
from chassis.tools.gatk import Gatk
from contracts.events import FilterDecision
from contracts.values import Provenance
from services.vqsr.engines.hard import HARD_FILTERS, filter_arguments, header_line
from services.vqsr.engines.protocol import FilterCounts, NotFitted, TrainedModel
from services.vqsr.rules import ANNOTATIONS, VariantType

TRANCHES = ("100.0", "99.9", "99.7", "99.0", "90.0")  # percent of the truth sites that a tranche lets through
TRUTH_SENSITIVITY: Mapping[VariantType, float] = {"snp": 99.7, "indel": 99.0}
"""Percent of truth sites kept: what GATK's best-practice workflow uses for genomes."""
TRUTH_PRIOR = 12.0
"""Phred-scaled trust in a bundle's training sites: between GATK's figures for HapMap (15) and 1000 Genomes (10)."""
MOST_GAUSSIANS: Mapping[VariantType, int] = {"snp": 6, "indel": 4}  # GATK's best-practice workflow
TRAINING_PER_GAUSSIAN = 1000
"""A full covariance matrix in seven dimensions is 35 numbers a gaussian: few sites do not hold many of them."""

QUIETLY = (
    "--QUIET", "true",
    "--verbosity", "WARNING",
    "--add-output-vcf-command-line", "false",
    "--create-output-variant-md5", "false",
)  # fmt: skip
_NOT_FITTED = re.compile(
    r"NaN LOD|failed to converge|model.*(fail|converge)|Unable to retrieve|zero variance|not detected for ANY training"
    r"|No training set|No data found|Clustering with this few|too few",
    re.IGNORECASE,
)


class GatkFilters:
    """Files in, files out; see `protocol.Engine`."""

    def __init__(self, *, gatk: Gatk) -> None:
        self._gatk = gatk

    def provenance(self) -> Provenance:
        matter = {
            "annotations": ANNOTATIONS,
            "hard_filters": HARD_FILTERS,
            "tranches": TRANCHES,
            "truth_prior": TRUTH_PRIOR,
            "truth_sensitivity": TRUTH_SENSITIVITY,
            "gaussians": [MOST_GAUSSIANS, TRAINING_PER_GAUSSIAN],
        }
        canonical = json.dumps(matter, sort_keys=True, separators=(",", ":"))
        return Provenance(
            tool="gatk", version=self._gatk.version, parameters=hashlib.sha256(canonical.encode()).hexdigest()
        )

    def train(
        self,
        *,
        sites: Path,
        decision: FilterDecision,
        resources: Sequence[Path],
        out_recal: Path,
        out_tranches: Path,
        out_model: Path,
        scratch: Path,
    ) -> TrainedModel:
        """Fit the model that `decision` asks for and score all `sites` (sites-only, indexed) with it.

        `resources` are VCFs of sites taken for true, with `.tbi` beside them. Raises NotFitted, with GATK's words.
        Method: DePristo et al. 2011, Nat. Genet. 43, 491.
        """
        arguments = ["--variant", str(sites), "--mode", decision.variant_type.upper()]
        for number, resource in enumerate(resources, start=1):
            arguments += [f"--resource:training{number},known=false,training=true,truth=true,prior={TRUTH_PRIOR}"]
            arguments += [str(resource)]
        for annotation in decision.annotations:
            arguments += ["--use-annotation", annotation]
        for tranche in TRANCHES:
            arguments += ["--truth-sensitivity-tranche", tranche]
        arguments += [
            "--max-gaussians", str(gaussians(decision.variant_type, decision.training_variants)),
            "--trust-all-polymorphic", "true",
            "--output", str(out_recal),
            "--tranches-file", str(out_tranches),
            "--output-model", str(out_model),
            *QUIETLY,
        ]  # fmt: skip
        try:
            self._gatk.run("VariantRecalibrator", arguments, log=scratch / "VariantRecalibrator.log")
        except Rejected as refused:
            if _NOT_FITTED.search(refused.rejection.message):
                raise NotFitted(refused.rejection.message) from refused
            raise
        for written in (out_tranches, out_model, vcf.index_of(out_recal)):
            if not written.is_file():
                raise ToolFailed(tool="GATK VariantRecalibrator", status="incomplete", said=f"no {written.name}")
        return TrainedModel(recal=out_recal, tranches=out_tranches)

    def apply(self, *, vcf_in: Path, model: TrainedModel, variant_type: VariantType, out: Path, scratch: Path) -> None:
        """Write `vcf_in` with VQSLOD and the tranche filters of `variant_type`; records of the other type stay as
        they are."""
        self._gatk.run(
            "ApplyVQSR",
            [
                "--variant", str(vcf_in),
                "--recal-file", str(model.recal),
                "--tranches-file", str(model.tranches),
                "--mode", variant_type.upper(),
                "--truth-sensitivity-filter-level", str(TRUTH_SENSITIVITY[variant_type]),
                "--output", str(out),
                *QUIETLY,
            ],
            log=scratch / "ApplyVQSR.log",
        )  # fmt: skip
        _whole(out, "ApplyVQSR")

    def hard_filter(self, *, vcf_in: Path, types: Sequence[VariantType], out: Path, scratch: Path) -> None:
        """Write `vcf_in` with the hard filters of `types`, PASS where none applies; filters that stand there stay."""
        self._gatk.run(
            "VariantFiltration",
            [
                "--variant", str(vcf_in),
                "--output", str(out),
                "--create-output-variant-index", "false",
                *filter_arguments(types),
                *QUIETLY,
            ],
            log=scratch / "VariantFiltration.log",
        )  # fmt: skip
        _whole(out, "VariantFiltration")

    def filter(
        self,
        *,
        vcf_in: Path,
        decisions: Sequence[FilterDecision],
        models: Mapping[VariantType, TrainedModel],
        out: Path,
        scratch: Path,
    ) -> FilterCounts:
        """Filter an interval as decided, each type in its own way, and say so in the header. Writes `out` and its
        `.tbi`.

        `vcf_in` has its `.tbi` beside it; `models` holds one for each decision whose method is vqsr. One GATK call
        a model, and one for all hard filters.
        """
        stage = vcf_in
        for one in decisions:
            if one.method == "vqsr":
                after = scratch / f"scored-{one.variant_type}.vcf.gz"
                self.apply(
                    vcf_in=stage,
                    model=models[one.variant_type],
                    variant_type=one.variant_type,
                    out=after,
                    scratch=scratch,
                )
                stage = after
        hard: list[VariantType] = [one.variant_type for one in decisions if one.method == "hard-filter"]
        if hard:
            after = scratch / "hard-filtered.vcf.gz"
            self.hard_filter(vcf_in=stage, types=hard, out=after, scratch=scratch)
            stage = after
        vcf.restamp(stage, extra=[header_line(one) for one in decisions], out=out)
        return count(out)


def gaussians(variant_type: VariantType, training_variants: int) -> int:
    """How many gaussians the positive model may have."""
    return max(2, min(MOST_GAUSSIANS[variant_type], training_variants // TRAINING_PER_GAUSSIAN))


def count(filtered: Path) -> FilterCounts:
    """Read the FILTER column of every record."""
    filters = [line.split(b"\t", 7)[6] for line in vcf.lines(filtered) if not line.startswith(b"#")]
    return FilterCounts(variants=len(filters), passed=filters.count(b"PASS"))


def _whole(out: Path, tool: str) -> None:
    if not vcf.is_whole(out):
        raise ToolFailed(tool=f"GATK {tool}", status="incomplete", said=f"{out.name} has no end block")
