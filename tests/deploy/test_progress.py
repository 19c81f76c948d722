"""What a person sees while the stack starts."""

from __future__ import annotations

import io

from rich.console import Console

from deploy.embedded.progress import drawn
from deploy.embedded.stack import Step


def test_each_server_has_a_line_that_follows_it() -> None:
    screen = io.StringIO()
    with drawn(Console(file=screen, force_terminal=True, width=100)) as tell:
        tell(Step(server="postgres", state="starting"))
        tell(Step(server="kafka", state="fetching", done_bytes=12_000_000, total_bytes=45_000_000))
        tell(Step(server="postgres", state="ready"))
    seen = screen.getvalue()
    assert "fetching 12 of 45 MB" in seen
    assert "postgres" in seen and "ready" in seen
