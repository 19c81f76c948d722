"""VCF records of a called stretch, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, isinf, isnan

import numpy as np

from services.jointcall.columnar.genotype import columns, measures
from services.jointcall.columnar.genotype.model import CONFIDENCE
from services.jointcall.columnar.genotype.numbers import fixed, general, quality
from services.jointcall.columnar.genotype.sites import REFERENCE_ONLY, TURNED_OUT, VARIANT, Called
from services.jointcall.columnar.genotype.stretch import Stretch
from services.jointcall.columnar.tables import ABSENT, RANKED, Ints
from services.jointcall.engines.jitter import HIGH_QD, drawn


def lines(stretch: Stretch, *, contig: str, samples: int, sites_only: bool = False) -> Iterator[bytes]:
    """Records without their line ends, by position."""
    called = stretch.called
    room = np.full(samples, ABSENT, np.int32)
    text = np.frombuffer(b"".join(stretch.strings) or b" ", np.uint8)
    text_rows = np.zeros(len(stretch.strings) + 1, np.int64)
    np.cumsum([len(one) for one in stretch.strings], out=text_rows[1:])
    buffer = np.empty(1 << 16, np.uint8)
    for place, site in enumerate(stretch.written):
        begin, end = stretch.alleles.rows[site], stretch.alleles.rows[site + 1]
        code = stretch.alleles.code[begin:end]
        kept = np.flatnonzero(called.allele_kept[begin:end]).astype(np.int32)
        head = _head(stretch, int(site), contig, kept)
        if sites_only:
            yield head
            continue
        if called.written[site] in (REFERENCE_ONLY, TURNED_OUT):
            if 64 * samples > len(buffer):
                buffer = np.empty(128 * samples, np.uint8)
            length, fields = columns.write_reference(
                buffer, site, place, stretch.cells, called, stretch.records, stretch.dense, room
            )
            yield b"%s\t%s%s" % (head, b"GT:DP:RGQ" if fields else b"GT", buffer[:length].tobytes())
            continue
        keys = columns.layout(site, place, stretch.cells, called, stretch.records, stretch.dense)
        need = columns.longest(site, stretch.cells, stretch.records, samples, len(kept), text_rows)
        if need > len(buffer):
            buffer = np.empty(2 * need, np.uint8)
        length = columns.write(
            buffer,
            site,
            place,
            code,
            kept,
            keys,
            stretch.cells,
            called,
            stretch.shape,
            stretch.shapes,
            stretch.star,
            stretch.records,
            stretch.dense,
            text,
            text_rows,
            room,
        )
        names = ":".join(("GT", *(name for bit, name in columns.KEYS if keys & bit)))
        yield b"%s\t%s%s" % (head, names.encode(), buffer[:length].tobytes())


def _head(stretch: Stretch, site: int, contig: str, kept: Ints) -> bytes:
    begin = stretch.alleles.rows[site]
    position = int(stretch.positions[site])
    if stretch.called.written[site] != VARIANT:
        ref = stretch.strings[stretch.alleles.code[begin]]
        return _reference(stretch.called, site, contig, position, ref.decode())
    texts = [stretch.strings[stretch.alleles.code[begin + at]] for at in kept]
    alleles = trimmed([one.decode() for one in texts])
    qual = float(stretch.called.qual[site])
    fields = _fields(stretch.called, site, [int(begin + at) for at in kept[1:]])
    fields["QD"] = _qd(stretch.called, site, contig, position, alleles)
    about = ";".join(f"{key}={value}" for key, value in sorted(fields.items()) if value)
    ids = "."
    row = (
        contig,
        str(position),
        ids,
        alleles[0],
        ",".join(alleles[1:]),
        quality(qual),
        "LowQual" if qual < CONFIDENCE else ".",
        about,
    )
    return "\t".join(row).encode()


def _reference(called: Called, site: int, contig: str, position: int, ref: str) -> bytes:
    """Of a site that has no ALT in the end: QUAL where a model was run, DP where there are reads."""
    sure = float(called.qual[site])
    qual = "." if isnan(sure) else "Infinity" if sure == inf else quality(sure)
    low = "LowQual" if sure < CONFIDENCE else "."
    fields = {"DP": str(int(called.depth[site]))} if called.depth[site] else {}
    if called.written[site] == TURNED_OUT:
        fields |= {"MLEAC": ".", "MLEAF": "."} | _medians(called, site)
    about = ";".join(f"{key}={value}" for key, value in sorted(fields.items())) or "."
    return "\t".join((contig, str(position), ".", ref, ".", qual, low, about)).encode()


def _fields(called: Called, site: int, alts: list[int]) -> dict[str, str]:
    number = int(called.number[site])
    mle = [int(called.allele_mle[at]) for at in alts]
    counts = [int(called.allele_count[at]) for at in alts]
    fields = {
        "AC": ",".join(str(one) for one in counts),
        "AF": ",".join(general(one / number if number else 0.0) for one in counts),
        "AN": str(number),
        "DP": str(int(called.depth[site])),
        "MLEAC": ",".join(str(one) for one in mle),
        "MLEAF": ",".join(general(min(1.0, one / number) if number else float("nan")) for one in mle),
    }
    fields |= _medians(called, site)
    strand = called.strand[site]
    if strand[4:].any():
        a, b, c, d = (int(one) for one in strand[:4])
        fields["FS"] = fixed(measures.fisher_strand(a, b, c, d), 3)
        a, b, c, d = (int(one) for one in strand[4:])
        fields["SOR"] = fixed(measures.strand_odds_ratio(a, b, c, d), 3)
    if not isnan(called.excess_het[site]):
        fields["ExcessHet"] = fixed(float(called.excess_het[site]), 4)
    if not isinf(called.inbreeding[site]):
        fields["InbreedingCoeff"] = fixed(float(called.inbreeding[site]), 4)
    return fields


def _medians(called: Called, site: int) -> dict[str, str]:
    """What is put together from the samples' own INFO. MQ from its raw sums where there are any."""
    fields = {}
    for place, name in enumerate(RANKED):
        value = float(str(called.ranked[site, place]))  # the shortest decimal of the float32
        if not isnan(value):
            fields[name] = str(int(value)) if name == "MQ0" else general(value)
    if called.squares[site, 1] != ABSENT:
        fields["MQ"] = fixed(measures.rms(*called.squares[site]), 2)
    return fields


def _qd(called: Called, site: int, contig: str, position: int, alleles: list[str]) -> str:
    depth = int(called.qd_depth[site])
    if depth == 0:
        return ""
    raw = float(called.qual[site]) / depth
    if raw >= HIGH_QD:
        raw = drawn("\t".join((contig, str(position), alleles[0], ",".join(alleles[1:]))).encode())
    return fixed(raw, 2)


def trimmed(alleles: list[str]) -> list[str]:
    """Without the suffix that REF and all ALTs but `*` have in common; each keeps a base."""
    real = [one for one in alleles if one != "*"]
    most = min(len(one) for one in real) - 1
    common = 0
    while common < most and len({one[-1 - common] for one in real}) == 1:
        common += 1
    return [one if one == "*" or common == 0 else one[:-common] for one in alleles]
