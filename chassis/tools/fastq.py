"""Pairs of FASTQ records, read strictly: what is damaged is refused with the file and the record, never passed over."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from chassis.errors import Rejected, reject


class Read(NamedTuple):
    """`name` without comment and without `/1`, `/2`; `qualities` as Phred+33 text, as long as `bases`."""

    name: str
    bases: str
    qualities: str


def read_pairs(r1: Path, r2: Path) -> Iterator[tuple[Read, Read]]:
    """The pairs of two gzipped FASTQs, in order.

    Raises Rejected: EMPTY_INPUT, GZIP_TRUNCATED, GZIP_CRC, GZIP_TRAILING, FORMAT_MISMATCH, FASTQ_LENGTH, PAIR_COUNT,
    PAIR_NAME. What was yielded before is then worth nothing.
    """
    number = 0
    for number, (first, second) in enumerate(zip_longest(read_fastq(r1), read_fastq(r2)), start=1):
        if first is None or second is None:
            short = r1 if first is None else r2
            raise reject(
                code="PAIR_COUNT",
                message=f"the file ends after {number - 1} records, its mate goes on",
                where=short.name,
                rule="R1 and R2 hold the same number of records",
                fix="convert or copy both files again",
            )
        if first.name != second.name:
            raise reject(
                code="PAIR_NAME",
                message="the two mates' names differ",
                where=f"{r1.name} and {r2.name}, record {number}",
                rule="R1 and R2 hold the same reads in the same order",
                fix="convert or copy both files again",
            )
        yield first, second


def read_fastq(path: Path) -> Iterator[Read]:
    """The records of one gzipped FASTQ. Raises Rejected as `read_pairs` does."""
    number = 0
    try:
        with gzip.open(path, "rt", encoding="ascii", newline="\n") as stream:
            while header := stream.readline():
                number += 1
                bases, plus, qualities = stream.readline(), stream.readline(), stream.readline()
                if header[0] != "@" or plus[:1] != "+":
                    raise _refused(path, number, "FORMAT_MISMATCH", "this is no FASTQ record", _FOUR_LINES)
                bases, qualities = bases.rstrip("\r\n"), qualities.rstrip("\r\n")
                if len(bases) != len(qualities) or not bases:
                    raise _refused(
                        path,
                        number,
                        "FASTQ_LENGTH",
                        f"{len(bases)} bases and {len(qualities)} qualities",
                        "each base has one quality",
                    )
                yield Read(plain_name(header[1:]), bases, qualities)
    except EOFError as error:
        raise _refused(path, number, "GZIP_TRUNCATED", "the file breaks off", "a gzip member has its end") from error
    except gzip.BadGzipFile as error:
        if "CRC" in str(error) or "length" in str(error):
            raise _refused(path, number, "GZIP_CRC", "the sum does not fit", "content fits its checksum") from error
        if number:
            raise _refused(path, number, "GZIP_TRAILING", "junk follows", "nothing follows the last member") from error
        raise _refused(path, number, "FORMAT_MISMATCH", "this is no gzip file", "FASTQs are gzipped") from error
    except zlib.error as error:
        raise _refused(path, number, "GZIP_CRC", "the compressed bytes are damaged", "it decompresses") from error
    except UnicodeDecodeError as error:
        raise _refused(path, number, "FORMAT_MISMATCH", "this is not ASCII text", _FOUR_LINES) from error
    if not number:
        raise _refused(path, number, "EMPTY_INPUT", "the file holds no record", "a lane has at least one read")


def plain_name(header: str) -> str:
    """`A:1:2 1:N:0:ACGT` and `A:1:2/1` are both read `A:1:2`, as bwa names them."""
    name = header.split(maxsplit=1)[0] if header.strip() else ""
    return name[:-2] if name.endswith(("/1", "/2")) else name


_FOUR_LINES = "four lines a record: @name, bases, +, qualities"


def _refused(path: Path, number: int, code: str, message: str, rule: str) -> Rejected:
    return reject(
        code=code,
        message=message,
        where=f"{path.name}, record {number}",
        rule=rule,
        fix="convert or copy the file again",
    )
