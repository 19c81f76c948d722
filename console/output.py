"""What commands print: JSON for scripts, tables and sentences for people, each fitting a terminal of 100 columns."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

STYLES = {
    "done": "green",
    "released": "green",
    "pass": "green",
    "failed": "bold red",
    "rejected": "bold red",
    "cancelled": "red",
    "fail": "red",
    "hold": "yellow",
    "waiting": "yellow",
    "held": "yellow",
}
"""How a state's word is drawn; others as plain text."""


def console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def say(sentence: str) -> None:
    """A line as it is: a path in it can be copied whole."""
    console().print(sentence, markup=False, soft_wrap=True)


def note(sentence: str) -> None:
    """A remark beside the output: on stderr, so that a script's pipe stays clean."""
    from rich.console import Console

    Console(file=sys.stderr, highlight=False).print(sentence, markup=False, style="dim")


def print_json(document: Any) -> None:
    sys.stdout.write(json.dumps(document, indent=2, default=_plain, ensure_ascii=False) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> Table:
    """A table whose cells are texts or what rich can draw. Before a column's name, `#` aligns it to the right, `!`
    keeps its cells whole (ids that people copy)."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        show_header=any(columns),
    )
    for name in columns:
        made.add_column(
            name.lstrip("#!"),
            justify="right" if name.startswith("#") else "left",
            no_wrap=name.startswith(("#", "!")),
            overflow="fold",
        )
    for row in rows:
        made.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return made


def state(word: str) -> Any:
    from rich.text import Text

    return Text(word, style=STYLES.get(word, ""))


def ago(moment: datetime | None, *, now: datetime | None = None) -> str:
    """`12 s ago`, `3 min ago`; nothing for no moment."""
    return "" if moment is None else f"{age(moment, now=now)} ago"


def age(moment: datetime | None, *, now: datetime | None = None) -> str:
    """`12 s`, `3 min`, `5 h 10 min`, `2 d`: how long since, in whole seconds at least."""
    return "" if moment is None else span(max(1.0, round(((now or datetime.now(UTC)) - moment).total_seconds())))


def span(length: timedelta | float) -> str:
    """A length of time in the words that people use; seconds when it is a number."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 and seconds % 1 else f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} d"


def size(count: float) -> str:
    """Bytes, in powers of ten as disks are sold and bills are written."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} PB"


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case timedelta():
            return value.total_seconds()
        case Path():
            return str(value)
        case set() | frozenset() | tuple():
            return list(value)
        case _:
            return str(value)
