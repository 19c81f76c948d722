"""Draws how far the stack is: one line a server, with a bar while jars are fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deploy.embedded.stack import Progress, Step

if TYPE_CHECKING:
    from rich.console import Console


@contextmanager
def drawn(console: Console) -> Iterator[Progress]:
    """A `progress` for `EmbeddedStack.start` that lives as long as the block and then leaves the terminal as it was."""
    from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn
    from rich.progress import Progress as Bars

    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), BarColumn(bar_width=24))
    with Bars(*columns, TextColumn("{task.fields[said]}"), console=console, transient=True) as bars:
        lines: dict[str, TaskID] = {}

        def tell(step: Step) -> None:
            if step.server not in lines:
                lines[step.server] = bars.add_task(step.server, total=None, said=step.state)
            if step.state == "fetching":
                said = f"fetching {step.done_bytes / 1e6:.0f} of {step.total_bytes / 1e6:.0f} MB"
                bars.update(lines[step.server], total=step.total_bytes, completed=step.done_bytes, said=said)
            elif step.state == "starting":
                bars.update(lines[step.server], total=None, said=step.state)
            else:
                bars.update(lines[step.server], total=1, completed=1, said=step.state)

        yield tell
