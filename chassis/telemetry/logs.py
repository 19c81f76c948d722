"""JSON logs, one object a line, with the trace they belong to. No payloads, no paths of people's files, keys only."""

from __future__ import annotations

import logging
import sys
import time

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
        JsonFormatter(
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
