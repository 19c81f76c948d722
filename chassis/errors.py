"""Errors classed by what to do next: a rejection (mend the input), a tool failure (try again), a refused setting."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from contracts.values import RejectionDetail

TEXT = 500
"""Characters of a text in an event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why an input is refused: a code of the catalogue, what, where (file, line or record), which rule, how to mend it.

    No value that could name a person belongs in it; say where the value stands instead.
    """

    code: str
    message: str
    where: str
    rule: str
    fix: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message} [{self.where}]. Rule: {self.rule}. To mend it: {self.fix}."

    def detail(self) -> RejectionDetail:
        """As it travels in an event; long texts are cut to the event's limit."""
        return RejectionDetail(
            code=self.code,
            message=excerpt(self.message, TEXT),
            where=excerpt(self.where, TEXT),
            rule=excerpt(self.rule, TEXT),
            fix=excerpt(self.fix, TEXT),
        )

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class Rejected(Exception):
    """Raised where bad input is found; carries the rejection to whoever decides what goes on without it."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(str(rejection))
        self.rejection = rejection


def reject(*, code: str, message: str, where: str, rule: str, fix: str) -> Rejected:
    """`raise reject(...)` reads as what it does."""
    return Rejected(Rejection(code=code, message=message, where=where, rule=rule, fix=fix))


class ToolFailed(Exception):
    """An external tool ended badly though its input was not at fault as far as we can tell: try again.

    `out_of_memory` sends the retry to the next memory class.
    """

    def __init__(self, *, tool: str, status: int | str, said: str, out_of_memory: bool = False) -> None:
        super().__init__(f"{tool} ended with {status}: {said}")
        self.tool = tool
        self.status = status
        self.said = said
        self.out_of_memory = out_of_memory


class LeaseLost(Exception):
    """The lease of this task is someone else's now: throw the result away."""


class Preempted(Exception):
    """The worker was told to stop; the chunk in hand is finished or dropped, the lease released."""


def excerpt(text: str, limit: int = 80) -> str:
    """On one line and short: what an error repeats of something that others wrote."""
    flat = "".join(c if c.isprintable() else " " for c in text).strip() or "not stated"
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
