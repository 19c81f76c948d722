"""`trace SUBJECT`: what led to what, from the spans in the state folder or from a tracing backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.invocation import invocation
from console.output import Json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chassis.settings import Settings
    from chassis.telemetry.spans import Span
    from console.labels import Labels
    from console.spantree import Node, Trace

PANEL = "See"
LATEST = 5


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL)(trace)


def trace(
    context: typer.Context,
    subject: Annotated[
        str,
        typer.Argument(metavar="SUBJECT", help="A run, a sample (label, project/label, key), a cohort or a freeze."),
    ],
    every: Annotated[bool, typer.Option("--all", help=f"All its traces, not the latest {LATEST}.")] = False,
    as_json: Json = False,
) -> None:
    """What happened to a run, a sample or a cohort: each step, how long it took, how it ended, what it led to."""
    import asyncio

    from chassis.errors import reject
    from console.output import note, print_json
    from console.spantree import span_json, traces_of

    settings = invocation(context).found()
    labels = asyncio.run(_labels(settings))
    found = traces_of(_spans(settings, subject), subject)
    if not found and len(labels) and (key := labels.resolve(subject)) != subject:
        found = traces_of(_spans(settings, key), key)
    if not found:
        raise reject(
            code="TRACE_UNKNOWN",
            message="no span is about it",
            where=subject,
            rule=f"spans lie in {_place(settings)}, each written when its step ends",
            fix="`cohortstream status` shows what there is; while the site is down a sample is named by its key",
        )
    shown = found if every else found[-LATEST:]
    if as_json:
        return print_json(
            [
                {
                    "trace_id": one.trace_id,
                    "url": _link(settings, one),
                    "connected": one.connected,
                    "seconds": one.seconds,
                    "spans": [span_json(span) for span in one.spans],
                }
                for one in shown
            ]
        )
    for one in shown:
        _show(one, labels, link=_link(settings, one))
    if len(shown) < len(found):
        note(f"{len(found) - len(shown)} earlier traces (--all shows them)")


def _spans(settings: Settings, subject: str) -> list[Span]:
    api = settings.telemetry.traces_api
    if api is None:
        from chassis.telemetry.spans import read_spans

        return list(read_spans(settings.state_dir))
    from console.jaeger import fetch_spans

    return fetch_spans(api, subject)


def _place(settings: Settings) -> str:
    return settings.telemetry.traces_api or str(settings.state_dir / "spans")


def _link(settings: Settings, one: Trace) -> str | None:
    url = settings.telemetry.traces_url
    return url.replace("{trace_id}", one.trace_id) if url else None


def _show(one: Trace, labels: Labels, *, link: str | None) -> None:
    from datetime import datetime

    from rich.tree import Tree

    from console.output import console, say, span
    from console.spantree import ENDING, is_drawn

    spans = one.spans
    services = len({each.service for each in spans})
    began = datetime.fromtimestamp(one.start / 1e9)
    title = (
        f"trace {one.trace_id}  {began:%Y-%m-%d %H:%M:%S}  {span(one.seconds)}, {len(spans)} steps in "
        f"{services} services"
    )
    commits = sum(not is_drawn(each) for each in spans)
    say(title + (f" ({commits} quick commit{'s' if commits > 1 else ''} not drawn)" if commits else ""))
    if link:
        say(link)
    tree = Tree("", guide_style="dim", hide_root=True)
    endings = {each.span_id: str(each.attributes[ENDING]) for each in spans if ENDING in each.attributes}
    for root in filter(_drawn, one.roots):
        _add(tree, root, labels, endings)
    screen = console()
    screen.print(tree)
    screen.print()


def _add(tree: Any, node: Node, labels: Labels, endings: Mapping[str, str], *, above: Any = None) -> None:
    from console.spantree import SUBJECT

    subject = node.span.attributes.get(SUBJECT)
    line = _line(node.span, labels, endings, cause_lost=node.cause_lost, said=subject in (None, above))
    branch = tree.add(line)
    for child in filter(_drawn, node.children):
        _add(branch, child, labels, endings, above=subject or above)


def _drawn(node: Node) -> bool:
    from console.spantree import is_drawn

    return bool(node.children) or is_drawn(node.span)


def _line(one: Span, labels: Labels, endings: Mapping[str, str], *, cause_lost: bool, said: bool) -> Any:
    """One step. `said`: its subject is its cause's, and stands there already."""
    from rich.text import Text

    from console.output import span
    from console.spantree import ATTEMPT, ENDING, REASON, SUBJECT, WAITED_FOR, part_of

    line = Text()
    if one.service not in one.name.split() and not one.name.startswith("tool "):
        line.append(f"{one.service} ", style="dim")
    line.append(one.name, style="bold" if one.ok else "bold red")
    subject = one.attributes.get(SUBJECT)
    if subject and not said:
        line.append(f"  {labels.shown(str(subject))}")
    part = part_of(one)
    if part:
        line.append(f"  {part}", style="dim")
    line.append(f"  {span(one.seconds)}", style="cyan")
    ending = one.attributes.get(ENDING)
    if ending:
        line.append(f"  {ending}", style="green" if ending == "done" else "yellow" if one.ok else "red")
    reason = one.attributes.get(REASON) or one.attributes.get(WAITED_FOR)
    if reason:
        line.append(f" ({reason})" if ending else f"  for {reason}", style="yellow")
    line.append(_used(one), style="dim")
    attempt = one.attributes.get(ATTEMPT)
    if isinstance(attempt, int) and attempt > 1:
        after = [endings[span_id] for _, span_id in one.links if span_id in endings]
        line.append(f"  attempt {attempt}" + (f" after {after[0]}" if len(after) == 1 else ""), style="yellow")
    if one.links:
        line.append(f"  {len(one.links)} link{'s' if len(one.links) > 1 else ''}", style="dim")
    if cause_lost:
        line.append("  (its cause is not recorded: still running, or killed)", style="dim")
    return line


def _used(one: Span) -> str:
    """What a tool's run took, and its exit status when that is not 0."""
    from console.spantree import CPU_SECONDS, EXIT_CODE, PEAK_BYTES

    cpu, peak = one.attributes.get(CPU_SECONDS), one.attributes.get(PEAK_BYTES)
    if cpu is None or peak is None:
        return ""
    status = one.attributes.get(EXIT_CODE, 0)
    return f"  {cpu:.1f} s of processor, {peak / 1e6:.0f} MB" + (f", exit status {status}" if status else "")


async def _labels(settings: Settings) -> Labels:
    """Labels where the ledger can be reached; none otherwise, as spans are read without a site too."""
    from console.exits import Unreachable
    from console.labels import Labels
    from console.runtime import names_servers
    from console.views import LABELS, open_views

    if not names_servers(settings)[1]:
        return Labels([])
    try:
        async with open_views(settings) as views:
            return Labels(await views.rows("ingest", LABELS))
    except Unreachable:
        return Labels([])
