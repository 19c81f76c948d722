"""What people write into commands: it travels in events and stays in ledgers, so it names samples by key and nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chassis.errors import reject

if TYPE_CHECKING:
    from chassis.settings import Settings
    from chassis.withheld import Withheld
    from contracts.events import Command

_NAMES = ("cohort", "tag")


def require_nobody(command: str, fields: Mapping[str, Any]) -> None:
    """Raises Rejected PHI_SUSPECTED, without the value, for a reason or a name that may point at a person."""
    from services.ingest import personal

    for field, value in fields.items():
        if not isinstance(value, str):
            continue
        suspected = None
        if field == "reason":
            suspected = personal.suspicion_in_words(value)
        elif field in _NAMES:
            suspected = personal.suspicion_of_name(value)
        if suspected is not None:
            raise reject(
                code="PHI_SUSPECTED",
                message=f"the {field} holds what looks like {suspected}; the value is withheld",
                where=f"{command}, {field}",
                rule="what is written into a command travels in events, so it holds no person's name, no record number "
                "and no date; the command carries who asks, and when",
                fix="name samples by their labels or keys, and people by their roles",
            )


async def by_key(settings: Settings, commands: Sequence[Command]) -> tuple[Command, ...]:
    """The commands, with keys in place of samples' labels in their reasons."""
    from chassis.withheld import Withheld
    from console.views import LABELS, open_views

    if not any(getattr(command, "reason", None) for command in commands):
        return tuple(commands)
    withheld = Withheld()
    async with open_views(settings) as views:
        for row in await views.rows("ingest", LABELS):
            withheld.add(row["label"], key=row["key"])
    return tuple(_keyed(command, withheld) for command in commands)


def _keyed(command: Command, withheld: Withheld) -> Command:
    reason = getattr(command, "reason", None)
    if reason is None:
        return command
    # a reason that grows past its limit by the keys in it is cut
    return command.model_copy(update={"reason": withheld.cleaned(reason)[:500]})
