"""Called stretches into VCF files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from services.jointcall.columnar.genotype.bgzf import LEVEL, BgzfWriter
from services.jointcall.columnar.genotype.header import header
from services.jointcall.columnar.genotype.records import lines
from services.jointcall.columnar.genotype.stretch import Stretch

SITES_COLUMNS = 8


def write_vcf(
    stretches: Iterable[tuple[str, Stretch]],
    *,
    contigs: Iterable[tuple[str, int]],
    samples: Sequence[str],
    out: Path | None,
    sites: Path | None = None,
    level: int = LEVEL,
) -> int:
    """Write (contig, stretch) in order to `out` and their first eight columns to `sites`, each where it is given, as
    BGZF without an index. Returns how many records there are."""
    contigs = tuple(contigs)
    records = 0
    with ExitStack() as stack:
        full = stack.enter_context(BgzfWriter(out, level=level)) if out else None
        short = stack.enter_context(BgzfWriter(sites, level=level)) if sites else None
        if full:
            full.write(b"\n".join(header(contigs=contigs, samples=samples)) + b"\n")
        if short:
            short.write(b"\n".join(header(contigs=contigs, samples=())) + b"\n")
        for contig, stretch in stretches:
            for line in lines(stretch, contig=contig, samples=len(samples), sites_only=full is None):
                records += 1
                if full:
                    full.write(line + b"\n")
                if short:
                    short.write(b"\t".join(line.split(b"\t", SITES_COLUMNS)[:SITES_COLUMNS]) + b"\n")
    return records
