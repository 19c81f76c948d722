"""What every store can do, and the typed ways in which it says no. Backends: s3.py and file.py.

A key is relative to the store's base and made by keys.py; a URI is the base and the key. Methods that read take either.
Sizes are bytes, sums are lower-case hex SHA-256, times are UTC.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol

from chassis.errors import Rejected, reject
from chassis.storage.stub import COLD, Stub
from contracts.values import Artifact, ArtifactKind, ManifestRef

TAG_NAMES = ("kind", "stage", "subject", "retain")
"""Every object carries these: tiering rules and the inventory act on tags, not on key patterns."""
_TAG_VALUE = re.compile(r"^[A-Za-z0-9 +\-=._:/@]{1,256}$")
"""What S3 allows in a tag's value."""

ARCHIVED_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE", COLD})
"""Storage classes whose objects are read only after a restore."""

RESTORE_TAKES: Mapping[str, timedelta] = {
    "GLACIER": timedelta(hours=5),
    "DEEP_ARCHIVE": timedelta(hours=12),
    COLD: timedelta(hours=5),
}
"""How long a Standard restore takes at most, usually, by AWS's documentation: what a person who waits is told. A tape
library that is asked for many at once takes hours too."""

RestoreTier = Literal["Expedited", "Standard", "Bulk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An object that lies in the store and whose content was verified there."""

    uri: str
    key: str
    sha256: str
    size: int
    version: str | None = None

    def artifact(self, kind: ArtifactKind) -> Artifact:
        """As events name it."""
        return Artifact(kind=kind, id=self.sha256, uri=self.uri, size=self.size, version=self.version)

    def manifest(self, *, entries: int) -> ManifestRef:
        return ManifestRef(uri=self.uri, sha256=self.sha256, entries=entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreState:
    """What became of a request to restore: under way, or readable until `expires`."""

    ongoing: bool
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFacts:
    """What the store says of an object. A listing knows neither sum nor restore nor version; ask `head` for these."""

    uri: str
    key: str
    size: int
    modified: datetime
    storage_class: str = "STANDARD"
    sha256: str | None = None
    version: str | None = None
    restore: RestoreState | None = None
    cold: str | None = None
    """The URI of its copy in a cold place, of a stub and of what was brought back. A stub's sum and size are those of
    the content it stands for; a listing knows neither and says what the stub itself has."""

    def readable(self, *, now: datetime | None = None) -> bool:
        """False while archived. A restored object keeps its archive class: the restore state decides, not the class."""
        if self.storage_class not in ARCHIVED_CLASSES:
            return True
        if self.restore is None or self.restore.ongoing:
            return False
        return self.restore.expires is None or self.restore.expires > (now or datetime.now(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfinishedUpload:
    """Bytes that cost money and belong to no object: a multipart upload never completed, or a temporary file."""

    key: str
    upload_id: str
    started: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TierProbe:
    """What a store really did when it was tried: the storage classes that it reported back, and whether it took a
    request to restore."""

    classes: frozenset[str] = frozenset()
    restores: bool = False


class ObjectMissing(Exception):
    """No object (or not that version) under this URI."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"{uri} is not in the store")
        self.uri = uri


class Archived(Exception):
    """The object exists and must be restored before it can be read: ask for that and park, this is no failure."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"{uri} is archived; request a restore and wait")
        self.uri = uri


class Unsupported(Exception):
    """This backend has no such operation (a POSIX folder has no storage classes)."""

    def __init__(self, operation: str, *, backend: str) -> None:
        super().__init__(f"the {backend} store cannot {operation}")
        self.operation = operation
        self.backend = backend


class StoreUnavailable(Exception):
    """The store did not answer well within the retries and deadlines: try the task again later."""

    def __init__(self, operation: str, *, uri: str, said: str) -> None:
        super().__init__(f"{operation} of {uri}: the store gave up with {said}")
        self.operation = operation
        self.uri = uri
        self.said = said


class Store(Protocol):
    """One contract, two backends, one suite of tests. All raise Rejected URI_FORBIDDEN for a URI outside the base and
    UNSAFE_PATH for a key that is not plain; ObjectMissing, Archived and StoreUnavailable as their names say.
    """

    @property
    def base(self) -> str:
        """The URI that all keys lie below, without a slash at its end."""
        ...

    @property
    def capabilities(self) -> frozenset[str]:
        """What `probe` saw: of "checksums", "conditional-put" and "-replace", "versions", "tiers", "restore"."""
        ...

    async def probe(self) -> frozenset[str]:
        """Try what this store really does (compatible stores differ) and keep the answer in `capabilities`."""
        ...

    async def probe_tiers(self) -> TierProbe:
        """Store a few bytes in each storage class and ask for one back; nothing stays. Some classes are billed for
        months: once at the archive's start, not in each process."""
        ...

    def uri(self, key: str) -> str: ...

    def key_of(self, uri_or_key: str) -> str: ...

    async def put_file(
        self, key: str, path: Path, *, sha256: str | None = None, tags: Mapping[str, str], if_absent: bool = False
    ) -> Stored:
        """Store the file, verified after writing. `sha256` is what the content must be (CONTENT_CHANGED otherwise, and
        nothing is stored). With `if_absent` an object already there is left alone: the same content is success, other
        content is IDEMPOTENCY_CONFLICT; without it, it is replaced."""
        ...

    async def put_bytes(self, key: str, data: bytes, *, tags: Mapping[str, str], if_absent: bool = False) -> Stored: ...

    async def get_file(
        self, uri_or_key: str, path: Path, *, sha256: str | None = None, size: int | None = None
    ) -> None:
        """Fetch to `path`, which appears only whole and verified: against `sha256` and `size` when given, else against
        the sum kept with the object. A cut connection goes on from the byte reached. CONTENT_CHANGED on a mismatch."""
        ...

    async def get_bytes(self, uri_or_key: str, *, limit: int, sha256: str | None = None) -> bytes:
        """The whole object, at most `limit` bytes (OBJECT_TOO_LARGE beyond)."""
        ...

    async def read_range(self, uri_or_key: str, start: int, length: int) -> bytes:
        """Bytes `start` to `start + length` (0-based, half-open); fewer where the object ends, none beyond it."""
        ...

    async def head(self, uri_or_key: str, *, version: str | None = None) -> ObjectFacts | None: ...

    def list(self, prefix: str) -> AsyncIterator[ObjectFacts]:
        """Objects below the folder `prefix` (so `a/t1` never finds `a/t10/x`), in key order; "" lists all."""
        ...

    async def delete(self, uri_or_key: str, *, version: str | None = None) -> bool:
        """Delete that version; without one, the current. False when it is not there (any more)."""
        ...

    async def read_tags(self, uri_or_key: str, *, version: str | None = None) -> dict[str, str]: ...

    async def write_tags(self, uri_or_key: str, tags: Mapping[str, str], *, version: str | None = None) -> None: ...

    async def set_tier(self, uri_or_key: str, storage_class: str, *, version: str | None = None) -> Stored:
        """Move to a storage class and verify before the former copy goes. The version may change."""
        ...

    async def request_restore(self, uri_or_key: str, *, days: int, tier: RestoreTier = "Standard") -> None:
        """Ask for an archived object; asking again while it is under way does nothing."""
        ...

    async def leave_stub(
        self, uri_or_key: str, *, stub: Stub, version: str | None, tags: Mapping[str, str] | None = None
    ) -> Stored:
        """Put a stub in the place of exactly that version; its tags stay. The copy at `stub.place` is verified already:
        that is the caller's part. A stub of the same copy that is there already is success. With `tags`: only where
        nothing lies. Raises ObjectMissing where what lies there is another version, or nothing; CONTENT_CHANGED where
        it is other content."""
        ...

    async def fill_stub(self, uri_or_key: str, path: Path, *, sha256: str) -> Stored:
        """Put the content back in the place of its stub, verified; it keeps its mark (see stub.py). Filled already is
        success. Raises ObjectMissing where neither lies there, CONTENT_CHANGED where the file is something else."""
        ...

    def unfinished_uploads(self, prefix: str) -> AsyncIterator[UnfinishedUpload]: ...

    async def abort(self, upload: UnfinishedUpload) -> None: ...


def tags_of(*, kind: ArtifactKind | str, stage: str, subject: str, retain: str = "policy") -> dict[str, str]:
    """The four tags. `stage` is the service that wrote it, `subject` a run, sample key or cohort (never a laboratory's
    id), `retain` `policy`, `scratch` or `hold`."""
    return checked_tags({"kind": str(kind), "stage": stage, "subject": subject, "retain": retain})


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """All four are there and hold what S3 allows in tags. Raises ValueError: a fault of ours, not of the input."""
    missing = [name for name in TAG_NAMES if name not in tags]
    if missing:
        raise ValueError(f"every object is tagged {', '.join(TAG_NAMES)}; missing: {', '.join(missing)}")
    for name, value in tags.items():
        if not _TAG_VALUE.match(value):
            raise ValueError(f"the value of tag {name} holds characters that a tag may not hold")
    return dict(tags)


def content_changed(uri: str, *, expected: str, found: str) -> Rejected:
    return reject(
        code="CONTENT_CHANGED",
        message=f"the content is {found}, expected {expected}",
        where=uri,
        rule="an artifact is its content: SHA-256 and size are those that its event named",
        fix="restore the object from its copy, or run the task that makes it again",
    )


def exists_with_other_content(uri: str, *, expected: str, found: str) -> Rejected:
    return reject(
        code="IDEMPOTENCY_CONFLICT",
        message=f"an object with SHA-256 {found} is there already, to be written was {expected}",
        where=uri,
        rule="a key that is written once keeps its content",
        fix="find out which of the two is right; remove the wrong one by its version",
    )


def too_large(uri: str, *, size: int, limit: int) -> Rejected:
    return reject(
        code="OBJECT_TOO_LARGE",
        message=f"the object has {size} bytes, at most {limit} are read here",
        where=uri,
        rule="what is read into memory has a stated limit",
        fix="check that the URI names the right object",
    )
