"""The one key layout. Every key is made here; each part is checked, so that nothing from outside can step elsewhere.

landing/<run>/<sample key>/<file>                              restricted: what the sequencer gave
landing/<run>/<file>                                           the run's own papers (sheet, markers)
working/<service>/<task>/<incarnation>-<epoch>/<name>          one attempt of one task; a zombie writes only here
working/<service>/columnar/of-<cohort>/<interval>/...          columns that freezes of the cohort share, by content
working/manifests/<sha256>.json                                lists too long for an event, named by content
released/<cohort>/<freeze number>/<name>                       what people get
archive/<name>                                                 what the archive keeps for itself; in a cold place:
archive/<2 digits>/<sha256>/<count>-<incarnation>-<epoch>      the copy that one attempt of one act made
working/incarnations/<number>.json                             lives of the ledgers: a number is taken once
reference/<digest>/<name>, reference/names/<name>.json         bundles and the names that point at them
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from chassis.errors import Rejected, reject

LANDING, WORKING, RELEASED, ARCHIVE, REFERENCE = "landing", "working", "released", "archive", "reference"
ZONES = (LANDING, WORKING, RELEASED, ARCHIVE, REFERENCE)

KEY_LIMIT = 700
"""S3 allows 1,024 bytes and a URI in an event holds 1,024 characters; the base needs room too."""
SEGMENT_LIMIT = 200
"""A POSIX name holds 255 bytes; the sidecar adds an inode number to it."""
_SEGMENT = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._=+@,:-]{{0,{SEGMENT_LIMIT - 1}}}")
_HEX = re.compile(r"[0-9a-f]+")
_ATTEMPT = re.compile(r"working/(?P<service>[a-z]+)/(?P<task>[^/]+)/(?P<incarnation>\d+)-(?P<epoch>\d+)(?:/.*)?")
_COLD_COPY = re.compile(
    r"archive/[0-9a-f]{2}/(?P<artifact>[0-9a-f]{64})/(?P<count>\d+)-(?P<incarnation>\d+)-(?P<epoch>\d+)"
)
_COLUMNS = re.compile(r"working/[a-z_]+/columnar/of-[^/]+/[^/]+/")
_SERVICE = re.compile(r"[a-z][a-z_]{0,30}")
_SLUG_LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptPrefix:
    """Which attempt an object of the working zone belongs to. `task` is the slug of the task's key."""

    service: str
    task: str
    incarnation: int
    epoch: int

    def __str__(self) -> str:
        return f"{WORKING}/{self.service}/{self.task}/{self.incarnation}-{self.epoch}"

    def key(self, name: str) -> str:
        """The key of `name` (it may have folders, `chunks/0003.bam`) under this attempt."""
        return checked(f"{self}/{name}")


def checked(key: str) -> str:
    """The key itself when it is plain. Raises Rejected UNSAFE_PATH otherwise; the value is not echoed, as a file name
    from outside may name a person."""
    if len(key) > KEY_LIMIT:
        raise _unsafe(f"a key of {len(key)} characters", f"keys have at most {KEY_LIMIT} characters")
    for place, part in enumerate(key.split("/"), start=1):
        if not _SEGMENT.fullmatch(part):
            raise _unsafe(
                f"part {place} of an object key",
                "each part has 1 to 200 characters of A-Z a-z 0-9 . _ = + @ , : - and starts with a letter, digit or _",
            )
    return key


def checked_prefix(prefix: str) -> str:
    """A folder of keys, without a slash at its end; "" stands for the whole store."""
    folder = prefix[:-1] if prefix.endswith("/") else prefix
    return checked(folder) if folder else ""


def run_file(*, run: str, name: str) -> str:
    return checked(f"{LANDING}/{_one(run)}/{_one(name)}")


def landing(*, run: str, sample: str, name: str) -> str:
    return checked(f"{LANDING}/{_one(run)}/{_one(sample)}/{_one(name)}")


def attempt(*, service: str, task_key: str, incarnation: int, epoch: int) -> AttemptPrefix:
    """The prefix that an attempt writes under: no other attempt ever has it, as incarnations and epochs only grow."""
    if not _SERVICE.fullmatch(service) or incarnation < 0 or epoch < 0:
        raise ValueError("a service name of lower-case letters, and numbers of the ledger, are needed")
    return AttemptPrefix(service=service, task=slug(task_key), incarnation=incarnation, epoch=epoch)


