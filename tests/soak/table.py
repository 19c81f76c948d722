"""A soak's outcome as people read it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tests.soak.schedule import KILLS
from tests.soak.verdict import INVARIANTS, Outcome

MOST_NAMED = 20


def shown(outcome: Outcome, *, console: Console) -> None:
    table = Table(title=f"soak of {outcome.seconds:.0f} s, seed {outcome.seed}", title_justify="left")
    table.add_column("what")
    table.add_column("how many", justify="right")
    for what, figure in figures(outcome):
        table.add_row(what, figure)
    table.add_section()
    for name, promise in INVARIANTS.items():
        wrong = len(outcome.broken[name])
        table.add_row(f"{name}: {promise}", "held" if not wrong else f"broken by {wrong}")
    console.print(table)
    for name, keys in outcome.broken.items():
        for key in keys[:MOST_NAMED]:
            console.print(f"{name} broken by {key}", markup=False, soft_wrap=True)
        if len(keys) > MOST_NAMED:
            console.print(f"{name} broken by {len(keys) - MOST_NAMED} more")


def figures(outcome: Outcome) -> list[tuple[str, str]]:
    """The table's lines above the invariants."""
    tasks = outcome.tasks
    lines = [
        ("samples", str(outcome.samples)),
        ("cohorts, each to its panel", str(outcome.cohorts)),
        ("tasks", f"{sum(tasks.values()):,}"),
        (
            "of these done / refused / cancelled",
            " / ".join(f"{tasks.get(s, 0):,}" for s in ("done", "failed", "cancelled")),
        ),
        ("attempts", f"{sum(outcome.attempts.values()):,}"),
        ("kills", str(outcome.kills)),
    ]
    lines += [(f"  {kind}", str(outcome.struck.get(kind, 0))) for kind in KILLS]
    lines += [(kind, str(count)) for kind, count in sorted(outcome.struck.items()) if kind not in KILLS]
    lines += [
        ("attempts that crashed", str(outcome.attempts.get("crash", 0))),
        ("attempts that were given back", str(outcome.attempts.get("preemption", 0))),
        ("leases lost", str(outcome.lost)),
        ("events acted on", f"{outcome.events:,}"),
        ("redeliveries absorbed", f"{outcome.redelivered:,}"),
        ("poison set aside", str(outcome.noise.get("poison", 0))),
        ("wasted work", f"{100 * outcome.wasted:.1f} %"),
        ("artifacts of the withdrawn purged", f"{outcome.purged:,}"),
        ("committed results looked at", f"{outcome.results_checked:,}"),
        ("artifacts kept, their bytes read", f"{outcome.kept:,}"),
    ]
    return lines
