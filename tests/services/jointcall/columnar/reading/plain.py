"""The same text read slowly and plainly, and both kinds of tables turned back into records, to compare."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from services.jointcall.columnar.reading import Parsed, windows_of
from services.jointcall.columnar.reading.columns import START
from services.jointcall.columnar.tables import (
    CONTINUED,
    HAPLOID,
    HAS_DP,
    HAS_GQ,
    HAS_MIN_DP,
    HAS_PL,
    NO_CALL,
    PHASED,
    RANKED,
    Blocks,
    Variants,
    Window,
)

EMPTY_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """`ref` is None for a block: its base is the reference's."""

    start: int
    end: int
    block: bool
    ref: str | None
    alts: tuple[str, ...]
    id: str | None
    gt: tuple[int | None, ...]
    phased: bool
    gq: int | None
    dp: int | None
    min_dp: int | None
    ad: tuple[int, ...]
    pl: tuple[int, ...]
    sb: tuple[int, ...]
    pgt: str | None
    pid: str | None
    ps: int | None
    info_dp: int | None
    mq: tuple[int, ...]
    ranked: tuple[float | None, ...]


def known(records: Iterable[Record], *, first: int, last: int) -> list[Record]:
    """Those of a file's records that are known in the interval, by the rules of `Parsed`."""
    kept: list[Record] = []
    for record in records:
        if record.start > last:
            break
        if kept and kept[-1].block and kept[-1].end >= record.start:
            kept[-1] = replace(kept[-1], end=record.start - 1)
        kept.append(record)
    return [
        one
        for one, behind in zip_longest(kept, kept[1:])
        if one.start >= first or (one.end >= first and (behind is None or behind.start >= first))
    ]


def record_of(line: str) -> Record:
    _, position, name, ref, alt, _, _, about, names, cell = line.split("\t")
    *alts, _ = alt.split(",")
    info = dict(part.partition("=")[::2] for part in about.split(";"))
    fields = dict(zip(names.split(":"), cell.split(":"), strict=False))
    genotype = fields.get("GT", ".")
    gt = tuple(None if allele == "." else int(allele) for allele in genotype.replace("|", "/").split("/"))
    pl = _numbers(fields.get("PL"))
    if genotype == "." and len(pl) == (len(alts) + 2) * (len(alts) + 3) // 2:
        gt = (None, None)
    end = info.get("END", ".")
    record = Record(
        start=int(position),
        end=int(position) + len(ref) - 1 if end == "." else int(end),
        block=False,
        ref=ref,
        alts=tuple(alts),
        id=None if name == "." else name,
        gt=gt,
        phased="|" in genotype,
        gq=_number(fields.get("GQ")),
        dp=_number(fields.get("DP")),
        min_dp=_number(fields.get("MIN_DP")),
        ad=_numbers(fields.get("AD")),
        pl=pl,
        sb=_numbers(fields.get("SB")),
        pgt=_text(fields.get("PGT")),
        pid=_text(fields.get("PID")),
        ps=_number(fields.get("PS")),
        info_dp=_number(info.get("DP")),
        mq=_numbers(info.get("RAW_MQandDP")),
        ranked=tuple(_float(info.get(key)) for key in RANKED),
    )
    return replace(record, block=True, ref=None) if _is_block(record) else record


def _is_block(record: Record) -> bool:
    nothing_more = (record.id, record.pgt, record.pid, record.ps, record.info_dp) == (None,) * 5
    nothing_more = nothing_more and not (
        record.ad or record.sb or record.mq or any(x is not None for x in record.ranked)
    )
    alike = not record.phased and set(record.gt) in ({0}, {None})
    small = (record.gq or 0) <= 255 and max(record.dp or 0, record.min_dp or 0, *record.pl, 0) <= 65_535
    return not record.alts and len(record.ref or "") == 1 and nothing_more and alike and small


def _text(value: str | None) -> str | None:
    return None if value in (None, ".") else value


def _number(value: str | None) -> int | None:
    return None if value is None or value == "." else int(value)


def _numbers(value: str | None) -> tuple[int, ...]:
    return () if value is None or set(value) <= {".", ","} else tuple(map(int, value.split(",")))


def _float(value: str | None) -> float | None:
    if value is None or value == "." or math.isnan(float(value)):
        return None
    return float(np.float32(value))


