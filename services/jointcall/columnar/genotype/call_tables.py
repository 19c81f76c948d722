"""A called stretch as Arrow columns: its written sites, and the cells of samples that have something of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from services.jointcall.columnar.compiled import compiled
from services.jointcall.columnar.genotype import measures
from services.jointcall.columnar.genotype.assigning import BARE, UNCALLED, UNPHASED
from services.jointcall.columnar.genotype.cells import MOST_ALLELES, MOST_GENOTYPES, Alleles, Cells, local_alleles
from services.jointcall.columnar.genotype.explicit import PLOIDY, Records
from services.jointcall.columnar.genotype.records import trimmed
from services.jointcall.columnar.genotype.shapes import STAR, Shapes
from services.jointcall.columnar.genotype.sites import TURNED_OUT, VARIANT, Called
from services.jointcall.columnar.genotype.stretch import Stretch
from services.jointcall.columnar.tables import ABSENT, PHASED, RANKED, Bytes, Ints, Longs
from services.jointcall.engines.jitter import HIGH_QD, drawn

# bits of a call's flags above those of Called.state
OF_BLOCK = 16
UPSTREAM = 32

SITES = pa.schema(
    [
        ("contig", pa.string()),
        ("position", pa.int32()),
        ("kind", pa.uint8()),
        ("ref", pa.string()),
        ("alts", pa.list_(pa.string())),
        ("qual", pa.float64()),
        ("AC", pa.list_(pa.int32())),
        ("AF", pa.list_(pa.float64())),
        ("AN", pa.int32()),
        ("BaseQRankSum", pa.float32()),
        ("ClippingRankSum", pa.float32()),
        ("DP", pa.int64()),
        ("ExcessHet", pa.float64()),
        ("median_ExcessHet", pa.float32()),
        ("FS", pa.float64()),
        ("InbreedingCoeff", pa.float64()),
        ("MLEAC", pa.list_(pa.int32())),
        ("MLEAF", pa.list_(pa.float64())),
        ("MQ", pa.float64()),
        ("MQ0", pa.float32()),
        ("MQRankSum", pa.float32()),
        ("QD", pa.float64()),
        ("ReadPosRankSum", pa.float32()),
        ("SOR", pa.float64()),
        ("qd_depth", pa.int64()),
        ("block_alleles", pa.int32()),
        ("near_stop", pa.bool_()),
    ]
)
CALLS = pa.schema(
    [
        ("site", pa.uint32()),
        ("position", pa.int32()),
        ("sample", pa.int32()),
        ("ploidy", pa.uint8()),
        ("allele_1", pa.int8()),
        ("allele_2", pa.int8()),
        ("phased", pa.bool_()),
        ("gq", pa.int32()),
        ("dp", pa.int32()),
        ("ad", pa.list_(pa.int32())),
        ("pl", pa.list_(pa.int32())),
        ("pgt", pa.string()),
        ("pid", pa.string()),
        ("ps", pa.int32()),
        ("flags", pa.uint8()),
    ]
)
Column = NDArray[Any]
Doubles = NDArray[np.float64]


def sites_of(stretch: Stretch, written: Longs, *, contig: str) -> list[Any]:
    """Columns of SITES for the sites at the places `written`."""
    called = stretch.called
    kind = called.written[written]
    is_variant = kind == VARIANT
    position = stretch.positions[written]
    ref, alts, at = _alleles(stretch, written)
    number = called.number[written]
    counts, mle = called.allele_count[at], called.allele_mle[at]
    by_alt = np.diff(alts.offsets.to_numpy())
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.repeat(number, by_alt)
        frequency = np.where(each > 0, counts / each, 0.0)
        mle_frequency = np.where(each > 0, np.minimum(1.0, mle / each), np.nan)
    stranded, fs, sor = _strands(called.strand[written].astype(np.int64))
    has_medians = is_variant | (kind == TURNED_OUT)
    medians = called.ranked[written]
    columns = {
        name: _masked(medians[:, place], has_medians & ~np.isnan(medians[:, place]))
        for place, name in enumerate(RANKED)
    }
    columns["median_ExcessHet"] = columns["ExcessHet"]
    columns |= {
        "contig": pa.repeat(pa.scalar(contig, pa.string()), len(written)),
        "position": pa.array(position),
        "kind": pa.array(kind),
        "ref": ref,
        "alts": alts,
        "qual": _known(called.qual[written]),
        "AC": pa.ListArray.from_arrays(alts.offsets, pa.array(counts)),
        "AF": pa.ListArray.from_arrays(alts.offsets, pa.array(frequency)),
        "AN": _masked(number, is_variant),
        "DP": pa.array(called.depth[written]),
        "ExcessHet": _known(called.excess_het[written]),
        "FS": _masked(fs, is_variant & stranded),
        "InbreedingCoeff": _masked(called.inbreeding[written], is_variant & ~np.isinf(called.inbreeding[written])),
        "MLEAC": pa.ListArray.from_arrays(alts.offsets, pa.array(mle)),
        "MLEAF": pa.ListArray.from_arrays(alts.offsets, pa.array(mle_frequency)),
        "MQ": _mq(called, written, medians[:, RANKED.index("MQ")], has_medians),
        "QD": _qd(called, written, position, contig, is_variant, ref, alts),
        "SOR": _masked(sor, is_variant & stranded),
        "qd_depth": pa.array(called.qd_depth[written]),
        "block_alleles": _masked(number - _alleles_in_cells(called, stretch.cells, written), is_variant),
        "near_stop": pa.array(called.near_stop[written].astype(bool)),
    }
    return [columns[name] for name in SITES.names]


def calls_of(stretch: Stretch, written: Longs, *, first_site: int) -> list[Any]:
    """Columns of CALLS for the cells of the sites at the places `written`, the first of which is row `first_site`."""
    called, variants, found = stretch.called, stretch.variants, stretch.cells
    begins = found.rows[written]
    counts = found.rows[written + 1] - begins
    which = np.repeat(np.arange(len(written), dtype=np.int64), counts)
    cell = np.repeat(begins - np.cumsum(counts) + counts, counts) + np.arange(len(which))
    row = found.row[cell]
    position = stretch.positions[written][which]
    ploidy = variants.ploidy[row]
    start = variants.start[row]
    flags = called.state[cell] | np.where(start == ABSENT, OF_BLOCK, np.where(start < position, UPSTREAM, 0))
    said = np.where(variants.min_dp[row] != ABSENT, variants.min_dp[row], variants.dp[row])
    gt, gq = called.gt[cell], called.gq[cell]
    fields = flags & BARE == 0
    kind = called.written[written][which]
    plain = kind != VARIANT
    if plain.any():
        # sites without an ALT: columns.write_reference
        said = np.where(kind == TURNED_OUT, variants.dp[row], said)
        own = variants.gq[row]
        sure = (said > 0) & (own > 0)
        gt = np.where(plain[:, None], np.where(sure, 0, ABSENT)[:, None], gt).astype(np.int8)
        gt[plain & (ploidy == 1), 1] = ABSENT
        gq = np.where(plain, own, gq)
        fields = np.where(plain, (said > 0) & (own != ABSENT), fields)
        bare = np.where(fields, 0, BARE) | np.where(sure, 0, UNCALLED)
        flags = np.where(plain, flags & (OF_BLOCK | UPSTREAM) | bare, flags)
    kept, kept_rows = _kept(stretch, written)
    width = np.diff(kept_rows)[which]
    full = fields & ~plain
    own_ad = variants.ad_rows[row + 1] > variants.ad_rows[row]
    ad_each = np.where(full & (own_ad | (said > 0)), width, 0)
    has_pl = full & (variants.pl_rows[row + 1] > variants.pl_rows[row])
    pl_each = np.where(has_pl, np.where(ploidy == 1, width, width * (width + 1) // 2), 0)
    ad_rows, pl_rows = _offsets(ad_each), _offsets(pl_each)
    ad, pl = _lists(
        written, found, stretch.alleles, kept, kept_rows, ad_rows, pl_rows, stretch.shape, stretch.shapes,
        stretch.star, stretch.records, np.where(variants.min_dp != ABSENT, variants.min_dp, variants.dp),
    )  # fmt: skip
    twice = (gt[:, 0] > 0) & (gt[:, 0] == gt[:, 1])
    barred = (variants.flags[row] & PHASED != 0) & (called.state[cell] & (UNPHASED | BARE) == 0)
    columns = {
        "site": pa.array((which + first_site).astype(np.uint32)),
        "position": pa.array(position),
        "sample": pa.array(found.sample[cell]),
        "ploidy": pa.array(ploidy),
        "allele_1": _masked(gt[:, 0], gt[:, 0] >= 0),
        "allele_2": _masked(gt[:, 1], gt[:, 1] >= 0),
        "phased": pa.array(barred & (ploidy == 2) & ~plain),
        "gq": _masked(gq, fields & (gq != ABSENT)),
        "dp": _masked(said, fields & (said != ABSENT)),
        "ad": _list(ad_rows, ad),
        "pl": _list(pl_rows, pl),
        "pgt": _texts(stretch.strings, np.where(full, variants.pgt[row], ABSENT), twice),
        "pid": _texts(stretch.strings, np.where(full, variants.pid[row], ABSENT)),
        "ps": _masked(variants.ps[row], full & (variants.ps[row] != ABSENT)),
        "flags": pa.array(flags.astype(np.uint8)),
    }
    return [columns[name] for name in CALLS.names]


@compiled
def _lists(
    written: Longs,
    found: Cells,
    alleles: Alleles,
    kept: Ints,
    kept_rows: Longs,
    ad_rows: Ints,
    pl_rows: Ints,
    shape: Ints,
    shapes: Shapes,
    star: Ints,
    records: Records,
    depth: Ints,
) -> tuple[Ints, Ints]:
    """AD and PL in the kept alleles, one cell behind the other, where `ad_rows` and `pl_rows` have room for them."""
    ad = np.zeros(ad_rows[-1], np.int32)
    pl = np.empty(pl_rows[-1], np.int32)
    local = np.empty(MOST_ALLELES + 1, np.int16)
    of_genotype = np.empty(MOST_GENOTYPES, np.int64)  # where a genotype's likelihood stands in the record's own
    at = 0
    for i in range(len(written)):
        site = written[i]
        code = alleles.code[alleles.rows[site] : alleles.rows[site + 1]]
        mine = kept[kept_rows[i] : kept_rows[i + 1]]
        seen_shape, seen_star, seen_ploidy = -2, -2, -2
        for cell in range(found.rows[site], found.rows[site + 1]):
            row = found.row[cell]
            a, p = ad_rows[at], pl_rows[at]
            genotypes = pl_rows[at + 1] - p
            at += 1
            if ad_rows[at] == a and genotypes == 0:
                continue
            which, gone, ploidy = int(shape[row]), int(star[row]), int(records.figures[row, PLOIDY])
            # neighbours have the same alleles nearly always
            if which != seen_shape or gone != seen_star or ploidy != seen_ploidy:
                seen_shape, seen_star, seen_ploidy = which, gone, ploidy
                local_alleles(local, code, site, which, gone, shapes, records, row)
                _place(of_genotype, local, mine, ploidy)
            if genotypes:
                begin = records.pl_rows[row]
                best = np.int32(0x7FFFFFFF)
                for g in range(genotypes):
                    pl[p + g] = records.pl[begin + of_genotype[g]]
                    best = min(best, pl[p + g])
                for g in range(genotypes):
                    pl[p + g] -= best
            if ad_rows[at] > a:
                begin = records.ad_rows[row]
                if records.ad_rows[row + 1] > begin:
                    for k in range(len(mine)):
                        ad[a + k] = records.ad[begin + local[mine[k]]]
                else:
                    ad[a] = depth[row]
    return ad, pl


@compiled
def _place(out: Longs, local: NDArray[np.int16], mine: Ints, ploidy: int) -> None:
    g = 0
    for j in range(len(mine)):
        b = np.int64(local[mine[j]])
        if ploidy == 1:
            out[g] = b
            g += 1
            continue
        for i in range(j + 1):
            a = np.int64(local[mine[i]])
            out[g] = max(a, b) * (max(a, b) + 1) // 2 + min(a, b)
            g += 1


@compiled
def _strands(strand: Longs) -> tuple[Bytes, Doubles, Doubles]:
    """Whether there are reads at all, FS and SOR of each site."""
    n = len(strand)
    there, fs, sor = np.zeros(n, np.bool_), np.zeros(n), np.zeros(n)
    for i in range(n):
        s = strand[i]
        there[i] = s[4] + s[5] + s[6] + s[7] > 0
        if there[i]:
            fs[i] = measures.fisher_strand(s[0], s[1], s[2], s[3])
            sor[i] = measures.strand_odds_ratio(s[4], s[5], s[6], s[7])
    return there, fs, sor


def _kept(stretch: Stretch, written: Longs) -> tuple[Ints, Longs]:
    """Places, among its site's alleles, of those that are written, REF first; those of site i at `rows[i:i + 2]`."""
    alleles, called = stretch.alleles, stretch.called
    begins = alleles.rows[written]
    counts = alleles.rows[written + 1] - begins
    which = np.repeat(np.arange(len(written)), counts)
    place = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    is_kept = (called.allele_kept[begins[which] + place] != 0) & (called.written[written][which] == VARIANT)
    is_kept |= place == 0
    rows = np.zeros(len(written) + 1, np.int64)
    np.cumsum(np.bincount(which[is_kept], minlength=len(written)), out=rows[1:])
    return place[is_kept].astype(np.int32), rows


