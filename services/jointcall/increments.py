"""An interval's generation with an incremental engine: begun with the last freeze's, and only what differs is read.

Which of the freeze's gVCFs are in it is told by their SHA-256, so that none is fetched to be compared. Each group of
samples that is imported is kept and recorded before the next one is begun.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chassis.errors import Rejected
from chassis.reference.local import LocalReference
from chassis.storage import keys, manifests
from chassis.storage.store import ObjectMissing
from chassis.worker.context import TaskContext, tag_value
from contracts.events import Reuse
from services.jointcall.engines.gvcf import require_distinct
from services.jointcall.engines.protocol import GvcfInput, IncrementalEngine
from services.jointcall.inputs import gvcf_input, must_cover
from services.jointcall.tasks import Columns, IntervalTask

if TYPE_CHECKING:
    from services.jointcall.columnar.store.depot import Depot

Entry = Mapping[str, Any]
"""Of the freeze's manifest: a sample's key and its gVCF."""

IMPORT = "import"
GROUP = 1000
"""Samples imported at a time: of an interval of 100 kb some ten seconds, once their gVCFs are on the host."""
MOST_UNCOVERED = 1000
"""Named in the ledger, for each interval."""
SHORT = 16
"""Digits of a gVCF's SHA-256 that tell it from the cohort's others."""
UNREADABLE = ("CONTENT_CHANGED", "SCHEMA_VERSION")
"""Codes of a generation that is of no use: columns are made from gVCFs, and can be made again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What the task has of its generation so far. `number` counts what was recorded, from 1."""

    columns: Columns
    reuse: Reuse
    number: int
    whole: bool

    def dump(self) -> dict[str, Any]:
        columns, reuse = self.columns.model_dump(mode="json"), self.reuse.model_dump(mode="json")
        return {"columns": columns, "reuse": reuse, "number": self.number, "whole": self.whole}


def shelf(context: TaskContext, task: IntervalTask) -> Depot:
    """Where the cohort's columns of the task's interval lie. Its calls block, and not for the loop's own thread."""
    from services.jointcall.columnar.store.depot import Depot

    folder = keys.columns(service=context.service, cohort=task.cohort, interval=task.interval.slug)
    return Depot(store=context.store, loop=asyncio.get_running_loop(), cohort=tag_value(task.cohort), folder=folder)


async def imported(
    context: TaskContext, task: IntervalTask, engine: IncrementalEngine, reference: LocalReference, folder: Path
) -> Imported:
    """The generation of exactly the freeze's samples, in the store; in `folder` too, unless an earlier attempt of the
    task had made it."""
    known = _recorded(context)
    if known is not None and known.whole:
        return known
    entries = await manifests.read_manifest(context.store, task.manifest)
    await _require_distinct(context, entries)
    importing = _Import(
        context=context, task=task, engine=engine, reference=reference, folder=folder, entries=tuple(entries)
    )
    return await importing.run(known)


async def taken(
    context: TaskContext, task: IntervalTask, engine: IncrementalEngine, columns: Columns, folder: Path
) -> None:
    """The generation as a folder. Raises ObjectMissing; Rejected CONTENT_CHANGED, SCHEMA_VERSION."""
    await asyncio.to_thread(engine.take, columns.generation, shelf(context, task), out=folder)


def _recorded(context: TaskContext) -> Imported | None:
    """The latest record of earlier attempts."""
    found = [value for chunk, value in context.chunks.items() if chunk.startswith(f"{IMPORT}-")]
    if not found:
        return None
    last = max(found, key=lambda value: value["number"])
    return Imported(
        columns=Columns.model_validate(last["columns"]),
        reuse=Reuse.model_validate(last["reuse"]),
        number=last["number"],
        whole=last["whole"],
    )


