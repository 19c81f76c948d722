"""The real gVCFs of chromosome 22, moved to a contig of 210 kb: what lies before them is 10 Mb of nothing to index."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.jointcall.engines.protocol import GvcfInput
from tests.services.jointcall.engines.written import bgzip
from tests.support.site import ROOT

REAL = ROOT / "tests" / "data" / "1kg_chr22_gvcf"
BEFORE = 10_510_000
LENGTH = 210_000
CONTIG = "chr22part"
_END = re.compile(r"END=(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cropped:
    fasta: Path
    gvcfs: tuple[GvcfInput, ...]


def crop(folder: Path, *, samples: int) -> Cropped:
    with gzip.open(REAL / "chr22.known-bases.fa.gz", "rt") as lines:
        bases = "".join(line.strip() for line in lines if not line.startswith(">"))
    fasta = folder / "reference.fa"
    fasta.write_text(f">{CONTIG}\n{bases[BEFORE : BEFORE + LENGTH]}\n")
    sources = sorted(REAL.glob("*.g.vcf.gz"))[:samples]
    return Cropped(fasta=fasta, gvcfs=tuple(_moved(source, folder) for source in sources))


def _moved(source: Path, folder: Path) -> GvcfInput:
    with gzip.open(source, "rt") as lines:
        text = "".join(_lines(lines))
    return bgzip(folder / source.name, text.encode(), name=source.name.split(".")[0])


def _lines(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line.startswith("#"):
            if not line.startswith("##contig="):
                yield line
            elif "<ID=chr22," in line:
                yield f"##contig=<ID={CONTIG},length={LENGTH}>\n"
            continue
        columns = line.split("\t")
        at = int(columns[1]) - BEFORE
        if 1 <= at <= LENGTH:
            columns[0], columns[1] = CONTIG, str(at)
            columns[7] = _END.sub(lambda end: f"END={min(int(end[1]) - BEFORE, LENGTH)}", columns[7])
            yield "\t".join(columns)