def _alleles(stretch: Stretch, written: Longs) -> tuple[Any, Any, Longs]:
    """REF, the list of ALTs, and where the ALTs stand in Alleles.code."""
    kept, rows = _kept(stretch, written)
    at = np.repeat(stretch.alleles.rows[written], np.diff(rows)) + kept
    code = stretch.alleles.code[at]
    used = np.unique(code)
    texts = [stretch.strings[one].decode() for one in used.tolist()]
    text = np.searchsorted(used, code)
    # what all but `*` end with can go only where each has more than a base
    length = np.array([len(one) for one in texts], np.int64)[text]
    length[code == STAR] = np.iinfo(np.int64).max
    is_variant = stretch.called.written[written] == VARIANT
    for i in np.flatnonzero((np.minimum.reduceat(length, rows[:-1]) > 1) & is_variant).tolist():
        here = slice(rows[i], rows[i + 1])
        text[here] = np.arange(len(texts), len(texts) + rows[i + 1] - rows[i])
        texts += trimmed([stretch.strings[one].decode() for one in code[here].tolist()])
    every = pa.array(texts, pa.string())
    first = np.zeros(len(kept), bool)
    first[rows[:-1]] = True
    offsets = (rows - np.arange(len(rows))).astype(np.int32)
    alts = pa.ListArray.from_arrays(pa.array(offsets), every.take(pa.array(text[~first])))
    return every.take(pa.array(text[first])), alts, at[~first]


