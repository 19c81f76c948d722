"""gVCFs to columns: an interval of an indexed file, or any intervals of a stream that is read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chassis.reference.local import LocalReference
from chassis.tools import vcf
from chassis.tools.index_content import require_tabix_of, stale
from contracts.values import Interval
from services.jointcall.columnar.reading.bgzf import Lines, Source
from services.jointcall.columnar.reading.columns import BEFORE, COVERED, HERE, Growing, Parsed
from services.jointcall.columnar.reading.grounds import ELSEWHERE, FAULT, FINISHED, NEW_FORMAT, Ground
from services.jointcall.columnar.reading.layout import Layout, layout_of
from services.jointcall.columnar.reading.lines import read_lines, skip_lines
from services.jointcall.columnar.reading.opened import OpenGvcf
from services.jointcall.columnar.reading.ranges import first_offset
from services.jointcall.columnar.reading.refusals import Refusals
from services.jointcall.columnar.tables import Bytes
from services.jointcall.engines import gvcf as checks
from services.jointcall.engines import ploidy
from services.jointcall.engines.protocol import GvcfInput
from services.jointcall.engines.records import Stretch, left_out

_SPARE: list[Growing] = []
"""Columns of files that were read: a page of memory that is touched for the first time costs more than the text on
it, by half of all the time."""
_MOST_SPARE = 2
_MOST_KEPT = 64 << 20
"""Bytes of one of them: what an interval of some Mb takes, not what a whole chromosome does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What gVCFs are read over. `bases`: the interval's, ASCII in either case; `contigs`: (name, length) of the
    reference's, in order; `regions`: the calling intervals within it, sorted, as (first, last) base."""

    interval: Interval
    bases: Bytes
    contigs: tuple[tuple[str, int], ...]
    regions: Sequence[Stretch] = ()

    def __post_init__(self) -> None:
        # compiled code asks for a base of the interval without asking how many there are
        if len(self.bases) != self.interval.length:
            raise ValueError(f"{len(self.bases)} bases of {self.interval}")


def target_of(interval: Interval, reference: LocalReference) -> Target:
    """Made once for all samples of an interval: it reads the reference."""
    return Target(
        interval=interval,
        bases=np.frombuffer(checks.bases_of(reference, interval).encode(), np.uint8),
        contigs=checks.contigs_of(reference),
        regions=checks.declared_regions(reference, interval),
    )


def parse(gvcf: GvcfInput, *, target: Target) -> Parsed:
    """The records of the interval, by the file's index.

    Raises Rejected as `engines.gvcf.check` does (GVCF_COVERAGE where `gvcf.must_cover`), and: GZIP_CRC, GZIP_TRAILING,
    FORMAT_MISMATCH for values that no column holds, GVCF_MNP.
    """
    where, interval = gvcf.path.name, target.interval
    with OpenGvcf(gvcf.path) as opened:
        if not opened.is_whole:
            checks.require_whole(gvcf.path)
        layout = layout_of(opened.lines, name=gvcf.name, contigs=target.contigs, where=where)
        require_tabix_of(gvcf.path, gvcf.index, blocks=opened)
        reader = _Reader(layout, where)
        offset = first_offset(gvcf.index, contig=interval.contig, start=interval.start)
        if offset is not None:
            opened.turn_to(offset)
            ended = reader.read(opened.lines, target)
            if ended == ELSEWHERE and not reader.growing.counts[BEFORE]:
                raise stale(gvcf.index, f"no record of {interval.contig} begins where the index says so")
    parsed = reader.parsed(target)
    reader.leave()
    if parsed.gaps and gvcf.must_cover:
        raise checks.gaps_refused(where, interval.contig, parsed.gaps)
    return parsed


