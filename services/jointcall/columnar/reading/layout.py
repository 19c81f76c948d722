"""A gVCF's header, and what follows from it for reading its lines. The gVCFs of a cohort have the same but for the
sample's name and the command lines: what was found out about one header serves the next.
"""

from __future__ import annotations

from chassis.tools import vcf
from services.jointcall.columnar.reading.bgzf import Lines
from services.jointcall.columnar.reading.keys import info_keys, no_formats, with_format
from services.jointcall.columnar.tables import Bytes, Ints
from services.jointcall.engines import gvcf as checks

_MOST_KEPT = 4
_MOST_SHARED = 32
"""FORMAT columns: callers write a handful, and each line's is looked for among all of them."""
_TELLING = (b"##INFO=<", b"##FORMAT=<", b"##contig=<")
"""Header lines that anything follows from."""
_COLUMNS = b"\n#CHROM\t"
_HASH = 35


class Layout:
    """Of gVCFs whose headers say the same: declared keys, INFO keys as a table, and the FORMAT columns that were
    met. `contigs` are the header's."""

    def __init__(self, head: bytes, contigs: tuple[tuple[str, int], ...]) -> None:
        """`head`: the header without its `#CHROM` line."""
        self.contigs = contigs
        self.declared = vcf.Declared(head.split(b"\n"))
        self.keys: Bytes = info_keys(self.declared.info)
        self.end_declared = "END" in self.declared.info
        self.formats: Ints = no_formats()
        self._head = head
        self._telling = _telling(head)

    def is_of(self, head: bytes) -> bool:
        """The other is a header too, and differs in nothing that anything follows from."""
        return head == self._head or (_is_header(head) and _telling(head) == self._telling)

    def learn(self, formats: Ints, column: bytes) -> Ints | None:
        """`formats` and one more, as `keys.with_format`; the next file has it from the beginning."""
        more = with_format(formats, column)
        if more is not None and len(more) <= _MOST_SHARED:
            self.formats = more
        return more


_KEPT: list[Layout] = []
"""The latest first."""


def layout_of(lines: Lines, *, name: str, contigs: tuple[tuple[str, int], ...], where: str) -> Layout:
    """Reads the header of the sample `name`'s gVCF; `contigs` are the reference's. Raises Rejected: VCF_HEADER,
    SAMPLE_MISMATCH, UNSAFE_ID, BUILD_MISMATCH."""
    head, columns = _header_in_sight(lines)
    for layout in _KEPT if columns else ():
        if layout.contigs == contigs and layout.is_of(head):
            # what was said of this header's other lines holds; here the sample's name is new
            checks.require_header((columns,), name=name, contigs=(), where=where)
            lines.at = len(head) + len(columns) + 2
            return layout
    header = vcf.header_in(lines.each(), where=where)
    checks.require_header(header, name=name, contigs=contigs, where=where)
    layout = Layout(b"\n".join(header[:-1]), contigs)
    _KEPT.insert(0, layout)
    del _KEPT[_MOST_KEPT:]
    return layout


def _header_in_sight(lines: Lines) -> tuple[bytes, bytes]:
    """The header without its `#CHROM` line, and that line, if the buffer holds all of a header that has the form of
    one; else nothing."""
    nothing = b"", b""
    if not lines.fill():
        return nothing
    begin = lines.find(_COLUMNS) + 1
    end = lines.find(b"\n", begin)
    if not begin or end < 0 or end + 1 >= lines.stop or lines.text[end + 1] == _HASH:
        return nothing
    head, columns = lines.between(0, begin - 1), lines.between(begin, end)
    return (head, columns) if columns.isascii() or _is_text(columns) else nothing


def _is_header(head: bytes) -> bool:
    """What `vcf.header_in` asks of lines in front of `#CHROM`."""
    every = head.count(b"\n#") == head.count(b"\n")
    return every and head.startswith(b"##fileformat=VCF") and _is_text(head)


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _telling(head: bytes) -> tuple[bytes, ...]:
    return tuple(line for line in head.split(b"\n") if line.startswith(_TELLING))
