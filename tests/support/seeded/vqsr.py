"""A seeded filtering engine: hard filters by the service's own thresholds; a model of independent annotations."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev

from chassis.tools import vcf
from contracts.events import FilterDecision
from contracts.values import Provenance
from services.vqsr.engines.hard import HARD_FILTERS, header_line
from services.vqsr.engines.protocol import FilterCounts, NotFitted, TrainedModel
from services.vqsr.engines.sites import type_of
from services.vqsr.rules import VariantType
from tests.support.seeded import drawn

NAME = "seeded-vqsr"
KEPT = 0.99
"""Share of the training sites that a model lets through."""
FEWEST = 10
"""Training sites below which no model is fitted."""
VQSLOD = '##INFO=<ID=VQSLOD,Number=1,Type=Float,Description="Score by the model">'
PASS = '##FILTER=<ID=PASS,Description="All filters passed">'


class SeededFilters:
    """See `protocol.Engine`."""

    def provenance(self) -> Provenance:
        return Provenance(tool=NAME, version=drawn.VERSION, parameters=drawn.parameters(NAME))

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
        true = {(one[0], one[1]) for path in resources for one in _records(path) if _kind(one) == decision.variant_type}
        own = [one for one in _records(sites) if _kind(one) == decision.variant_type]
        training = [one for one in own if (one[0], one[1]) in true]
        spread: dict[str, tuple[float, float]] = {}
        for name in decision.annotations:
            values = [value for one in training if (value := _annotations(one[7]).get(name)) is not None]
            if len(values) < FEWEST or stdev(values) == 0:
                raise NotFitted(f"too few training sites with {name}, or no variance among them")
            spread[name] = fmean(values), stdev(values)
        scores = sorted(_score(one, spread) for one in training)
        least = scores[math.floor((1 - KEPT) * len(scores))]
        with vcf.writing(out_recal) as sink:
            meta = [line for line in vcf.header_of(sites) if line.startswith((b"##fileformat", b"##contig"))]
            sink.write(b"\n".join((*meta, VQSLOD.encode(), b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")) + b"\n")
            for one in own:
                scored = (*one[:5], ".", ".", f"VQSLOD={_score(one, spread):.4f}")
                sink.write(("\t".join(scored) + "\n").encode())
        vcf.index(out_recal)
        out_tranches.write_text(f"{least:.4f}\n", encoding="ascii")
        out_model.write_text(json.dumps(spread, sort_keys=True), encoding="ascii")
        return TrainedModel(recal=out_recal, tranches=out_tranches)

    def filter(
        self,
        *,
        vcf_in: Path,
        decisions: Sequence[FilterDecision],
        models: Mapping[VariantType, TrainedModel],
        out: Path,
        scratch: Path,
    ) -> FilterCounts:
        hard = {one.variant_type for one in decisions if one.method == "hard-filter"}
        scored = {
            one.variant_type: _Scores(models[one.variant_type], one.variant_type)
            for one in decisions
            if one.method == "vqsr"
        }
        header = vcf.lasting(vcf.header_of(vcf_in))
        ours = [PASS, *(_filter_line(name) for kind in sorted(hard) for name in HARD_FILTERS[kind])]
        ours += [VQSLOD, *(_filter_line(one.filter) for one in scored.values())] if scored else []
        extra = [line for line in ours if line.encode() not in header]
        counted = passed = 0
        with vcf.writing(out) as sink:
            lines = (*header[:-1], *(line.encode() for line in (*extra, *map(header_line, decisions))), header[-1])
            sink.write(b"\n".join(lines) + b"\n")
            for columns in _records(vcf_in):
                kind = _kind(columns)
                failed = {one for one in columns[6].split(";") if one not in ("PASS", ".")}
                if kind in hard:
                    failed |= _failed(columns[7], kind)
                if kind in scored:
                    failed |= scored[kind].judge(columns)
                columns[6] = ";".join(sorted(failed)) or "PASS"
                counted += 1
                passed += columns[6] == "PASS"
                sink.write(("\t".join(columns) + "\n").encode())
        vcf.index(out)
        return FilterCounts(variants=counted, passed=passed)


class _Scores:
    """A model's scores by place and alleles, and the least that passes."""

    def __init__(self, model: TrainedModel, kind: VariantType) -> None:
        self.filter = f"VQSRTranche{kind.upper()}{100 * KEPT:.2f}to100.00"
        self._scores = {tuple(one[:5]): one[7].removeprefix("VQSLOD=") for one in _records(model.recal)}
        self._least = float(model.tranches.read_text(encoding="ascii"))

    def judge(self, columns: list[str]) -> set[str]:
        """Adds the score to INFO; the filter that the record fails, if any."""
        score = self._scores[tuple(columns[:5])]
        columns[7] = f"VQSLOD={score}" if columns[7] == "." else f"{columns[7]};VQSLOD={score}"
        return {self.filter} if float(score) < self._least else set()


def _records(path: Path) -> Iterator[list[str]]:
    for line in vcf.lines(path):
        if not line.startswith(b"#"):
            yield line.decode().split("\t")


def _kind(columns: Sequence[str]) -> VariantType:
    return type_of(columns[3], columns[4])


def _annotations(info: str) -> dict[str, float]:
    found = {}
    for entry in info.split(";"):
        name, _, value = entry.partition("=")
        try:
            found[name] = float(value)
        except ValueError:
            continue
    return found


def _failed(info: str, kind: VariantType) -> set[str]:
    found = _annotations(info)
    failed = set()
    for name, expression in HARD_FILTERS[kind].items():
        annotation, sign, bound = expression.split(" ")
        if annotation in found:
            value = found[annotation]
            if (value < float(bound)) if sign == "<" else (value > float(bound)):
                failed.add(name)
    return failed


def _score(columns: Sequence[str], spread: Mapping[str, tuple[float, float]]) -> float:
    """Minus the mean squared distance from the training sites, in standard deviations."""
    found = _annotations(columns[7])
    distances = [((found[name] - mean) / sd) ** 2 for name, (mean, sd) in spread.items() if name in found]
    return -fmean(distances) if distances else 0.0


def _filter_line(name: str) -> str:
    return f'##FILTER=<ID={name},Description="See cohortstream_filter">'
