"""What is told of a tool's run: its name, how it ended, what it took; nothing of what it was given."""

from __future__ import annotations

import mmap
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chassis.errors import ToolFailed, reject
from chassis.tools import measured
from tests.support.told import ATTRIBUTES, attributes_of, exit_codes, tools_told

MB = 1 << 20
EATS = f"held = bytearray(b'x') * (150 * {MB}); import time; end = time.process_time() + 0.3\n"
BURNS = "while time.process_time() < end: pass\n"


def _child(body: str, log: Path) -> int:
    with measured.tool("sieve", executable="python") as usage:
        return measured.run([sys.executable, "-I", "-S", "-c", body, "an argument"], usage=usage, log=log)


@contextmanager
def _resident(size: int) -> Iterator[None]:
    """Memory that is surely new: what an allocator gives may be resident already, from tests before."""
    with mmap.mmap(-1, size) as held:
        for page in range(0, size, mmap.PAGESIZE):
            held[page] = 1
        yield


def test_a_child_is_told_with_its_own_time_and_memory(tmp_path: Path) -> None:
    with tools_told() as kept:
        assert _child(EATS + BURNS, tmp_path / "log") == 0
        _child("pass", tmp_path / "log")
    large, small = kept.get_finished_spans()
    assert large.name == "tool sieve"
    assert set(attributes_of(large)) == ATTRIBUTES
    assert 0.3 <= attributes_of(large)["cohortstream.cpu_seconds"] < 5
    assert 150 * MB < attributes_of(large)["cohortstream.peak_memory_bytes"] < 220 * MB
    assert attributes_of(small)["cohortstream.cpu_seconds"] < 0.3
    assert large.status.is_unset and "an argument" not in large.to_json()


def test_a_child_that_is_smaller_than_this_process_is_told_with_its_own_size(tmp_path: Path) -> None:
    """What the kernel counts from before the exec is this process's memory, not the child's."""
    held = bytearray(b"x") * (300 * MB)
    with tools_told() as kept:
        _child("import time; time.sleep(0.5)", tmp_path / "log")
    (span,) = kept.get_finished_spans()
    assert 1 * MB < attributes_of(span)["cohortstream.peak_memory_bytes"] < 60 * MB
    assert len(held) == 300 * MB


def test_in_this_process_only_the_tools_own_time_and_peak_count(tmp_path: Path) -> None:
    def streaming() -> Iterator[int]:
        with measured.tool("sieve", executable="python") as usage:
            for step in range(2):
                with usage.in_process():
                    end = time.process_time() + 0.1
                    with _resident(100 * MB):
                        while time.process_time() < end:
                            pass
                yield step

    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    before = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
    with tools_told() as kept:
        for _ in streaming():
            end = time.process_time() + 0.4
            with _resident(400 * MB):  # of whoever takes what the tool gives
                while time.process_time() < end:
                    pass
    (span,) = kept.get_finished_spans()
    assert 0.2 <= attributes_of(span)["cohortstream.cpu_seconds"] < 0.6
    assert 90 * MB < attributes_of(span)["cohortstream.peak_memory_bytes"] - before < 350 * MB


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ToolFailed(tool="t", status=7, said="no"), 7),
        (ToolFailed(tool="t", status="incomplete", said="no"), 1),
        (reject(code="TOOL_INPUT", message="no", where="x", rule="r", fix="f"), 2),
    ],
)
def test_a_failure_is_an_error_with_a_status_and_without_its_words(error: Exception, status: int) -> None:
    with tools_told() as kept, pytest.raises(type(error)), measured.tool("t", executable="t"):
        raise error
    (span,) = kept.get_finished_spans()
    assert exit_codes(kept) == [("tool t", status)]
    assert attributes_of(span)["error.type"] == type(error).__name__
    assert (span.status.is_ok, span.status.description, span.events) == (False, None, ())
