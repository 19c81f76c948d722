"""GATK's joint VCF against ours, field by field: what is exact, what is tolerated, and what a named predicate explains.

Lines are compared as text and taken apart only where they differ, so that tens of thousands of sites take seconds.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.oracle.predicates import PREDICATES, Context, Mismatch, Predicate
from tests.oracle.record import Record
from tests.oracle.report import Report

TOLERATED = frozenset(
    {
        *("QUAL", "AF", "MLEAC", "MLEAF", "QD", "FS", "SOR", "MQ", "ExcessHet", "InbreedingCoeff"),
        *("BaseQRankSum", "ClippingRankSum", "MQRankSum", "ReadPosRankSum"),
    }
)
"""By one unit of the last printed place: the JVM's and libm's logarithms differ in the last bit, which may tip a
rounding and must do no more. MLEAC has no places: it is equal, or a predicate says why. All other fields are equal."""
QUAL_UNIT = 0.01  # QUAL is printed without a trailing .00, so its text does not tell its places
SLACK = 1.001  # of decimal fractions that are no binary ones
ABSENT = "-"


def compare(
    theirs: Path,
    ours: Path,
    *,
    predicates: Sequence[Predicate] = PREDICATES,
    shadow: int = 0,
    spanned: frozenset[int] = frozenset(),
) -> Report:
    """`theirs` is GATK's. Both hold one contig in order of position, and the same samples in the same columns; where
    ALT or REF differ nothing else of the site is compared, as genotypes and counts are numbered by ALT."""
    report = Report(predicates=tuple(predicates))
    with ExitStack() as stack:
        one, other = (stack.enter_context(gzip.open(path, "rb")) for path in (theirs, ours))
        names, our_names = _names(one), _names(other)
        if names != our_names:
            samples = Mismatch(
                site="#CHROM", sample="", field="samples", theirs=",".join(names), ours=",".join(our_names)
            )
            report.unexplained.append(samples)
            return report
        for their_line, our_line in _paired(iter(one), iter(other)):
            _site(their_line, our_line, names, report, shadow, spanned)
    return report


def _names(stream: Iterable[bytes]) -> list[str]:
    for line in stream:
        if line.startswith(b"#CHROM"):
            return line.decode().rstrip("\n").split("\t")[9:]
    raise ValueError("a VCF without a #CHROM line")


def _paired(theirs: Iterator[bytes], ours: Iterator[bytes]) -> Iterator[tuple[bytes | None, bytes | None]]:
    """Lines by position; None where one side has no record. A second record at a position has no partner either."""
    one, other = next(theirs, None), next(ours, None)
    while one is not None or other is not None:
        if other is None or (one is not None and _position(one) < _position(other)):
            yield one, None
            one = next(theirs, None)
        elif one is None or _position(other) < _position(one):
            yield None, other
            other = next(ours, None)
        else:
            yield one, other
            one, other = next(theirs, None), next(ours, None)


def _position(line: bytes) -> int:
    return int(line.split(b"\t", 2)[1])


def _site(
    one: bytes | None,
    other: bytes | None,
    names: Sequence[str],
    report: Report,
    shadow: int,
    spanned: frozenset[int],
) -> None:
    report.sites += 1
    # with all sites nearly all lines are without QUAL, and nothing in them is tolerated
    if one is not None and one == other and one.split(b"\t", 6)[5] == b".":
        report.cells += len(names)
        return
    theirs, ours = (Record.of(line) if line is not None else None for line in (one, other))
    if theirs is not None and ours is not None:
        report.cells += len(names)
        found = [*_columns(theirs, ours)] or [*_contents(theirs, ours, names, report)]
    else:
        present = theirs or ours
        assert present is not None
        sides = (record.shown if record else ABSENT for record in (theirs, ours))
        found = [_item(present, "site", *sides)]
    report.take(found, Context(theirs=theirs, ours=ours, items=tuple(found), shadow=shadow, spanned=spanned))


def _item(record: Record, field: str, theirs: str, ours: str, *, sample: str = "") -> Mismatch:
    return Mismatch(site=record.shown, sample=sample, field=field, theirs=theirs, ours=ours)


def _columns(theirs: Record, ours: Record) -> Iterator[Mismatch]:
    sides = (
        ("CHROM", theirs.contig, ours.contig),
        ("REF", theirs.ref, ours.ref),
        ("ALT", theirs.alt, ours.alt),
    )
    yield from (_item(theirs, field, one, other) for field, one, other in sides if one != other)


def _contents(theirs: Record, ours: Record, names: Sequence[str], report: Report) -> Iterator[Mismatch]:
    # IDs are a union in no order
    if set(theirs.id.split(";")) != set(ours.id.split(";")):
        yield _item(theirs, "ID", theirs.id, ours.id)
    if theirs.filter != ours.filter:
        yield _item(theirs, "FILTER", theirs.filter, ours.filter)
    yield from _field(theirs, "QUAL", theirs.qual, ours.qual, report)
    yield from _info(theirs, ours, report)
    if theirs.layout != ours.layout:
        yield _item(theirs, "FORMAT", theirs.layout, ours.layout)
    if theirs.cells != ours.cells or theirs.layout != ours.layout:
        for at, name in enumerate(names):
            if theirs.cells[at] != ours.cells[at] or theirs.layout != ours.layout:
                one, other = theirs.cell(at), ours.cell(at)
                for key in {**one, **other}:
                    sides = one.get(key, ABSENT), other.get(key, ABSENT)
                    if sides[0] != sides[1]:
                        yield _item(theirs, key, *sides, sample=name)


def _info(theirs: Record, ours: Record, report: Report) -> Iterator[Mismatch]:
    if ours.qd_is_drawn:
        report.drawn_qds += 1
    for key in {**theirs.info, **ours.info}:
        one, other = theirs.info.get(key, ABSENT), ours.info.get(key, ABSENT)
        if key == "QD" and ours.qd_is_drawn and ABSENT not in (one, other):
            continue
        yield from _field(theirs, key, one, other, report)
    # the same keys in another order are another text, and readers of text exist
    if list(theirs.info) != list(ours.info) and theirs.info.keys() == ours.info.keys():
        yield _item(theirs, "INFO order", ";".join(theirs.info), ";".join(ours.info))


def _field(record: Record, key: str, theirs: str, ours: str, report: Report) -> Iterator[Mismatch]:
    if key in TOLERATED:
        report.values[key] += 1
    if theirs == ours:
        return
    difference = _difference(key, theirs, ours) if key in TOLERATED else None
    if difference is None:
        yield _item(record, key, theirs, ours)
    else:
        report.tolerated(key, difference, record.shown)


def _difference(key: str, theirs: str, ours: str) -> float | None:
    """The largest among a field's values; None when it is beyond the tolerance or the two cannot be compared."""
    one, other = theirs.split(","), ours.split(",")
    if len(one) != len(other):
        return None
    largest = 0.0
    for a, b in zip(one, other, strict=True):
        if a == b:
            continue
        try:
            x, y = float(a), float(b)
        except ValueError:
            return None
        unit = QUAL_UNIT if key == "QUAL" else max(_unit(a), _unit(b))
        # not <=, so that NaN is beyond every tolerance
        if not abs(x - y) <= unit * SLACK:
            return None
        largest = max(largest, abs(x - y))
    return largest


def _unit(text: str) -> float:
    """What one unit of the last printed place is worth; 0 for a text without places."""
    mantissa, _, exponent = text.partition("e")
    _, point, places = mantissa.partition(".")
    return math.pow(10, int(exponent or 0) - len(places)) if point else 0.0
