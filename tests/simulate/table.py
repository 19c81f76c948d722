"""The figures as a table, the published system's beside them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

PUBLISHED = {"tasks": 2_371, "jobs": 3_637, "wasted_percent": 20.0}
"""The published system on spot machines: 3,637 jobs for 2,371 intervals, about 20 % wasted. Its fleet, its MTBF and the
shape of its runtimes are not published: beside our rows it is a landmark, not a row of the same experiment."""

COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("chunk\nmin", lambda row: "-" if row["chunk_minutes"] is None else f"{row['chunk_minutes']:.0f}"),
    ("tasks", lambda row: f"{row['tasks']:,}"),
    ("attempts", lambda row: f"{row['attempts']:,}"),
    ("a task", lambda row: f"{row['attempts'] / row['tasks']:.2f}"),
    ("losses", lambda row: f"{row['losses']:,}"),
    ("preemp-\ntions", lambda row: f"{row['preemptions']:,}"),
    ("dead\nletters", lambda row: f"{row['dead']:,}"),
    ("over-\nhead h", lambda row: f"{row['overhead_hours']:,.0f}"),
    ("wasted\nh", lambda row: f"{row['wasted_hours']:,.0f}"),
    ("of it\nstranded", lambda row: f"{row['stranded_hours']:,.0f}"),
    ("wasted\n%", lambda row: f"{row['wasted_percent']:.2f}"),
    ("waiting for\na lease h", lambda row: f"{row['waiting_hours']:,.1f}"),
    ("makespan\nh", lambda row: f"{row['makespan_hours']:,.0f}" if row["complete"] else "never"),
    ("all\nended h", lambda row: f"{row['makespan_hours']:,.0f}" if not row["unfinished"] else "never"),
    ("work / W\nh", lambda row: f"{row['share_hours']:,.0f}"),
    ("longest\ntask h", lambda row: f"{row['longest_hours']:,.0f}"),
    ("claims\n/s", lambda row: f"{row['claims_per_s']:,.0f}"),
    ("wall\ns", lambda row: f"{row['wall_s']:.0f}"),
)


def show(document: dict[str, Any], *, console: Console) -> None:
    asked = document["asked"]
    console.print(f"[bold]{document['command']}[/]")
    console.print(
        f"{asked['intervals']:,} intervals of {asked['mean_minutes']:,} min in the mean, "
        f"{asked['workers']} spot workers, {asked['noticed']:.0%} of the reclaims with two minutes' notice, "
        f"seed {asked['seed']}; {_reviving(asked['revive_hours'])}"
    )
    for mtbf in asked["mtbf"]:
        rows = [row for row in document["rows"] if row["mtbf_hours"] == mtbf]
        console.print(_fleet(mtbf, rows))
    console.print(
        f"Published system: {PUBLISHED['jobs']:,} jobs for {PUBLISHED['tasks']:,} intervals "
        f"({PUBLISHED['jobs'] / PUBLISHED['tasks']:.2f} a task), about {PUBLISHED['wasted_percent']:.0f} % wasted; "
        "its fleet is not published."
    )
    console.print(f"{document['wall_s']:.0f} s in all, {asked['processes']} at a time.")


def _fleet(mtbf: float, rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=f"MTBF {mtbf:g} h", title_justify="left", title_style="bold")
    table.add_column("strategy", no_wrap=True)
    for heading, _ in COLUMNS:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(row["strategy"], *(shown(row) for _, shown in COLUMNS))
    return table


def _reviving(hours: float | None) -> str:
    return "nobody revives dead letters" if hours is None else f"a person revives dead letters every {hours:g} h"
