"""Who publishes each event and who reads it: the source of the AsyncAPI operations and of docs/events.md."""

from __future__ import annotations

from dataclasses import dataclass

SERVICES = ("ingest", "align", "jointcall", "vqsr", "annotate", "archive")
CONSOLE = "console"
"""The `cohortstream` command, the web page, and the people and other systems behind them."""
EVERYONE = (*SERVICES, CONSOLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    producers: tuple[str, ...]
    consumers: tuple[str, ...]


def _parties(producers: tuple[str, ...], consumers: tuple[str, ...]) -> Parties:
    return Parties(producers=producers, consumers=consumers)


_NOT_ARCHIVE = tuple(party for party in EVERYONE if party != "archive")

PARTIES: dict[str, Parties] = {
    "run.completed": _parties(("ingest",), ("align", "archive")),
    "run.rejected": _parties(("ingest",), (CONSOLE,)),
    "sample.failed": _parties(("ingest", "align", "jointcall"), (CONSOLE,)),
    "cram.ready": _parties(("align",), ("archive",)),
    "gvcf.ready": _parties(("align",), ("jointcall", "archive")),
    "cohort.freeze.requested": _parties((CONSOLE,), ("jointcall",)),
    "cohort.frozen": _parties(("jointcall",), ("vqsr", "archive")),
    "interval.genotyped": _parties(("jointcall",), ("vqsr", "archive")),
    "panel.recalibrated": _parties(("vqsr",), ("annotate", "archive")),
    "panel.released": _parties(("annotate",), ("jointcall", "archive", CONSOLE)),
    "freeze.failed": _parties(("jointcall", "vqsr", "annotate"), ("jointcall", "vqsr", "annotate", "archive", CONSOLE)),
    "sample.verdict.requested": _parties((CONSOLE,), ("jointcall",)),
    "sample.tag.requested": _parties((CONSOLE,), ("jointcall",)),
    "sample.withdrawal.requested": _parties((CONSOLE,), SERVICES),
    "sample.withdrawn": _parties(SERVICES, (CONSOLE,)),
    "work.cancel.requested": _parties((CONSOLE,), SERVICES),
    "work.revive.requested": _parties((CONSOLE,), SERVICES),
    "quarantine.decision.requested": _parties((CONSOLE,), SERVICES),
    # any service may need an object that lies in a cold tier, or need it kept; the archive's own tasks read objects too
    "artifact.restore.requested": _parties(EVERYONE, ("archive",)),
    "artifact.hold.requested": _parties(_NOT_ARCHIVE, ("archive",)),
    "artifact.hold.released": _parties(_NOT_ARCHIVE, ("archive",)),
    "artifact.condemned": _parties(("archive",), _NOT_ARCHIVE),
    "artifact.tiered": _parties(("archive",), _NOT_ARCHIVE),
    "artifact.restored": _parties(("archive",), EVERYONE),
    "artifact.purged": _parties(("archive",), _NOT_ARCHIVE),
}
