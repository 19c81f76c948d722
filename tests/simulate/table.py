"""The figures as a table, the published system's beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

PUBLISHED = {"tasks": 2_371, "jobs": 3_637, "wasted_percent": 20.0}
"""The published system on spot machines: 3,637 jobs for 2,371 intervals, about 20 % wasted. Its fleet, its MTBF and the
shape of its runtimes are not published: beside our rows it is a landmark, not a row of the same experiment."""


def show(document: dict[str, Any], *, console: Console) -> None:
    asked = document["asked"]
    console.print(f"[bold]{document['command']}[/]")
    console.print(
        f"{asked['intervals']:,} intervals of {asked['mean_minutes']:,} min in the mean, "
        f"{asked['workers']} spot workers, {asked['noticed']:.0%} of the reclaims with two minutes' notice, seed {asked['seed']}; "
        f"{_reviving(asked['revive_hours'])}"
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
    names = ("chunk min", "tasks", "attempts", "a task", "losses", "preempted", "dead", "work h", "overhead h")
    more = ("wasted h", "wasted %", "waiting h", "makespan h", "bound h", "longest h", "claims/s", "wall s")
    for name in (*names, *more):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row["strategy"],
            "-" if row["chunk_minutes"] is None else f"{row['chunk_minutes']:.0f}",
            f"{row['tasks']:,}",
            f"{row['attempts']:,}",
            f"{row['attempts'] / row['tasks']:.2f}",
            f"{row['losses']:,}",
            f"{row['preemptions']:,}",
            f"{row['dead']:,}",
            f"{row['work_hours']:,.0f}",
            f"{row['overhead_hours']:,.0f}",
            f"{row['wasted_hours']:,.0f}",
            f"{row['wasted_percent']:.2f}",
            f"{row['waiting_hours']:,.1f}",
            _makespan(row),
            f"{row['bound_hours']:,.0f}",
            f"{row['longest_hours']:,.0f}",
            f"{row['claims_per_s']:,.0f}",
            f"{row['wall_s']:.0f}",
        )
    return table


def _makespan(row: dict[str, Any]) -> str:
    if row["complete"]:
        return f"{row['makespan_hours']:,.0f}"
    missing = row["tasks"] - row["done"]
    return f"never ({missing:,} missing at {row['makespan_hours']:,.0f})"


def _reviving(hours: float | None) -> str:
    return "nobody revives dead letters" if hours is None else f"a person revives dead letters every {hours:g} h"
