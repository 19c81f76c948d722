"""What a freeze took over, in words."""

from __future__ import annotations

from console.reusing import reuse_words

REUSE = {"samples_reused": 6, "samples_imported": 2, "bytes_reused": 4_100_000, "bytes_written": 1_234_567}


def test_a_freeze_that_began_with_another_says_so() -> None:
    assert reuse_words({"reuse": REUSE, "begun_with": "north:1"}) == (
        "6 reused from freeze 1, 2 imported; 1.2 MB of columns written, 4.1 MB reused"
    )


def test_a_freeze_that_began_with_none_and_one_that_cannot() -> None:
    first = REUSE | {"samples_reused": 0, "samples_imported": 8, "bytes_reused": 0}
    assert reuse_words({"reuse": first, "begun_with": None}) == "8 imported; 1.2 MB of columns written"
    assert reuse_words({"reuse": None, "begun_with": None}) is None
