"""Alerts: something is not as a fact said. A log line, a counter that a rule can watch, and a status for people."""

from __future__ import annotations

import logging

from chassis.telemetry.setup import meter

log = logging.getLogger("services.archive.alerts")

METRIC = "cohortstream.archive.alerts"
REFUSED = "cohortstream.archive.refused"


def alert(what: str, message: str, **about: str) -> None:
    """`what` is one of a few words (`fingerprint-differs`, `refused`, `missing`); `about` holds keys, never names."""
    log.error(message, extra={"alert": what, **about})
    meter().create_counter(METRIC, unit="1", description="things in the archive that a person must look at").add(
        1, {"alert": what}
    )


def refused(code: str, message: str, **about: str) -> None:
    """An act was refused, or can never be done: an alert, counted by its reason's code too."""
    what = "fingerprint-differs" if code == "FINGERPRINT_DIFFERS" else "refused"
    alert(what, message, **about, code=code)
    meter().create_counter(REFUSED, unit="1", description="moves and purges refused, by the reason's code").add(
        1, {"code": code}
    )
