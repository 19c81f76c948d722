"""What becomes true when a task of align ends, inside the transaction that ends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chassis.errors import Rejection
from chassis.ledger import outbox, queue
from chassis.ledger.ledger import Tx
from chassis.ledger.tasks import Lease
from contracts.events import SampleFailed
from contracts.values import Sample
from services.align import statements
from services.align.policy import Policy
from services.align.subscribers import start_if_ready
from services.align.tasks import ALIGN, AlignTask, CallTask


class Commits:
    def __init__(self, *, policy: Policy) -> None:
        self._policy = policy

    async def aligned(self, tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
        """The CRAM is there: call variants, and let a later version of the sample go on."""
        task = AlignTask.model_validate(lease.payload)
        sample = task.sample
        await tx.conn.execute(statements.ALIGNED, sample.key, sample.version, dict(result))
        call = CallTask(
            run=task.run,
            sample=sample,
            cram=result["cram"],
            crai=result["crai"],
            reference=result["reference"],
            metrics=result["metrics"],
            pipeline=task.pipeline,
        )
        await queue.enqueue(tx, [call.task(memory_class=self._policy.memory_class)])
        await start_if_ready(tx, self._policy, sample.key, sample.version + 1)

    async def called(self, tx: Tx, lease: Lease, result: Mapping[str, Any]) -> None:
        sample = CallTask.model_validate(lease.payload).sample
        await tx.conn.execute(statements.CALLED, sample.key, sample.version, dict(result))

    async def gave_up(self, tx: Tx, lease: Lease, rejection: Rejection) -> None:
        sample = _sample_of(lease)
        await tx.conn.execute(statements.FAILED, sample.key, sample.version, rejection.as_dict())
        await outbox.add(
            tx,
            SampleFailed(
                sample=sample.key,
                stage=f"align/{lease.kind}",
                task=lease.key,
                rejection=rejection.detail(),
                went_on="every other sample of the run",
            ),
        )


def _sample_of(lease: Lease) -> Sample:
    if lease.kind == ALIGN:
        return AlignTask.model_validate(lease.payload).sample
    return CallTask.model_validate(lease.payload).sample
