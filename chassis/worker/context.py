"""What a task's code may use: its payload, a scratch folder, the store under its own attempt's prefix, checkpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from chassis.errors import Rejected
from chassis.faultpoints import point
from chassis.ledger.tasks import Lease
from chassis.reference.cache import ReferenceCache
from chassis.reference.local import LocalReference
from chassis.settings import Settings
from chassis.storage import keys
from chassis.storage.cache import ObjectCache
from chassis.storage.store import RESTORE_TAKES, Archived, Store
from chassis.withheld import Withheld
from contracts.values import Artifact, ArtifactKind, ReferenceId


class Parked(Exception):
    """An object that the task needs lies in a cold tier: wait for its restore without a lease. `expected`: about when
    it can be read, by the ledger's clock."""

    def __init__(self, artifact: Artifact, *, expected: datetime) -> None:
        super().__init__(
            f"WAITING_RESTORE: {artifact.kind} {artifact.id[:12]} is archived; "
            f"to be expected by {expected:%Y-%m-%d %H:%M} UTC"
        )
        self.artifact = artifact


class Waiting(Exception):
    """Something that a person must do first: look again after a while, without a lease and at no budget's cost."""

    def __init__(self, *, reason: str, after: timedelta) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after


REFERENCE_LOOK = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    service: str
    settings: Settings
    lease: Lease
    store: Store
    references: ReferenceCache
    scratch: Path
    log: Path
    """Where the tools of this attempt write what they say; kept with the attempt."""
    record: Callable[[str, Mapping[str, Any]], Awaitable[None]]
    withheld: Withheld = field(default_factory=Withheld)
    """Names of people's samples that the task's code has met: they are kept out of its log and of how it ended."""

    @property
    def payload(self) -> Mapping[str, Any]:
        return self.lease.payload

    @property
    def chunks(self) -> Mapping[str, Any]:
        """Chunks that earlier attempts finished, by name, as they recorded them."""
        return self.lease.checkpoint

    async def checkpoint(self, chunk: str, value: Mapping[str, Any]) -> None:
        """Record a finished chunk. Raises Preempted when the worker is to stop: nothing of the chunk is lost."""
        await self.record(chunk, value)

    def key(self, name: str) -> str:
        """The object key of an output: below this attempt's own prefix, where no other attempt writes."""
        prefix = keys.attempt(
            service=self.service,
            task_key=self.lease.key,
            incarnation=self.lease.incarnation,
            epoch=self.lease.epoch,
        )
        return prefix.key(name)

    async def upload(
        self, path: Path, *, kind: ArtifactKind, name: str | None = None, retain: str = "policy"
    ) -> Artifact:
        """Store an output of this attempt, verified, and name it as an artifact."""
        stored = await self.store.put_file(
            self.key(name or path.name),
            path,
            tags={
                "kind": kind.value,
                "stage": self.service,
                "subject": tag_value(self.lease.subject),
                "retain": retain,
            },
        )
        point("after-upload", of=self.service)
        return Artifact(kind=kind, id=stored.sha256, uri=stored.uri, size=stored.size, version=stored.version)

    async def fetch(self, artifact: Artifact, name: str) -> Path:
        """Bring an artifact into the scratch folder, verified against its identity.

        Raises Parked when it lies in a cold tier, Rejected (CONTENT_CHANGED) when it is not what its event named.
        """
        path = self.scratch / name
        try:
            await self.store.get_file(artifact.uri, path, sha256=artifact.id, size=artifact.size)
        except Archived:
            raise await self._parked(artifact) from None
        return path

    async def reference(self, wanted: ReferenceId | str) -> LocalReference:
        """The reference on this host's disk. A name that nobody registered yet is waited for, without a lease."""
        try:
            return await self.references.local(self.store, wanted)
        except Rejected as rejected:
            if isinstance(wanted, str) and rejected.rejection.code == "REFERENCE_UNKNOWN":
                raise Waiting(
                    reason=f"the reference {wanted} is not registered: cohortstream reference add", after=REFERENCE_LOOK
                ) from None
            raise

    async def fetch_shared(self, artifact: Artifact, name: str) -> Path:
        """As `fetch`, through this host's cache: for objects that many tasks read."""
        cache = ObjectCache(root=self.settings.state_dir / "cache" / "objects", limit_bytes=SHARED_LIMIT)
        try:
            return await cache.link(self.store, artifact, self.scratch / name)
        except Archived:
            raise await self._parked(artifact) from None

    async def _parked(self, artifact: Artifact) -> Parked:
        head = await self.store.head(artifact.uri)
        takes = RESTORE_TAKES.get(head.storage_class if head else "", max(RESTORE_TAKES.values()))
        return Parked(artifact, expected=self.lease.started_at + takes)


SHARED_LIMIT = 50 * 1024**3
"""Bytes of shared objects kept per host."""


def tag_value(subject: str) -> str:
    """A subject as an S3 tag value, whose alphabet is narrower than ours."""
    return "".join(c if c.isalnum() or c in "+-=._:/@ " else "_" for c in subject)[:256]


def restore_of(artifact: Artifact) -> str:
    """What a parked task waits for, woken by artifact.restored."""
    return f"restore:{artifact.id}"
