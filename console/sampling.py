"""Samples as ingest, align and jointcall tell of them, put together for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from console import views as v
from console.labels import Labels
from console.output import ago, console, note, say, state, table
from console.rundown import refusal
from console.standing import MOVERS, standings


async def all_samples(views: v.Views) -> list[dict[str, Any]]:
    """Every sample that ingest or jointcall knows, by project and label."""
    labels = Labels(await views.rows("ingest", v.LABELS))
    lines = {
        line.subject: line
        for line in standings(await views.everywhere(v.SUBJECTS, v.MOST, services=MOVERS))
        if line.kind == "sample"
    }
    called = {row["key"]: row for row in await views.rows("jointcall", v.SAMPLES)}
    keys = dict.fromkeys([*(label.key for label in labels), *lines, *called])
    rows = [_sample(key, labels, lines.get(key), called.get(key)) for key in keys]
    return sorted(rows, key=lambda row: (row["project"], row["label"]))


async def one_sample(views: v.Views, named: str) -> dict[str, Any]:
    """Everything about one sample. Raises Rejected (SAMPLE_UNKNOWN, SAMPLE_AMBIGUOUS)."""
    labels = Labels(await views.rows("ingest", v.LABELS))
    return await sample_of(views, labels.resolve(named), labels)


async def sample_of(views: v.Views, key: str, labels: Labels) -> dict[str, Any]:
    """The same for a key; its label stands where `labels` has it."""
    said = {service: await views.rows(service, v.SUBJECT, key) for service in MOVERS}
    lines = [line for line in standings(said) if line.kind == "sample"]
    row = _sample(key, labels, lines[0] if lines else None, await views.one("jointcall", v.SAMPLE, key))
    tasks = [
        {"service": service, **task}
        for service in MOVERS
        for task in await views.rows(service, v.TASKS_OF, key, 200)
        if task["subject"] == key
    ]
    rejections = await views.rows("ingest", v.REJECTIONS_OF_SUBJECT, key)
    return {
        **row,
        "history": [{"service": service, **one} for service, of_service in said.items() for one in of_service],
        "versions": await views.rows("align", v.VERSIONS, key),
        "tasks": tasks,
        "rejections": [{**rejection, "words": refusal(rejection, labels)} for rejection in rejections],
        "notes": list(views.notes),
    }


def show_samples(rows: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> None:
    if not rows:
        say("no sample is known yet")
    else:
        shown = [
            (
                f"{row['label']} ({row['project']})" if row["project"] else row["label"],
                str(row["version"] or ""),
                state(row["state"] or ""),
                ago(row["since"]),
                _verdict_words(row),
                _coverage(row["mean_coverage"]),
                ", ".join(row["tags"]),
            )
            for row in rows
        ]
        console().print(table(("sample", "#v", "state", "#since", "QC", "#depth", "tags"), shown))
    for remark in notes:
        note(remark)


def show_sample(row: Mapping[str, Any]) -> None:
    from rich.text import Text

    screen = console()
    say(f"{row['label']} ({row['project']})  {row['key']}" if row["project"] else row["key"])
    facts = [("state", f"{row['state'] or 'unknown'} ({ago(row['since']) or 'nothing is known of it'})")]
    if row["waits_for"]:
        facts.append(("waits for", row["waits_for"]))
    if row["verdict"]:
        facts.append(("QC", _verdict_words(row)))
        facts += [("", reason) for reason in row["reasons"]]
    if row["override"]:
        facts.append(("", f"{row['override_by']}: {row['override_reason']}"))
    if row["reference"]:
        facts += [("reference", row["reference"]), ("pipeline", row["pipeline"])]
    if row["tags"]:
        facts.append(("tags", ", ".join(row["tags"])))
    screen.print(table(("", ""), [(Text(name, style="dim"), said) for name, said in facts]))
    if row["versions"]:
        screen.print()
        screen.print(table(("#v", "run", "state", "#since", "figures"), [_version(one) for one in row["versions"]]))
    if row["tasks"]:
        tasks = [
            (f"{t['service']} {t['kind']}", state(_task_state(t)), ago(t["changed_at"]), str(t["epoch"]), _endings(t))
            for t in row["tasks"]
        ]
        screen.print()
        screen.print(table(("task", "state", "#since", "#attempts", "ended without a result"), tasks))
    for one in [task["error"] for task in row["tasks"] if task["error"]]:
        say(f"\n{one['code']}: {one['message']} [{one['where']}]. To mend it: {one['fix']}.")
    for rejection in row["rejections"]:
        say(f"\n{rejection['words']}")


def _sample(key: str, labels: Labels, line: Any, called: Mapping[str, Any] | None) -> dict[str, Any]:
    label = labels.get(key)
    called = called or {}
    return {
        "key": key,
        "label": label.label if label else key,
        "project": label.project if label else called.get("project", ""),
        "version": called.get("version") or (label.version if label else None),
        "state": line.state if line else None,
        "since": line.since if line else None,
        "waits_for": line.waits_for if line else None,
        "verdict": called.get("verdict"),
        "reasons": called.get("reasons") or [],
        "override": called.get("override"),
        "override_by": called.get("override_by"),
        "override_reason": called.get("override_reason"),
        "effective": called.get("override") or called.get("verdict"),
        "mean_coverage": called.get("mean_coverage"),
        "reference": called.get("reference"),
        "pipeline": called.get("pipeline"),
        "tags": list(called.get("tags") or ()),
    }


def _version(one: Mapping[str, Any]) -> tuple[Any, ...]:
    metrics = one["metrics"] or {}
    shown = (
        ("mean_coverage", "depth {:.1f}"),
        ("duplication", "duplicates {:.1%}"),
        ("mapped", "mapped {:.1%}"),
        ("insert_median", "insert {:.0f}"),
    )
    figures = ", ".join(words.format(metrics[name]) for name, words in shown if metrics.get(name) is not None)
    return str(one["version"]), one["run"], state(one["state"]), ago(one["since"]), figures


def _verdict_words(row: Mapping[str, Any]) -> str:
    if row["override"]:
        return f"{row['verdict']} → {row['override']} by {row['override_by']}"
    return row["verdict"] or ""


def _coverage(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}x"


def _task_state(task: Mapping[str, Any]) -> str:
    return "running" if task["state"] == "leased" else str(task["state"])


def _endings(task: Mapping[str, Any]) -> str:
    kinds = (("crashes", "crashes"), ("losses", "losses"), ("preemptions", "preemptions"), ("retries", "retries"))
    return ", ".join(f"{task[column]} {word}" for column, word in kinds if task[column])
