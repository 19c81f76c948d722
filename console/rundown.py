"""One run or all of them, as ingest and align tell of them, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console import views as v
from console.labels import Labels
from console.output import ago, console, note, say, state, table
from console.standing import MOVERS, Standing, standings


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRun:
    run: Mapping[str, Any]
    samples: tuple[Standing, ...]
    rejections: Sequence[Mapping[str, Any]]
    files: Sequence[Mapping[str, Any]]
    """File names as the laboratory gave them, by sample, lane and mate: for people who may see them."""


async def one_run(views: v.Views, run: str) -> OneRun | None:
    row = await views.one("ingest", v.RUN, run)
    if row is None:
        return None
    members = {service: await views.rows(service, v.MEMBERS, run, v.MOST) for service in MOVERS}
    return OneRun(
        run=row,
        samples=tuple(line for line in standings(members) if line.kind == "sample"),
        rejections=await views.rows("ingest", v.REJECTIONS_OF_RUN, run),
        files=await views.rows("ingest", v.FILES_OF_RUN, run),
    )


def run_json(found: OneRun, labels: Labels) -> dict[str, Any]:
    from console.snapshot import line_json

    return {
        **found.run,
        "sample_lines": [line_json(line, labels) for line in found.samples],
        "rejections": list(found.rejections),
    }


def show_runs(rows: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> None:
    if not rows:
        say("no run has been seen yet: copy a run folder into one of [ingest] roots")
    else:
        shown = [
            (
                row["run"],
                state(row["state"]),
                ago(row["since"]),
                str(row["samples"]),
                str(row["rejected"]),
                row["waits_for"] or "",
            )
            for row in rows
        ]
        console().print(table(("run", "state", "#since", "#samples", "#rejected", "waits for"), shown))
    for remark in notes:
        note(remark)


def show_run(found: OneRun, labels: Labels) -> None:
    row = found.run
    say(f"{row['run']} is {row['state']} ({ago(row['since'])}); its folder lies in {row['root']}")
    if row["waits_for"]:
        say(f"waits for {row['waits_for']}")
    say("")
    rows = [
        (labels.shown(line.subject), state(line.state), ago(line.since), line.waits_for or "") for line in found.samples
    ]
    if rows:
        console().print(table(("sample", "state", "#since", "waits for"), rows))
    for rejection in found.rejections:
        say("")
        say(refusal(rejection, labels, found.files))


def refusal(rejection: Mapping[str, Any], labels: Labels, files: Sequence[Mapping[str, Any]] = ()) -> str:
    """A rejection in words, its sample by label and the files it may mean by name."""
    who = labels.shown(rejection["subject"]) if rejection["kind"] == "sample" else rejection["subject"]
    named = sorted({row["file"] for row in files if row["sample"] == rejection["subject"] and row["file"]})
    which = f" Its files: {', '.join(named)}." if named else ""
    return (
        f"{who}: {rejection['code']}: {rejection['message']} [{rejection['place']}]. Rule: {rejection['rule']}. "
        f"To mend it: {rejection['fix']}.{which}"
    )
