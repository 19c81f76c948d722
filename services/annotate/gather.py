"""Interval VCFs into one VCF per contig, in one pass over the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from chassis.errors import Rejected, ToolFailed, reject
from chassis.tools import vcf


@dataclass(frozen=True, slots=True, kw_only=True)
class ContigVcf:
    """One contig's part of the panel, in BGZF with `.tbi`."""

    contig: str
    vcf: Path
    index: Path
    records: int


def file_stem(contig: str) -> str:
    """A contig's name as a file name, reversible and without two contigs sharing one: percent-encoded as in a URI
    (SAM allows `/`, `:` and `*` in names)."""
    return quote(contig, safe="")


def gather(parts: Sequence[Path], out_dir: Path, *, contigs: Sequence[str] = ()) -> tuple[ContigVcf, ...]:
    """Concatenate interval VCFs, given in genome order, to `<out_dir>/<contig>.vcf.gz`.

    Contigs are those that records lie on, and those of `contigs`, which get a VCF even when it is empty; the result
    is in the order of the header. The header is that of the first part with the definitions that later parts add.
    Raises Rejected: EMPTY_INPUT (no parts), SAMPLE_MISMATCH (other sample columns), VCF_HEADER (a definition that
    contradicts an earlier one, a contig that is not declared), NOT_SORTED; ToolFailed when a part is cut short.
    """
    header = _common_header(parts)
    declared = [name for name, _ in vcf.contigs_of(header)]
    counts = dict.fromkeys(contigs, 0)
    out_dir.mkdir(parents=True, exist_ok=True)
    text = b"\n".join(header) + b"\n"
    with ExitStack() as stack:
        sink: vcf.Sink | None = None
        now: str | None = None
        for contig, line in _in_order(parts, declared):
            if contig != now:
                # leaving it closes the file of the contig before
                stack.close()
                sink = stack.enter_context(vcf.writing(_path(out_dir, contig)))
                sink.write(text)
                now, counts[contig] = contig, 0
            assert sink is not None
            sink.write(line + b"\n")
            counts[contig] += 1
    for contig in (name for name, count in counts.items() if count == 0):
        with vcf.writing(_path(out_dir, contig)) as sink:
            sink.write(text)
    order = {name: place for place, name in enumerate(declared)}
    return tuple(
        ContigVcf(contig=name, vcf=_path(out_dir, name), index=vcf.index(_path(out_dir, name)), records=counts[name])
        for name in sorted(counts, key=lambda name: order.get(name, len(order)))
    )


def _path(out_dir: Path, contig: str) -> Path:
    return out_dir / f"{file_stem(contig)}.vcf.gz"


def _common_header(parts: Sequence[Path]) -> tuple[bytes, ...]:
    if not parts:
        raise reject(
            code="EMPTY_INPUT",
            message="no interval to gather",
            where="the panel's manifest",
            rule="a panel has one interval or more",
            fix="freeze the cohort again over a reference with calling intervals",
        )
    lines: dict[bytes, None] = {}
    meanings: dict[bytes, bytes] = {}
    columns = b""
    for part in parts:
        if not vcf.is_whole(part):
            raise ToolFailed(tool="annotate", status="incomplete", said=f"{part.name} has no end block")
        header = vcf.lasting(vcf.header_of(part))
        if columns and header[-1] != columns:
            raise reject(
                code="SAMPLE_MISMATCH",
                message="its sample columns differ from the first part's",
                where=part.name,
                rule="all intervals of a freeze have the same samples in the same order",
                fix="genotype the interval again in this freeze",
            )
        columns = header[-1]
        for line in header[:-1]:
            what = _defined(line)
            if what is not None and meanings.setdefault(what, line) != line:
                raise reject(
                    code="VCF_HEADER",
                    message=f"it defines {what.decode(errors='replace')} otherwise than an earlier part",
                    where=part.name,
                    rule="a name has one definition in a panel",
                    fix="filter and annotate all intervals with the same versions",
                )
            lines.setdefault(line)
    return (*lines, columns)


def _defined(line: bytes) -> bytes | None:
    """`INFO=<ID=DP` for a line that defines a name, None for any other."""
    kind, angle, rest = line[2:].partition(b"=<ID=")
    return kind + angle + rest.partition(b",")[0].rstrip(b">") if angle else None


def _in_order(parts: Sequence[Path], declared: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    places = {name.encode(): place for place, name in enumerate(declared)}
    before, end_of_last_part = (-1, 0), (-1, 0)
    for part in parts:
        for line in vcf.lines(part):
            if line.startswith(b"#"):
                continue
            name, position, _ = line.split(b"\t", 2)
            if name not in places:
                raise _undeclared(part)
            at = (places[name], int(position))
            # within a part several records may share a place; two parts that do overlap
            if at < before or at == end_of_last_part:
                raise _not_sorted(part, f"{declared[at[0]]}:{at[1]}")
            before = at
            yield declared[at[0]], line
        end_of_last_part = before


def _undeclared(part: Path) -> Rejected:
    return reject(
        code="VCF_HEADER",
        message="a record lies on a contig that the header does not declare with its length",
        where=part.name,
        rule="the header declares every contig with its length",
        fix="write the file again with the reference's contigs in its header",
    )


def _not_sorted(part: Path, place: str) -> Rejected:
    return reject(
        code="NOT_SORTED",
        message=f"the record at {place} stands behind a later one, or in two intervals",
        where=part.name,
        rule="intervals come in genome order and do not overlap",
        fix="check the freeze's interval set",
    )
