"""JSON logs, one object a line, with the trace they belong to. No payloads, no paths of people's files, keys only."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Iterator

from opentelemetry import trace
from pythonjsonlogger.json import JsonFormatter

NOISY = ("aiokafka", "aiobotocore", "botocore", "faststream", "asyncio", "urllib3", "opentelemetry")
LINES_PER_MINUTE = 30
"""aiokafka writes about 100 ERROR lines a second while a broker is away; this many say the same."""


class TraceIds(logging.Filter):
    """Adds trace_id and span_id of the current span."""

    def filter(self, record: logging.LogRecord) -> bool:
        found = trace.get_current_span().get_span_context()
        if found.is_valid:
            record.trace_id = format(found.trace_id, "032x")
            record.span_id = format(found.span_id, "016x")
        return True


class Places(JsonFormatter):
    """Writes of an exception what it is and where it was raised, not its words: those of libraries repeat values (of a
    statement's parameters, of a file's name), and a value may name a person. Our own exceptions withhold them."""

    def formatException(self, ei: object) -> str:
        error = ei[1] if isinstance(ei, tuple) else None
        return "\n".join(_places(error)) if isinstance(error, BaseException) else ""


def _places(error: BaseException) -> Iterator[str]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _places(cause)
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"  {frame.filename}, line {frame.lineno}, in {frame.name}"
    yield _named(error)
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _places(one)


def _named(error: BaseException) -> str:
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    if type(error).__module__.startswith("chassis."):
        return f"{name}: {error}"
    state = getattr(error, "sqlstate", None)
    return f"{name} {state}" if isinstance(state, str) else name


class RateLimit(logging.Filter):
    """Lets at most `lines` records of one logger and level through a minute, and counts the rest aloud."""

    def __init__(self, *, lines: int = LINES_PER_MINUTE) -> None:
        super().__init__()
        self._lines = lines
        self._window: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(NOISY):
            return True
        key = (record.name, record.levelno)
        started, count = self._window.get(key, (time.monotonic(), 0))
        if time.monotonic() - started > 60:
            if count > self._lines:
                record.msg = f"{record.getMessage()} ({count - self._lines} lines like this were left out)"
                record.args = ()
            started, count = time.monotonic(), 0
        self._window[key] = (started, count + 1)
        return count < self._lines


def setup_logs(*, service: str, process: str, level: str) -> None:
    """Send all logs of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        Places(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            static_fields={"service": service, "process": process},
        )
    )
    handler.addFilter(TraceIds())
    handler.addFilter(RateLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(logging.getLevelName(level), logging.WARNING))
