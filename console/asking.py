"""Publishing commands and saying honestly what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from console.commands_out import noted, publish
from console.output import print_json, say
from console.views import open_views

if TYPE_CHECKING:
    from chassis.settings import Settings
    from contracts.events import Command


async def ask(settings: Settings, commands: Sequence[Command], *, service: str, done: str, as_json: bool) -> None:
    """Publish, wait until `service` has noted them, and say `done`, or that nobody listens yet."""
    await publish(settings, *commands)
    async with open_views(settings) as views:
        heard = all([await noted(views, service, command) for command in commands])
    if as_json:
        return print_json(outcome(commands, heard))
    if heard:
        return say(done)
    say(f"asked, but {service} has not noted it yet: is `cohortstream consume {service}` running? Nothing is lost.")


def outcome(commands: Sequence[Command], heard: bool) -> dict[str, Any]:
    return {
        "requests": [
            {"request_id": str(command.request_id), "type": command.TYPE, "subject": command.subject}
            for command in commands
        ],
        "noted": heard,
    }
