"""A sample sheet as text: encodings and line ends made one, cut into its sections."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from chassis.errors import Rejected, reject

MOST_BYTES = 16 << 20
"""A sheet of 10,000 rows is 2 MB."""
_SECTION = re.compile(r"\[([^\]]*)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A row of cells, without blanks around them; `number` counts the file's lines from 1."""

    number: int
    cells: tuple[str, ...]


Sections = Mapping[str, tuple[Line, ...]]
"""By the section's name in lower case; empty rows are left out."""


def decode(content: bytes, *, name: str) -> str:
    """The text with `\\n` line ends. UTF-8 and UTF-16 are read, with a byte order mark or without.

    Raises Rejected SHEET_ENCODING for anything else: a guess between single-byte encodings could change an id.
    """
    if len(content) > MOST_BYTES:
        raise _encoding(name, message=f"the file is larger than {MOST_BYTES >> 20} MiB", place="")
    try:
        text = content.decode(_encoding_of(content))
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _encoding(
            name, message="the file holds bytes that are neither UTF-8 nor UTF-16", place=f", line {line}"
        ) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def sections(text: str, *, name: str) -> Sections:
    """Cut the text at its `[Section]` lines. Raises Rejected SHEET_COLUMN for a section given twice, SHEET_ENCODING for
    what is no table of comma-separated cells."""
    found: dict[str, list[Line]] = {}
    current: list[Line] | None = None
    reader = csv.reader(io.StringIO(text, newline=""))
    number = 0
    try:
        for row in reader:
            start, number = number + 1, reader.line_num
            cells = tuple(cell.strip(" \t") for cell in row)
            if not any(cells):
                continue
            title = _SECTION.fullmatch(cells[0])
            if title is None:
                if current is not None:
                    current.append(Line(number=start, cells=cells))
                continue
            section = title[1].strip().lower()
            if section in found:
                raise reject(
                    code="SHEET_COLUMN",
                    message="a section is there twice",
                    where=f"{name}, line {start}",
                    rule="each section stands once",
                    fix="join the two sections",
                )
            current = found.setdefault(section, [])
    except csv.Error:
        raise _encoding(name, message="a cell is too long to be one", place=f", from line {number + 1}") from None
    return {section: tuple(lines) for section, lines in found.items()}


def _encoding_of(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # without a mark, the NULs of ASCII text in UTF-16 stand all on one side
    head = content[:512]
    if len(head) >= 4 and len(content) % 2 == 0:
        even, odd = head[0::2].count(0), head[1::2].count(0)
        if odd > len(head) // 4 and even == 0:
            return "utf-16-le"
        if even > len(head) // 4 and odd == 0:
            return "utf-16-be"
    return "utf-8"


def _encoding(name: str, *, message: str, place: str) -> Rejected:
    return reject(
        code="SHEET_ENCODING",
        message=message,
        where=f"{name}{place}",
        rule="a sample sheet is comma-separated text in UTF-8 or UTF-16",
        fix="save it as 'CSV UTF-8' and copy it into the run folder again",
    )
