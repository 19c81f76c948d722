"""Strategies: documents that were valid once, documents that nearly are, and bytes that never were."""

from __future__ import annotations

from hypothesis import strategies as st

NASTY = [
    b"\x00",
    b"\x1b[2J",
    b"\r",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    "\u202e".encode(),
    "²".encode(),
    "٣".encode(),
    "Ünï".encode("latin-1"),
    "İ".encode(),
    b"nan",
    b"inf",
    b"-1",
    b"0",
    b"1e400",
    b"9" * 40,
    b"9" * 5000,
    b"[" * 3000,
    b"{" * 3000,
    b"../../etc/passwd",
    b"=cmd()",
    b'"',
    b"'",
    b",",
    b"\t",
    b"\n",
    b"@",
    b">",
    b"#",
    b"<",
    b"&x;",
    b"%s%n",
    b"A" * 3000,
]
"""What parsers stumble over: control characters, digits that are none, numbers without end, deep nesting."""


def junk(*, most: int = 300) -> st.SearchStrategy[bytes]:
    return st.one_of(st.binary(max_size=most), st.text(max_size=most).map(lambda text: text.encode()))


@st.composite
def mutated(draw: st.DrawFn, valid: bytes, *, most: int = 4) -> bytes:
    """`valid` after one to `most` accidents: bits flipped, bytes cut out, lines doubled or swapped, junk put in."""
    document = valid
    for _ in range(draw(st.integers(1, most))):
        document = _accident(draw, document)
    return document


def _accident(draw: st.DrawFn, document: bytes) -> bytes:
    kind = draw(st.sampled_from(["flip", "truncate", "cut", "double", "swap", "splice", "splice", "field", "field"]))
    at = draw(st.integers(0, max(0, len(document) - 1)))
    lines = document.split(b"\n")
    row = draw(st.integers(0, len(lines) - 1))
    match kind:
        case "flip" if document:
            return document[:at] + bytes([document[at] ^ (1 << draw(st.integers(0, 7)))]) + document[at + 1 :]
        case "truncate":
            return document[:at]
        case "cut":
            return document[:at] + document[at + draw(st.integers(1, 40)) :]
        case "double":
            return b"\n".join([*lines[: row + 1], *lines[row:]])
        case "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[row], lines[other] = lines[other], lines[row]
            return b"\n".join(lines)
        case "field":
            # another value in one cell of one line
            separator = next((mark for mark in (b"\t", b",", b"=", b" ") if mark in lines[row]), b":")
            cells = lines[row].split(separator)
            cells[draw(st.integers(0, len(cells) - 1))] = draw(_splinter())
            lines[row] = separator.join(cells)
            return b"\n".join(lines)
        case _:
            return document[:at] + draw(_splinter()) + document[at:]


def _splinter() -> st.SearchStrategy[bytes]:
    return st.one_of(st.sampled_from(NASTY), st.text(max_size=8).map(lambda text: text.encode()), st.binary(max_size=8))


def broken(valid: bytes, *, most: int = 4) -> st.SearchStrategy[bytes]:
    """Mostly accidents of a valid document, now and then bytes that never were one."""
    return st.one_of(mutated(valid, most=most), mutated(valid, most=most), junk())
