"""Some of a joint VCF's columns. AC, AF and AN become those of the columns that stay; all else is the cohort's."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.errors import reject
from services.jointcall.columnar.genotype.numbers import general

FIXED = 9
"""Columns in front of the samples'."""
_COUNTS = (b"AC=", b"AF=", b"AN=")


class Subset:
    """`cohort`: names in column order. `carried`: only sites where a sample that stays has an ALT. With `recount`
    False INFO stays as it is."""

    def __init__(
        self, *, cohort: Sequence[str], samples: Sequence[str], recount: bool = True, carried: bool = False
    ) -> None:
        """Raises Rejected SAMPLE_UNKNOWN, EMPTY_INPUT."""
        wanted = set(samples)
        missing = wanted - set(cohort)
        if missing or not wanted:
            raise reject(
                code="SAMPLE_UNKNOWN" if missing else "EMPTY_INPUT",
                message=f"{len(missing)} of {len(wanted)} samples are not in the generation"
                if missing
                else "no sample is named",
                where="--samples",
                rule="samples to write count in the generation",
                fix="`cohortstream joint inspect STORE --json` names those that do",
            )
        self._places = [at for at, name in enumerate(cohort) if name in wanted]
        self._recount, self._carried = recount, carried
        self.samples = tuple(cohort[at] for at in self._places)

    def __call__(self, line: bytes) -> bytes | None:
        """The record with the columns that stay, in the cohort's order; None where it is left out."""
        columns = line.split(b"\t")
        cells = [columns[FIXED + at] for at in self._places]
        if self._recount or self._carried:
            alts = 0 if columns[4] == b"." else columns[4].count(b",") + 1
            counts, number = counted(cells, alts)
            if self._carried and not any(counts):
                return None
            if self._recount:
                columns[7] = recounted(columns[7], counts, number)
        return b"\t".join((*columns[:FIXED], *cells))


def counted(cells: Sequence[bytes], alts: int) -> tuple[list[int], int]:
    """Called copies of each ALT, and called alleles."""
    counts, number = [0] * (alts + 1), 0
    for cell in cells:
        called = cell.split(b":", 1)[0]
        # what nearly all cells are
        if called == b"0/0":
            number += 2
            continue
        for allele in called.replace(b"|", b"/").split(b"/"):
            if allele != b".":
                counts[int(allele)] += 1
                number += 1
    return counts[1:], number


def recounted(about: bytes, counts: Sequence[int], number: int) -> bytes:
    """INFO with other AC, AF and AN, where it has them."""
    fields = about.split(b";")
    shares = [count / number if number else 0.0 for count in counts]
    new = (
        ",".join(str(count) for count in counts),
        ",".join(general(share) for share in shares),
        str(number),
    )
    for at, field in enumerate(fields):
        for key, value in zip(_COUNTS, new, strict=True):
            if field.startswith(key):
                fields[at] = key + value.encode()
    return b";".join(fields)
