"""Pages of long lists: which rows to ask for, and the way to the next ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from console.page.questions import PAGE

if TYPE_CHECKING:
    from starlette.requests import Request

FURTHEST = 100_000
"""Pages: what lies further is found by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which page of a list; `total` rows in all once it is known."""

    path: str
    query: tuple[tuple[str, str], ...]
    number: int
    total: int = 0
    rows: int = PAGE

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.rows

    @property
    def last(self) -> int:
        return max(1, -(-self.total // self.rows))

    @property
    def first_shown(self) -> int:
        return min(self.offset + 1, self.total)

    @property
    def last_shown(self) -> int:
        return min(self.offset + self.rows, self.total)

    def to(self, number: int) -> str:
        return f"{self.path}?{urlencode([*self.query, ('page', str(number))])}"


def place(request: Request, *, rows: int = PAGE) -> Place:
    """From the address; nonsense in it means the first page."""
    said = request.query_params.get("page", "1")
    number = int(said) if said.isdecimal() and len(said) < 8 else 1
    kept = tuple(
        (name, value) for name, value in request.query_params.items() if name not in ("page", "asked") and value
    )
    return Place(path=request.url.path, query=kept, number=min(max(1, number), FURTHEST), rows=rows)
