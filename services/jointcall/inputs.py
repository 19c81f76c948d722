"""A freeze's gVCFs on the host of the task that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chassis.errors import Rejected
from chassis.settings import JointcallSettings
from chassis.worker.context import TaskContext
from services.jointcall.engines.gvcf import sample_name_of
from services.jointcall.engines.protocol import GvcfInput
from services.jointcall.tasks import Gvcf


async def gvcf_input(context: TaskContext, entry: Mapping[str, Any]) -> GvcfInput:
    """A sample's gVCF on this host, under the name that stands inside it. Raises Rejected, naming the sample's key."""
    files = Gvcf.model_validate(entry)
    name = f"{entry['sample']}.g.vcf.gz"
    try:
        path = await context.fetch_shared(files.gvcf, name)
        index = await context.fetch_shared(files.index, f"{name}.tbi")
    except Rejected as rejected:
        raise Rejected(replace(rejected.rejection, where=f"{name}, {rejected.rejection.where}")) from rejected
    inside = sample_name_of(path)
    context.withheld.add(inside, key=entry["sample"])
    return GvcfInput(
        name=inside,
        path=path,
        index=index,
        must_cover=must_cover(context.settings.jointcall, entry),
        sha256=files.gvcf.id,
    )


def must_cover(settings: JointcallSettings, entry: Mapping[str, Any]) -> bool:
    """A gap in this gVCF ends the freeze."""
    return settings.coverage_policy != "note" and not Gvcf.model_validate(entry).gaps_accepted
