"""Templates and what they are given: names that the viewer may see, times, sizes, states as word, tone and mark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.labels import KEY, Labels
from console.output import age, size, span
from console.page.sessions import Viewer

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

HERE = Path(__file__).parent
SHORT_KEY = len("smp_") + 8
TRACE_ID = re.compile(r"[0-9a-f]{32}")

TONES: Mapping[str, tuple[str, ...]] = {
    "bad": ("failed", "rejected", "refused", "fingerprint", "missing", "dead", "fail", "crash", "unreadable", "stuck"),
    "hold": ("held", "hold", "called; qc", "condemned", "loss", "preemption", "retry", "retried", "unknown"),
    "off": ("cancelled", "withdrawn", "discarded", "purged", "passed over"),
    "ok": (
        *("done", "released", "announced", "completed", "called", "ready for cohorts", "genotyped", "reads verified"),
        *("stored", "readable", "pass", "checked", "good", "replayed", "recorded", "cram recorded", "tiered", "noted"),
        *("annotated", "filtered", "recalibrated"),
    ),
    "run": (
        *("running", "leased", "aligning", "calling", "checking", "genotyping", "planning", "gathering", "training"),
        *("filtering", "finalising", "annotating", "releasing", "restoring", "copying", "purging"),
    ),
}
"""By the beginning of the state's word, in this order; all else waits."""


def tone(word: str) -> str:
    """What a state means to a person: ok, run, wait, hold, bad or off."""
    low = word.lower()
    if low in ("genotyped", "called") or low.startswith("ready for"):
        return "ok"
    return next((name for name, starts in TONES.items() if low.startswith(starts)), "wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What subjects are called for this viewer: labels for who has signed in, short keys for everyone else."""

    labels: Labels

    def of(self, subject: str) -> str:
        found = self.labels.get(subject)
        if found is not None:
            return str(found)
        return (
            f"{subject[:SHORT_KEY]}…" if KEY.fullmatch(subject) or re.fullmatch(r"[0-9a-f]{64}", subject) else subject
        )

    def said(self, text: str | None) -> str:
        """A sentence with the names of the samples that it mentions by key."""
        return KEY.sub(lambda found: self.of(found[0]), text or "")


def place_of(subject: str, kind: str) -> str:
    """The page of a subject."""
    from urllib.parse import quote

    named = quote(subject, safe=":")
    match kind.partition(" ")[0]:
        case "run":
            return f"/runs/{named}"
        case "freeze":
            return f"/freezes/{named}"
        case "artifact":
            return f"/artifacts/{named}"
        case "sample":
            return f"/samples/{named}"
        case _:
            return f"/find?q={quote(subject, safe='')}"


def kind_of(subject: str) -> str:
    """What a subject is, by how it is named."""
    if KEY.fullmatch(subject):
        return "sample"
    if re.fullmatch(r"[0-9a-f]{64}", subject):
        return "artifact"
    return "freeze" if re.fullmatch(r".+:[0-9]+", subject) else "run"


def environment(*, traces_url: str | None) -> Environment:
    """Jinja, with everything escaped unless it is marked."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        ago=ago,
        span=lambda value: "" if value is None else span(value),
        size=lambda value: "" if value is None else size(value),
        dollars=dollars,
        number=number,
        percent=percent,
        tone=tone,
        place=place_of,
        kind=kind_of,
        clock=clock,
        coded=coded,
    )
    made.globals.update(trace_link=lambda trace_id: trace_link(traces_url, trace_id))
    return made


def coded(text: str) -> Markup:
    """A sentence whose `commands` in backticks are set as code."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if at % 2 else escape(part) for at, part in enumerate(parts)
    )


def trace_link(traces_url: str | None, trace_id: str | None) -> str | None:
    """Where a trace can be looked at; None where no such place is configured."""
    if not traces_url or not trace_id or not TRACE_ID.fullmatch(trace_id):
        return None
    return traces_url.replace("{trace_id}", trace_id) if traces_url.startswith(("http://", "https://")) else None


def ago(moment: datetime | None, words: str = "ago") -> Markup:
    """A relative time, the exact one beside it for whoever asks."""
    from markupsafe import Markup

    if moment is None:
        return Markup("")
    exact = moment.astimezone(UTC)
    ahead = (moment - datetime.now(UTC)).total_seconds()
    said = f"in {span(ahead)}" if ahead > 1 else f"{age(moment)} {words}".strip()
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.isoformat(timespec="seconds"), f"{exact:%Y-%m-%d %H:%M:%S} UTC", said
    )


def clock(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def dollars(amount: float | None) -> str:
    """Small sums keep two digits that mean something."""
    if amount is None:
        return ""
    if amount and abs(amount) < 0.01:
        return "< $0.01" if amount > 0 else "> -$0.01"
    return f"${amount:,.2f}"


def number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def percent(part: float, whole: float) -> str:
    """A whole percentage that is 100 only when nothing is left."""
    return "0%" if not whole else f"{min(99, int(100 * part / whole)) if part < whole else 100}%"


def names_for(viewer: Viewer, rows: Sequence[Mapping[str, Any]]) -> Names:
    """The only place where labels meet a viewer: rows are dropped for who has not signed in."""
    return Names(labels=Labels(rows if viewer.signed_in else ()))
