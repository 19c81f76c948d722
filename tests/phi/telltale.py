"""A service whose tasks quote what they read, in every way in which an attempt can end badly."""

from __future__ import annotations

import os
import sys

from chassis.errors import Rejection, ToolFailed, reject
from chassis.ledger import outbox
from chassis.ledger.ledger import Tx
from chassis.ledger.tasks import Budgets, Lease, NewTask
from chassis.outcomes import Outcome
from chassis.service import Service, Subscriptions, TaskKind
from chassis.settings import Settings
from chassis.worker.context import TaskContext
from contracts.events import SampleFailed

BUILDER = "tests.phi.telltale:build"
LABEL = "QZXLABEL-0417"


def build(settings: Settings) -> Service:
    kind = TaskKind(
        name="tell", work="tests.phi.telltale:tell", committed=None, gave_up=gave_up, budgets=Budgets(crashes=1)
    )
    return Service(name="tiny", subscriptions=Subscriptions(), kinds=(kind,))


def telling(sample: str, how: str) -> NewTask:
    return NewTask(key=f"tell:{sample}", kind="tell", subject=sample, payload={"how": how})


async def tell(context: TaskContext) -> Outcome:
    """A tool prints the label; then the task fails with the label in its words."""
    context.withheld.add(LABEL, key=context.lease.subject)
    os.write(1, f"reading {LABEL}_S1_L001_R1_001.fastq.gz\n".encode())
    sys.stderr.write(f"SM:{LABEL}\tLB:{LABEL}-1\n")
    match context.payload["how"]:
        case "tool":
            raise ToolFailed(tool="GATK", status=3, said=f"Sample {LABEL} is not in the header")
        case "rejection":
            raise reject(code="TOOL_INPUT", message=f"bad {LABEL}", where=f"{LABEL}.cram", rule="good", fix="mend it")
        case "file":
            raise PermissionError(13, "Permission denied", f"/runs/{LABEL}_S1_L001_R1_001.fastq.gz")
        case _:
            raise KeyError("Zyxwvutquist")


async def gave_up(tx: Tx, lease: Lease, rejection: Rejection) -> None:
    failed = SampleFailed(
        sample=lease.subject, stage="tell", task=lease.key, rejection=rejection.detail(), went_on="nothing"
    )
    await outbox.add(tx, failed)
