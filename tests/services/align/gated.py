"""Align's service with a gate that stays shut: after its first checkpoint an align task stands still, for a test to
strike there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chassis.outcomes import Outcome
from chassis.service import Service
from chassis.settings import Settings
from chassis.worker.context import TaskContext
from services.align import main, workers
from services.align.tasks import ALIGN

BUILDER = "tests.services.align.gated:build"


def build(settings: Settings) -> Service:
    service = main.build(settings)
    gated = replace(service.kind(ALIGN), work="tests.services.align.gated:align")
    return replace(service, kinds=tuple(gated if one.name == ALIGN else one for one in service.kinds))


async def align(context: TaskContext) -> Outcome:
    async def record(chunk: str, value: Mapping[str, Any]) -> None:
        await context.record(chunk, value)
        await asyncio.Event().wait()

    return await workers.align(replace(context, record=record))
