"""The doctor's findings for people."""

from __future__ import annotations

from collections.abc import Sequence

from console.doctor.check import Check
from console.output import console, table

MARKS = {"well": ("✓", "green"), "note": ("!", "yellow"), "bad": ("✗", "bold red")}


def show(checks: Sequence[Check]) -> None:
    from rich.text import Text

    rows = []
    for check in checks:
        mark, style = MARKS[check.verdict]
        said = Text(check.said)
        if check.fix:
            said.append(f"\n→ {check.fix}", style=style)
        rows.append((Text(mark, style=style), check.what, said))
    screen = console()
    screen.print(table(("", "", ""), rows))
    bad = sum(check.verdict == "bad" for check in checks)
    screen.print("all is well" if not bad else f"{bad} to mend", style="green" if not bad else "bold red")