async def _require_distinct(context: TaskContext, entries: Sequence[Entry]) -> None:
    """One gVCF under two keys is refused as two gVCFs of one sample are: what is told apart by content must differ."""
    times = Counter(_digest(one) for one in entries)
    alike = [one for one in entries if times[_digest(one)] > 1]
    require_distinct([await gvcf_input(context, one) for one in alike])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Import:
    context: TaskContext
    task: IntervalTask
    engine: IncrementalEngine
    reference: LocalReference
    folder: Path
    entries: tuple[Entry, ...]

    async def run(self, known: Imported | None) -> Imported:
        """Go on from what is recorded, or begin with the earlier freeze's, or with nothing."""
        number = known.number if known is not None else 0
        columns = known.columns if known is not None else self.task.earlier
        if columns is not None and not await self._had(columns):
            known = columns = None
        there = self._members() if columns is not None else {}
        staying = self._staying(there, None if known is not None else columns)
        if columns is not None and not staying:
            await asyncio.to_thread(shutil.rmtree, self.folder)
            columns, there = None, {}
        reuse = known.reuse if known is not None and columns is not None else self._begun(columns, staying)
        gone = there.keys() - staying
        present = {there[name] for name in staying}
        missing = [one for one in self.entries if _digest(one) not in present]
        groups = [missing[at : at + GROUP] for at in range(0, len(missing), GROUP)] or [[]]
        for at, group in enumerate(groups, start=1):
            if group or gone:
                columns, written = await self._extended(columns, group, without=gone, number=number + at)
                gone = set()
                reuse = reuse.model_copy(
                    update={
                        "samples_imported": reuse.samples_imported + len(group),
                        "bytes_written": reuse.bytes_written + written,
                    }
                )
            assert columns is not None
            columns = columns.model_copy(update={"freeze": self.task.freeze})
            now = Imported(columns=columns, reuse=reuse, number=number + at, whole=at == len(groups))
            await self.context.checkpoint(f"{IMPORT}-{now.number}", now.dump())
        return now

    async def _had(self, columns: Columns) -> bool:
        """Fetch a generation. False where it is of no use any more: then all is imported."""
        if columns.lineage != self.engine.lineage:
            return False
        try:
            await taken(self.context, self.task, self.engine, columns, self.folder)
        except ObjectMissing:
            why = "an object is missing"
        except Rejected as rejected:
            if rejected.rejection.code not in UNREADABLE:
                raise
            why = rejected.rejection.code
        else:
            return True
        log.warning("an earlier freeze's columns cannot be taken up", extra={"freeze": columns.freeze, "why": why})
        return False

    def _members(self) -> dict[str, str]:
        """The SHA-256 of each sample's gVCF by the sample's name, which is kept out of the log."""
        there = dict(self.engine.members(self.folder))
        of_digest = {_digest(one): str(one["sample"]) for one in self.entries}
        for name, digest in there.items():
            if digest in of_digest:
                self.context.withheld.add(name, key=of_digest[digest])
        return there

    def _staying(self, there: Mapping[str, str], earlier: Columns | None) -> set[str]:
        """Names of those of an earlier freeze that need not be read again. A gVCF that may have gaps which another
        policy let pass is: what is to be said of them is said by whoever reads it."""
        wanted: set[str] = set()
        for one in self.entries:
            doubtful = earlier is not None and (earlier.uncovered is None or _digest(one)[:SHORT] in earlier.uncovered)
            if not (doubtful and must_cover(self.context.settings.jointcall, one)):
                wanted.add(_digest(one))
        return {name for name, digest in there.items() if digest in wanted}

    def _begun(self, columns: Columns | None, staying: Collection[str]) -> Reuse:
        held = sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()) if columns else 0
        return Reuse(
            freeze=columns.freeze if columns is not None else None,
            samples_reused=len(staying) if columns is not None else 0,
            samples_imported=0,
            bytes_reused=held,
            bytes_written=0,
        )

    async def _extended(
        self, columns: Columns | None, group: Sequence[Entry], *, without: Collection[str], number: int
    ) -> tuple[Columns, int]:
        """With a group more, kept in the store. Returns the bytes that are new there, too."""
        batch = [await gvcf_input(self.context, one) for one in group]
        out = self.context.scratch / f"generation-{number}"
        uncovered = self.engine.extend(
            generation=self.folder if columns is not None else None,
            batch=batch,
            without=without,
            interval=self.task.interval,
            reference=self.reference,
            now=self.context.lease.started_at,
            out=out,
            scratch=self.context.scratch,
        )
        kept = await asyncio.to_thread(self.engine.keep, out, shelf(self.context, self.task))
        if columns is not None:
            shutil.rmtree(self.folder)
        out.rename(self.folder)
        made = Columns(
            freeze=self.task.freeze,
            lineage=self.engine.lineage,
            generation=kept.generation,
            uncovered=_named(columns, uncovered, self.engine.members(self.folder).values()),
        )
        return made, kept.bytes_written


def _named(columns: Columns | None, uncovered: Sequence[GvcfInput], digests: Collection[str]) -> tuple[str, ...] | None:
    before = columns.uncovered if columns is not None else ()
    if before is None:
        return None
    present = {digest[:SHORT] for digest in digests}
    new = {one.sha256[:SHORT] for one in uncovered if one.sha256 is not None}
    found = sorted(present & {*before, *new})
    return tuple(found) if len(found) <= MOST_UNCOVERED else None


def _digest(entry: Entry) -> str:
    return str(entry["gvcf"]["id"])