def _alleles_in_cells(called: Called, found: Cells, written: Longs) -> Longs:
    """How many alleles are called in the cells of each site."""
    before = np.zeros(len(found.row) + 1, np.int64)
    np.cumsum((called.gt >= 0).sum(axis=1), out=before[1:])
    behind: Longs = before[found.rows[written + 1]]
    return behind - before[found.rows[written]]


def _mq(called: Called, written: Longs, median: Column, has_medians: Column) -> Any:
    """From the raw sums where there are any; of no reads it is NaN."""
    total, depth = called.squares[written].T
    rms = np.where(depth > 0, np.sqrt(np.maximum(total, 0) / np.maximum(depth, 1)), np.nan)
    raw = depth != ABSENT
    return _masked(np.where(raw, rms, median.astype(np.float64)), has_medians & (raw | ~np.isnan(median)))


def _qd(called: Called, written: Longs, position: Ints, contig: str, is_variant: Column, ref: Any, alts: Any) -> Any:
    depth = called.qd_depth[written]
    there = is_variant & (depth > 0)
    ratio = np.where(there, called.qual[written] / np.maximum(depth, 1), 0.0)
    for i in np.flatnonzero(there & (ratio >= HIGH_QD)).tolist():
        seed = "\t".join((contig, str(position[i]), ref[i].as_py(), ",".join(alts[i].as_py())))
        ratio[i] = drawn(seed.encode())
    return _masked(ratio, there)


