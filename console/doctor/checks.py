"""Everything that a site needs, looked at in the order in which it is needed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from chassis.errors import Rejected
from console.doctor.check import Check, bad, well
from console.doctor.machine import jars, java, memory, native_libraries, python, space
from console.doctor.servers import consumers, kafka, postgres, references, store, tiering
from console.doctor.site import ingest_roots, running, site_secret, state_folder

if TYPE_CHECKING:
    from chassis.settings import Settings
    from console.invocation import Invocation


def examine(invocation: Invocation) -> list[Check]:
    """All checks. A configuration that is refused is one finding; the rest is looked at with the defaults."""
    from chassis.settings import Settings

    checks = [python(), java(), jars(), native_libraries()]
    try:
        settings = invocation.found()
        checks.append(well("configuration", f"{invocation.path or 'none: defaults and environment'}"))
    except Rejected as rejected:
        fault = rejected.rejection
        checks.append(bad("configuration", f"{fault.code}: {fault.message} [{fault.where}]", fault.fix))
        settings = Settings()
    checks += [state_folder(settings), space(settings), memory(settings), site_secret(settings)]
    checks += [ingest_roots(settings), running(settings)]
    return checks + asyncio.run(_servers(settings))


async def _servers(settings: Settings) -> list[Check]:
    checks = [await kafka(settings), await postgres(settings)]
    if checks[-1].verdict != "bad":
        checks.append(await consumers(settings))
    checks.append(await store(settings))
    if checks[-1].verdict != "bad":
        checks.append(await tiering(settings))
        checks.append(await references(settings))
    return checks
