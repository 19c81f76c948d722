"""Strict reading of FASTQ pairs."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.errors import Rejected
from chassis.tools.fastq import plain_name, read_pairs

RECORD = "@r{n} 1:N:0:ACGT\nACGT\n+\nFFF#\n"
WHOLE = "".join(RECORD.format(n=n) for n in range(400)).encode()


def _gz(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(content))
    return path


def _code(r1: Path, r2: Path) -> tuple[str, str]:
    with pytest.raises(Rejected) as refused:
        list(read_pairs(r1, r2))
    return refused.value.rejection.code, refused.value.rejection.where


def test_pairs_come_in_order_with_plain_names(tmp_path: Path) -> None:
    pairs = list(read_pairs(_gz(tmp_path, "1", WHOLE), _gz(tmp_path, "2", WHOLE.replace(b" 1:N", b" 2:N"))))

    assert len(pairs) == 400
    assert pairs[3][0] == pairs[3][1] == ("r3", "ACGT", "FFF#")
    assert [plain_name(text) for text in ("a/1", "a/2 x", "a\t1", "a/3")] == ["a", "a", "a", "a/3"]


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = _gz(tmp_path, "1", WHOLE.replace(b"\n", b"\r\n"))

    assert next(read_pairs(path, path))[0] == ("r0", "ACGT", "FFF#")


def _damaged(change: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "damaged.fastq.gz"
        path.write_bytes(change(gzip.compress(WHOLE)))
        return path

    return write


@pytest.mark.parametrize(
    ("damage", "code", "record"),
    [
        (_damaged(lambda raw: raw[:-9]), "GZIP_TRUNCATED", "record 400"),
        (_damaged(lambda raw: raw[:-6] + b"\0\0" + raw[-4:]), "GZIP_CRC", "record 400"),
        (_damaged(lambda raw: raw + b"junk"), "GZIP_TRAILING", "record 400"),
        (_damaged(lambda raw: b"@r0\nACGT\n"), "FORMAT_MISMATCH", "record 0"),
        (_damaged(lambda raw: gzip.compress(b"")), "EMPTY_INPUT", "record 0"),
        (_damaged(lambda raw: gzip.compress(WHOLE.replace(b"@r7 ", b">r7 "))), "FORMAT_MISMATCH", "record 8"),
        (_damaged(lambda raw: gzip.compress(WHOLE.replace(b"@r7 1:N:0:ACGT\nACGT", b"@r7\nACG"))), "FASTQ_LENGTH", "8"),
        (_damaged(lambda raw: gzip.compress(WHOLE + b"@r400\nAC")), "FORMAT_MISMATCH", "record 401"),
        (_damaged(lambda raw: gzip.compress(WHOLE.replace(b"FFF#\n@r9 ", b"FF\xc3\xa4\n@r9 "))), "FORMAT_MISMATCH", ""),
    ],
)  # fmt: skip
def test_damage_is_named_with_file_and_record(
    tmp_path: Path, damage: Callable[[Path], Path], code: str, record: str
) -> None:
    found, where = _code(damage(tmp_path), _gz(tmp_path, "whole", WHOLE))

    assert found == code
    assert where.startswith("damaged.fastq.gz")
    assert record in where


def test_mates_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    whole = _gz(tmp_path, "whole", WHOLE)
    short = _gz(tmp_path, "short", WHOLE[: -len(RECORD.format(n=399))])

    assert _code(whole, short) == ("PAIR_COUNT", "short")
    assert _code(whole, _gz(tmp_path, "other", WHOLE.replace(b"@r5 ", b"@x5 "))) == (
        "PAIR_NAME",
        "whole and other, record 6",
    )
