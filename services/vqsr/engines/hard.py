"""GATK's recommended hard filters, and what the header says of how a panel was filtered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from contracts.events import FilterDecision
from services.vqsr.rules import VariantType

_OF_TYPE: Mapping[VariantType, str] = {
    "snp": "(vc.isSNP() || vc.isMNP())",
    "indel": "!(vc.isSNP() || vc.isMNP())",
}

HARD_FILTERS: Mapping[VariantType, Mapping[str, str]] = {
    "snp": {
        "SNP_QD2": "QD < 2.0",
        "SNP_FS60": "FS > 60.0",
        "SNP_MQ40": "MQ < 40.0",
        "SNP_SOR3": "SOR > 3.0",
        "SNP_MQRankSum-12.5": "MQRankSum < -12.5",
        "SNP_ReadPosRankSum-8": "ReadPosRankSum < -8.0",
    },
    "indel": {
        "INDEL_QD2": "QD < 2.0",
        "INDEL_FS200": "FS > 200.0",
        "INDEL_ReadPosRankSum-20": "ReadPosRankSum < -20.0",
    },
}
"""Filter name -> what is filtered out (GATK's article "Hard-filtering germline short variants"). Each its own
filter, so that one record shows all it failed; a site without the annotation passes it."""


def filter_arguments(types: Sequence[VariantType]) -> list[str]:
    """VariantFiltration's arguments: type-aware, so that one pass serves both types and nothing is split and
    merged."""
    arguments: list[str] = []
    for one in types:
        for name, expression in HARD_FILTERS[one].items():
            arguments += ["--filter-name", name, "--filter-expression", f"{_OF_TYPE[one]} && {expression}"]
    return arguments


def header_line(decision: FilterDecision) -> str:
    """`##cohortstream_filter=<ID=snp,Method=...,Rule="...">`: the panel says of itself how it was filtered."""
    fields = [
        f"ID={decision.variant_type}",
        f"Method={decision.method}",
        f"TrainingVariants={decision.training_variants}",
        f'Rule="{_quotable(decision.rule)}"',
        f'Annotations="{",".join(decision.annotations)}"',
        f'DroppedAnnotations="{",".join(decision.dropped_annotations)}"',
    ]
    return f"##cohortstream_filter=<{','.join(fields)}>"


def _quotable(text: str) -> str:
    return text.replace("\\", "/").replace('"', "'")
