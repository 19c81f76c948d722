"""One line of a joint VCF, taken apart as far as the comparison needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from services.jointcall.engines.jitter import HIGH_QD, ROUNDING, variant_depth


@dataclass(frozen=True, kw_only=True)
class Record:
    """Text of the columns. `cells` are not split before they are asked for."""

    contig: str
    position: int
    id: str
    ref: str
    alt: str
    qual: str
    filter: str
    about: str
    layout: str
    cells: tuple[str, ...]

    @classmethod
    def of(cls, line: bytes) -> Record:
        columns = line.decode().rstrip("\n").split("\t")
        return cls(
            contig=columns[0],
            position=int(columns[1]),
            id=columns[2],
            ref=columns[3],
            alt=columns[4],
            qual=columns[5],
            filter=columns[6],
            about=columns[7],
            layout=columns[8] if len(columns) > 8 else "",
            cells=tuple(columns[9:]),
        )

    @property
    def shown(self) -> str:
        return f"{self.contig}:{self.position} {_short(self.ref)}>{_short(self.alt)}"

    @property
    def alts(self) -> list[str]:
        return self.alt.split(",")

    @cached_property
    def info(self) -> dict[str, str]:
        entries = (entry.partition("=") for entry in self.about.split(";") if entry != ".")
        return {key: value for key, _, value in entries}

    def cell(self, at: int) -> dict[str, str]:
        """Of sample `at`; fields that are `.` through and through are left out, as trailing ones may be."""
        named = zip(self.layout.split(":"), self.cells[at].split(":"), strict=False)
        return {key: value for key, value in named if key == "GT" or value.strip(".,")}

    @cached_property
    def qd_is_drawn(self) -> bool:
        """The raw ratio is 35 or more, or so near that rounding decides: GATK draws QD by lot (engines.jitter)."""
        if self.qual == "." or "GT" not in self.layout:
            return False
        depth = variant_depth(self.layout.encode(), [cell.encode() for cell in self.cells])
        return depth > 0 and float(self.qual) / depth >= HIGH_QD - ROUNDING


def _short(alleles: str) -> str:
    return alleles if len(alleles) <= 40 else f"{alleles[:30]}...({len(alleles)})"