def task_prefix(*, service: str, task_key: str) -> str:
    """The folder of all attempts of a task."""
    if not _SERVICE.fullmatch(service):
        raise ValueError("a service name has lower-case letters")
    return f"{WORKING}/{service}/{slug(task_key)}"


def attempt_of(key: str) -> AttemptPrefix | None:
    """The attempt that wrote the key, None for keys of other kinds (manifests, other zones)."""
    found = _ATTEMPT.fullmatch(key)
    if found is None:
        return None
    return AttemptPrefix(
        service=found["service"],
        task=found["task"],
        incarnation=int(found["incarnation"]),
        epoch=int(found["epoch"]),
    )


def columns(*, service: str, cohort: str, interval: str) -> str:
    """The folder of what a cohort's freezes share of an interval (given by its slug). Never an attempt's: no attempt's
    name begins with `of-`."""
    if not _SERVICE.fullmatch(service):
        raise ValueError("a service name has lower-case letters")
    return checked(f"{WORKING}/{service}/columnar/of-{slug(cohort)}/{slug(interval)}")


def of_columns(key: str) -> bool:
    """The key lies in such a folder."""
    return _COLUMNS.match(key) is not None


def manifest(*, sha256: str) -> str:
    return checked(f"{WORKING}/manifests/{_hex(sha256, 64)}.json")


def incarnation(*, number: int) -> str:
    return checked(f"{WORKING}/incarnations/{number}.json")


def released(*, cohort: str, freeze: int, name: str) -> str:
    """`freeze` is the freeze's number within its cohort, from 1; `name` may have folders."""
    if freeze < 1:
        raise ValueError("freezes are numbered from 1")
    return checked(f"{RELEASED}/{_one(cohort)}/{freeze}/{name}")


def archived(*, name: str) -> str:
    return checked(f"{ARCHIVE}/{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdCopy:
    """Which attempt made a copy in a cold place. `count`: of the fact that condemned the artifact to go there."""

    artifact: str
    count: int
    incarnation: int
    epoch: int

    @property
    def folder(self) -> str:
        """Of all copies of that content."""
        return f"{ARCHIVE}/{_hex(self.artifact, 64)[:2]}/{self.artifact}"

    @property
    def key(self) -> str:
        return checked(f"{self.folder}/{self.count}-{self.incarnation}-{self.epoch}")


def cold_copy_of(key: str) -> ColdCopy | None:
    """None for keys of other kinds."""
    found = _COLD_COPY.fullmatch(key)
    if found is None:
        return None
    count, incarnation, epoch = (int(found[name]) for name in ("count", "incarnation", "epoch"))
    return ColdCopy(artifact=found["artifact"], count=count, incarnation=incarnation, epoch=epoch)


def reference(*, digest: str, name: str) -> str:
    """A file of the bundle whose sequences have this digest (MD5, 32 hex digits)."""
    return checked(f"{REFERENCE}/{_hex(digest, 32)}/{name}")


def reference_name(*, name: str) -> str:
    return checked(f"{REFERENCE}/names/{_one(name)}.json")


def slug(text: str) -> str:
    """A single key part for any text: itself when it is plain and short, else cleaned and told apart by its hash."""
    clean = re.sub(r"[^A-Za-z0-9._=-]", "_", text)[:_SLUG_LIMIT]
    if clean == text and _SEGMENT.fullmatch(text):
        return text
    return f"{clean.lstrip('.=-') or 'task'}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _one(part: str) -> str:
    if "/" in part:
        raise _unsafe("a name within an object key", "a name has no slash")
    return part


def _hex(text: str, length: int) -> str:
    if len(text) != length or not _HEX.fullmatch(text):
        raise _unsafe("a hash within an object key", f"a hash has {length} lower-case hex digits")
    return text


def _unsafe(where: str, rule: str) -> Rejected:
    return reject(
        code="UNSAFE_PATH",
        message="the name cannot be used as a path",
        where=where,
        rule=rule,
        fix="rename the file or the folder that it comes from",
    )
