"""Python imports this at its start when the folder is on PYTHONPATH: this process's wall clock is then wrong by
WRONG_CLOCK_SECONDS, as on a host that lost its time server. The monotonic clock is left alone, as there.
"""

import datetime
import os
import time

OFF = float(os.environ["WRONG_CLOCK_SECONDS"])
_time, _time_ns, _right = time.time, time.time_ns, datetime.datetime


class _AnyDatetime(type):
    """Values made before, or in C, are datetimes too."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _right)


class _Wrong(_right, metaclass=_AnyDatetime):
    @classmethod
    def now(cls, tz: "datetime.tzinfo | None" = None) -> "datetime.datetime":
        return _right.now(tz) + datetime.timedelta(seconds=OFF)

    @classmethod
    def utcnow(cls) -> "datetime.datetime":
        return _right.utcnow() + datetime.timedelta(seconds=OFF)


time.time = lambda: _time() + OFF
time.time_ns = lambda: _time_ns() + int(OFF * 1e9)
datetime.datetime = _Wrong