def _known(values: Column) -> Any:
    return _masked(values, ~np.isnan(values))


def _masked(values: Column, there: Column) -> Any:
    return pa.array(np.ascontiguousarray(values), mask=~there)


def _offsets(each: Longs) -> Ints:
    total = np.zeros(len(each) + 1, np.int64)
    np.cumsum(each, out=total[1:])
    if total[-1] >= np.iinfo(np.int32).max:
        raise ArithmeticError("too many values for one Arrow column; genotype a smaller stretch")
    return total.astype(np.int32)


def _list(rows: Ints, values: Ints) -> Any:
    """Lists; an empty one is none."""
    none = np.append(np.diff(rows) == 0, False)
    return pa.ListArray.from_arrays(pa.array(rows, mask=none), pa.array(values))


def _texts(strings: Sequence[bytes], codes: Ints, changed: Column | None = None) -> Any:
    """What `codes` name. Where `changed`, with both alleles of a PGT called."""
    there = np.flatnonzero(codes >= 0)
    used, text = np.unique(codes[there], return_inverse=True)
    texts = [strings[code].decode() for code in used.tolist()]
    if changed is not None:
        texts += [f"{one[:-3]}1{one[-2:-1]}1" for one in texts]
        text = text + np.where(changed[there], len(used), 0)
    place = np.zeros(len(codes), np.int32)
    place[there] = text
    return pa.array([*texts, ""], pa.string()).take(pa.array(place, mask=codes < 0))
