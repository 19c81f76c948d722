"""Alerts: something is not as a fact said. A log line, a counter that a rule can watch, and a status for people."""

from __future__ import annotations

import logging

from chassis.telemetry.setup import meter

log = logging.getLogger("services.archive.alerts")

METRIC = "cohortstream.archive.alerts"


def alert(what: str, message: str, **about: str) -> None:
    """`what` is one of a few words (`fingerprint-differs`, `refused`, `missing`); `about` holds keys, never names."""
    log.error(message, extra={"alert": what, **about})
    meter().create_counter(METRIC, unit="1", description="things in the archive that a person must look at").add(
        1, {"alert": what}
    )
