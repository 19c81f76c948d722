"""The report of a released panel: a JSON document for programs, and the same as one HTML page for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from contracts.events import FilterDecision
from contracts.values import Provenance, ReferenceId
from services.annotate.summary import PanelCounts, SampleCounts

_METHODS = {
    "vqsr": "a model trained on this freeze (VQSR)",
    "hard-filter": "GATK's hard filters, the declared fallback: no model was trained",
}
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.2rem .7rem;border-bottom:1px solid #ccc;"
    "text-align:right}td:first-child,th:first-child{text-align:left}caption{text-align:left;color:#555}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    json: Path
    html: Path


def document(
    *,
    freeze: str,
    reference: ReferenceId,
    counts: PanelCounts,
    decisions: Sequence[FilterDecision],
    provenance: Provenance,
    gene_model: bool,
) -> dict[str, Any]:
    """The report as a JSON-ready document. `gene_model` says whether consequences could be told at all."""
    return {
        "freeze": freeze,
        "reference": {"name": reference.name, "digest": reference.digest},
        "summary": counts.summary().model_dump(mode="json"),
        "multiallelic": counts.multiallelic,
        "filtering": [{**one.model_dump(mode="json"), "says": _METHODS[one.method]} for one in decisions],
        "filters": _falling(counts.filters.items()),
        "contigs": dict(counts.contigs),
        "annotation": {
            "tool": provenance.tool,
            "version": provenance.version,
            "parameters": provenance.parameters,
            "gene_model": gene_model,
        },
        "consequences": _falling(counts.consequences.items()),
        "samples": [_sample(one) for one in counts.samples],
    }


def write(report: dict[str, Any], out_dir: Path) -> Report:
    """Write `report.json` and `report.html` (one file, nothing loaded from elsewhere)."""
    out_dir.mkdir(parents=True, exist_ok=True)
    written = Report(json=out_dir / "report.json", html=out_dir / "report.html")
    written.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    written.html.write_text(html(report), encoding="utf-8")
    return written


def html(report: dict[str, Any]) -> str:
    """The document as a page."""
    title = f"Panel {report['freeze']}"
    summary = report["summary"]
    annotation = report["annotation"]
    told = (
        f"{annotation['tool']} {annotation['version']}, each variant on its own; ALT alleles of passed records by "
        "their most severe consequence"
        if annotation["gene_model"]
        else "None: the reference bundle has no gene model."
    )
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Reference {escape(report['reference']['name'])} ({escape(report['reference']['digest'])})</p>",
        "<h2>Figures</h2>",
        _table(("", ""), [(name.replace("_", " "), _shown(value)) for name, value in summary.items()]),
        "<h2>How it was filtered</h2>",
        _table(
            ("variants", "method", "rule", "could be trained on", "annotations", "left out"),
            [
                (
                    one["variant_type"],
                    one["says"],
                    one["rule"],
                    _shown(one["training_variants"]),
                    ", ".join(one["annotations"]) or "none",
                    ", ".join(one["dropped_annotations"]) or "none",
                )
                for one in report["filtering"]
            ],
        ),
        _table(("FILTER", "records"), [(name, _shown(value)) for name, value in report["filters"].items()]),
        "<h2>Records by contig</h2>",
        _table(("contig", "records"), [(name, _shown(value)) for name, value in report["contigs"].items()]),
        "<h2>Consequences</h2>",
        f"<p>{escape(told)}</p>",
        _table(("consequence", "alleles"), [(name, _shown(value)) for name, value in report["consequences"].items()]),
        "<h2>Samples</h2>",
        "<p>Genotypes of records that passed; depth over all records.</p>",
        _table(
            tuple(name.replace("_", " ") for name in report["samples"][0]),
            [tuple(_shown(value) for value in one.values()) for one in report["samples"]],
        ),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _sample(one: SampleCounts) -> dict[str, Any]:
    return {
        "sample": one.name,
        "called": one.called,
        "missing": one.missing,
        "heterozygous": one.heterozygous,
        "homozygous": one.homozygous,
        "snps": one.snps,
        "indels": one.indels,
        "singletons": one.singletons,
        "ti_tv": _rounded(one.ti_tv),
        "het_hom": _rounded(one.het_hom),
        "mean_depth": _rounded(one.mean_depth),
    }


def _falling(items: Iterable[tuple[str, int]]) -> dict[str, int]:
    return dict(sorted(items, key=lambda item: (-item[1], item[0])))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    heading = line(head, "th") if any(head) else ""
    return f"<table>{heading}{''.join(line(row, 'td') for row in rows)}</table>"


def _shown(value: Any) -> str:
    match value:
        case None:
            return "–"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.3f}"
        case _:
            return str(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