def of_parsed(parsed: Parsed) -> list[Record]:
    """All records of the columns, by position, none of them cut."""
    blocks = [_block(*(int(column[row]) for column in parsed.blocks)) for row in range(len(parsed.blocks.start))]
    starts = parsed.records.figures[:, START].tolist()
    whole = parsed._replace(first=min([parsed.first, *starts]))
    explicit = {
        record.start: record
        for window in windows_of([whole], first=whole.first, last=whole.last, window_bp=60_000)
        for record in _variants(window, 0)
    }
    return sorted([*blocks, *explicit.values()], key=lambda record: record.start)


def of_window(window: Window, sample: int) -> list[Record]:
    """Of one sample, by position; a block that began before the window starts with it here."""
    found = [*_blocks(window, sample), *_variants(window, sample)]
    return sorted(found, key=lambda record: record.start)


def _blocks(window: Window, sample: int) -> Iterable[Record]:
    table: Blocks = window.blocks
    behind = window.first
    for row in range(int(table.rows[sample]), int(table.rows[sample + 1])):
        gap, length, form, *rest = (int(column[row]) for column in table[1:])
        start = behind + gap
        behind = start + length
        assert not form & CONTINUED or start == window.first
        assert length >= 1 and behind - 1 <= window.last
        yield _block(start, behind - 1, form, *rest)


def _block(start: int, end: int, form: int, gq: int, min_dp: int, dp: int, pl0: int, pl1: int, pl2: int) -> Record:
    return Record(
        start=start,
        end=end,
        block=True,
        ref=None,
        alts=(),
        id=None,
        gt=(None if form & NO_CALL else 0,) * (1 if form & HAPLOID else 2),
        phased=False,
        gq=gq if form & HAS_GQ else None,
        dp=dp if form & HAS_DP else None,
        min_dp=min_dp if form & HAS_MIN_DP else None,
        ad=(),
        pl=() if not form & HAS_PL else (pl0, pl1) if form & HAPLOID else (pl0, pl1, pl2),
        sb=(),
        pgt=None,
        pid=None,
        ps=None,
        info_dp=None,
        mq=(),
        ranked=(None,) * len(RANKED),
    )


def _variants(window: Window, sample: int) -> Iterable[Record]:
    table: Variants = window.variants

    def text(code: int) -> str | None:
        return None if code < 0 else window.strings[code].decode()

    def number(value: int) -> int | None:
        return None if value < 0 else int(value)

    for row in range(int(table.rows[sample]), int(table.rows[sample + 1])):
        yield Record(
            start=int(table.start[row]),
            end=int(table.end[row]),
            block=False,
            ref=text(table.ref[row]),
            alts=tuple(text(code) or "" for code in table.alt[table.alt_rows[row] : table.alt_rows[row + 1]]),
            id=text(table.id[row]),
            gt=tuple(number(allele) for allele in table.gt[row][: table.ploidy[row]]),
            phased=bool(table.flags[row] & PHASED),
            gq=number(table.gq[row]),
            dp=number(table.dp[row]),
            min_dp=number(table.min_dp[row]),
            ad=tuple(table.ad[table.ad_rows[row] : table.ad_rows[row + 1]].tolist()),
            pl=tuple(table.pl[table.pl_rows[row] : table.pl_rows[row + 1]].tolist()),
            sb=() if table.sb[row, 0] < 0 else tuple(table.sb[row].tolist()),
            pgt=text(table.pgt[row]),
            pid=text(table.pid[row]),
            ps=number(table.ps[row]),
            info_dp=number(table.info_dp[row]),
            mq=() if table.mq_depth[row] < 0 else (int(table.mq_sum[row]), int(table.mq_depth[row])),
            ranked=tuple(None if math.isnan(value) else float(value) for value in table.ranked[row]),
        )


def known_at(records: Sequence[Record], position: int) -> Record | None:
    """What the sample says of a base: the latest start wins. Blocks come without their ends, which a window cuts."""
    before = [one for one in records if one.start <= position]
    if not before or before[-1].end < position:
        return None
    return replace(before[-1], start=0, end=0) if before[-1].block else before[-1]


def bgzf(text: bytes, *, block: int = 60_000, end: bool = True) -> bytes:
    """BGZF with blocks of so many bytes of text."""
    written = []
    for at in range(0, len(text), block):
        part = text[at : at + block]
        packer = zlib.compressobj(1, wbits=-15)
        packed = packer.compress(part) + packer.flush()
        head = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff\x06\x00BC\x02\x00" + struct.pack("<H", len(packed) + 25)
        written.append(head + packed + struct.pack("<II", zlib.crc32(part), len(part)))
    return b"".join(written) + (EMPTY_BLOCK if end else b"")
