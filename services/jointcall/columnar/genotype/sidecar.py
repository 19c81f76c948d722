"""Carriers of alleles that the joint calls do not show: a table of what samples were called with and lost.

A sample whose own record has an ALT that its site does not keep is a confident 0/0 in the joint VCF, or has another
genotype; of a site that is not written at all nothing is to be seen. Nobody finds such a carrier in the VCF, so each is
a line here, once for each such ALT of its genotype, in the order of sites and samples:

| column | what |
|---|---|
| #CHROM, POS, REF, ALT | the ALT that is not shown; `*` is a deletion that reaches over from upstream |
| WHY | ALLELE: the site is written without this ALT; SITE: it is not, or only as one without ALTs; NO_PL: see below |
| SAMPLE | its name |
| SHOWN | its GT in the joint VCF; `.` without a site |
| RECORD | REF and ALTs of its own record, which the rest refers to |
| GT, GQ, DP, AD, PL | of its own record; `.` where it has none |

Tab-separated in BGZF, so that tabix can index it (`tabix -s 1 -b 2 -e 2`). A deletion is told at its own site alone,
not at those that it reaches over. Most lines of WHY=SITE are noise, called at a GQ of a few phred and made up for by
the cohort: filter by GQ. Those of WHY=NO_PL are not: nobody gets the site, since a sample, this or another one, is
called with an ALT and has no PL (`left_out`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype.assigning import BARE, UNPHASED
from services.jointcall.columnar.genotype.bgzf import BgzfWriter
from services.jointcall.columnar.genotype.cells import Alleles, Cells
from services.jointcall.columnar.genotype.explicit import ALTS, ONE, START, TWO, Records
from services.jointcall.columnar.genotype.records import trimmed
from services.jointcall.columnar.genotype.shapes import Shapes
from services.jointcall.columnar.genotype.sites import LEFT_OUT, NOT_WRITTEN, VARIANT
from services.jointcall.columnar.genotype.stretch import Stretch
from services.jointcall.columnar.tables import ABSENT, PHASED, Bytes, Ints, Variants

COLUMNS = ("#CHROM", "POS", "REF", "ALT", "WHY", "SAMPLE", "SHOWN", "RECORD", "GT", "GQ", "DP", "AD", "PL")
OF_ALLELE, OF_SITE, OF_LEFT_OUT = "ALLELE", "SITE", "NO_PL"


class SidecarWriter:
    """Writes to `out`; leaving the `with` by an exception removes the file."""

    def __init__(self, *, samples: Sequence[str], out: Path) -> None:
        self._samples = tuple(samples)
        self._writer = BgzfWriter(out)
        self.lines = 0

    def __enter__(self) -> SidecarWriter:
        self._writer.__enter__()
        self._writer.write("\t".join(COLUMNS).encode() + b"\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def add(self, contig: str, stretch: Stretch) -> None:
        for line in dropped(stretch, contig=contig, samples=self._samples):
            self._writer.write(line + b"\n")
            self.lines += 1

    def passed(self, stretches: Iterable[tuple[str, Stretch]]) -> Iterator[tuple[str, Stretch]]:
        """The same (contig, stretch) again, for another writer, each when it has been added here."""
        for contig, stretch in stretches:
            self.add(contig, stretch)
            yield contig, stretch


def write_sidecar(stretches: Iterable[tuple[str, Stretch]], *, samples: Sequence[str], out: Path) -> int:
    """Write the lines of (contig, stretch) in order; returns how many there are. Raises OSError, and then there is no
    file. Stretches need not be `want_dense`."""
    with SidecarWriter(samples=samples, out=out) as writer:
        for contig, stretch in stretches:
            writer.add(contig, stretch)
    return writer.lines


def dropped(stretch: Stretch, *, contig: str, samples: Sequence[str]) -> Iterator[bytes]:
    """Lines without their ends, by site, then sample, then ALT."""
    called, variants, strings = stretch.called, stretch.variants, stretch.strings
    sites, cells, codes = _dropped(
        stretch.positions, stretch.alleles, stretch.cells, stretch.shape, stretch.shapes, stretch.records,
        called.written == VARIANT, called.allele_kept,
    )  # fmt: skip
    ref_at = stretch.alleles.code[stretch.alleles.rows[sites]]
    before, own = -1, b""
    for site, cell, code, ref in zip(sites.tolist(), cells.tolist(), codes.tolist(), ref_at.tolist(), strict=True):
        row = int(stretch.cells.row[cell])
        if cell != before:
            before, own = cell, _record(strings, variants, row)
        head = trimmed([strings[ref].decode(), strings[code].decode()])
        kind = called.written[site]
        ploidy = int(variants.ploidy[row])
        shown = "."
        if kind == VARIANT:
            barred = variants.flags[row] & PHASED and not called.state[cell] & (UNPHASED | BARE)
            shown = _genotype(called.gt[cell, :ploidy].tolist(), "|" if barred else "/")
        elif kind not in (NOT_WRITTEN, LEFT_OUT):
            sure = variants.gq[row] > 0 and variants.dp[row] > 0
            shown = _genotype([0 if sure else ABSENT] * ploidy, "/")
        why = OF_ALLELE if kind == VARIANT else OF_LEFT_OUT if kind == LEFT_OUT else OF_SITE
        about = (contig, str(stretch.positions[site]), *head, why, samples[stretch.cells.sample[cell]], shown)
        yield b"%s\t%s" % ("\t".join(about).encode(), own)


@compiled
def _dropped(
    positions: Ints,
    alleles: Alleles,
    found: Cells,
    shape: Ints,
    shapes: Shapes,
    records: Records,
    is_variant: NDArray[np.bool_],
    allele_kept: Bytes,
) -> tuple[Ints, Ints, Ints]:
    """Site, cell and the ALT's code of each ALT that a record which starts at the site is called with and that the
    site does not keep."""
    at = 0
    sites, cells, codes = np.empty(64, np.int32), np.empty(64, np.int32), np.empty(64, np.int32)
    for site in range(len(positions)):
        begin, end = alleles.rows[site], alleles.rows[site + 1]
        for cell in range(found.rows[site], found.rows[site + 1]):
            row = found.row[cell]
            if records.figures[row, START] != positions[site]:
                continue
            one, two = records.figures[row, ONE], records.figures[row, TWO]
            for mine in range(1, records.figures[row, ALTS] + 1):
                if mine != one and mine != two:
                    continue
                code = shapes.extended[shapes.rows[shape[row]] + mine - 1]
                kept = False
                for k in range(begin, end):
                    kept |= is_variant[site] and allele_kept[k] != 0 and alleles.code[k] == code
                if kept:
                    continue
                if at == len(sites):
                    sites = np.concatenate((sites, np.empty(at, np.int32)))
                    cells = np.concatenate((cells, np.empty(at, np.int32)))
                    codes = np.concatenate((codes, np.empty(at, np.int32)))
                sites[at], cells[at], codes[at] = site, cell, code
                at += 1
    return sites[:at], cells[:at], codes[:at]


def _record(strings: Sequence[bytes], variants: Variants, row: int) -> bytes:
    """Columns from RECORD on."""
    alts = [strings[code].decode() for code in variants.alt[variants.alt_rows[row] : variants.alt_rows[row + 1]]]
    bar = "|" if variants.flags[row] & PHASED else "/"
    columns = (
        f"{strings[variants.ref[row]].decode()}>{','.join([*alts, '<NON_REF>'])}",
        _genotype(variants.gt[row, : variants.ploidy[row]].tolist(), bar),
        *("." if value == ABSENT else str(value) for value in (variants.gq[row], variants.dp[row])),
        _list(variants.ad[variants.ad_rows[row] : variants.ad_rows[row + 1]]),
        _list(variants.pl[variants.pl_rows[row] : variants.pl_rows[row + 1]]),
    )
    return "\t".join(columns).encode()


def _genotype(alleles: Sequence[int], bar: str) -> str:
    return bar.join("." if one < 0 else str(one) for one in alleles)


def _list(values: Ints) -> str:
    return ",".join(map(str, values.tolist())) or "."