def parse_stream(source: Source, *, name: str, where: str, targets: Iterable[Target]) -> Iterator[Parsed]:
    """The records of each target in turn, from a gVCF that is read once from its beginning to the last target's end.

    `name` is the sample's, `where` the file's for errors; the targets come in the reference's order and do not overlap.
    Holds a few MB besides the interval's columns. Raises Rejected as `parse` does, INDEX_STALE aside; gaps are told,
    never refused; nothing is said of what lies behind the last target.
    """
    lines = Lines(source, where=where)
    reader = None
    order: dict[bytes, int] = {}
    at = 0
    for target in targets:
        if reader is None:
            reader = _Reader(layout_of(lines, name=name, contigs=target.contigs, where=where), where)
            order = {contig.encode(): place for place, (contig, _) in enumerate(target.contigs)}
        wanted = order[target.interval.contig.encode()]
        reader.turn_to(target.interval)
        while reader.read(lines, target) == ELSEWHERE:
            contig = lines.line().partition(b"\t")[0]
            found = order.get(contig)
            if reader.growing.counts[BEFORE]:
                at = wanted
            if found is None or found < at:
                raise reader.refusals(target).of_contig(contig, known=found is not None)
            if found > wanted:
                break
            at = found
            reader.pass_over(lines, contig)
        yield reader.parsed(target)
    if reader is None:
        vcf.header_in(lines.each(), where=where)
    else:
        reader.leave()
    lines.leave()


class _Reader:
    """One file's columns as they grow, with the FORMAT columns that it was seen to use."""

    def __init__(self, layout: Layout, where: str) -> None:
        try:
            self.growing = _SPARE.pop()
        except IndexError:
            self.growing = Growing()
        self._layout = layout
        self._where = where
        self._formats = layout.formats
        self._before: Interval | None = None

    def turn_to(self, interval: Interval) -> None:
        """To the next interval of the same file."""
        before = self._before
        if before is not None:
            if before.contig == interval.contig:
                self.growing.turn(before.end)
            else:
                self.growing.clear()
        self._before = interval

    def read(self, lines: Lines, target: Target) -> int:
        """Up to the first record behind the interval (BEYOND), of another contig (ELSEWHERE), or the end (FINISHED)."""
        interval = target.interval
        ground = Ground(
            np.frombuffer(interval.contig.encode(), np.uint8),
            interval.start,
            interval.end,
            target.bases,
            1 in ploidy.allowed_on(interval.contig),
        )
        growing, layout = self.growing, self._layout
        while lines.fill():
            growing.reserve(lines.stop - lines.at)
            ended = read_lines(
                *(lines.text, lines.at, lines.stop, ground, self._formats, layout.keys, layout.end_declared),
                *(growing.counts, growing.blocks, growing.records, growing.covered),
            )
            lines.at = int(growing.counts[HERE])
            if ended == FAULT:
                raise self.refusals(target).of(lines.line(), before=int(growing.counts[BEFORE]))
            if ended == NEW_FORMAT:
                self._learn(lines.line(), target)
            elif ended != FINISHED:
                return ended
        return FINISHED

    def pass_over(self, lines: Lines, contig: bytes) -> None:
        """All lines of this contig."""
        text = np.frombuffer(contig, np.uint8)
        while lines.fill():
            lines.at = skip_lines(lines.text, lines.at, lines.stop, text)
            if lines.at < lines.stop:
                return

    def parsed(self, target: Target) -> Parsed:
        covered = self.growing.covered[: self.growing.counts[COVERED]].tolist()
        return self.growing.parsed(
            first=target.interval.start, last=target.interval.end, gaps=tuple(left_out(target.regions, covered))
        )

    def leave(self) -> None:
        """The next file may have these columns."""
        self.growing.clear()
        if len(_SPARE) < _MOST_SPARE and self.growing.room <= _MOST_KEPT:
            _SPARE.append(self.growing)

    def refusals(self, target: Target) -> Refusals:
        return Refusals(where=self._where, interval=target.interval, bases=target.bases, declared=self._layout.declared)

    def _learn(self, line: bytes, target: Target) -> None:
        """The line's FORMAT column was not met before."""
        before = int(self.growing.counts[BEFORE])
        self.refusals(target).require_known(line, before=before)
        formats = self._layout.learn(self._formats, line.split(b"\t")[8])
        if formats is None:
            raise self.refusals(target).of(line, before=before)
        self._formats = formats
