"""The blocking half of the `file://` store: one folder, objects and their sidecars in it.

An object is written under a temporary name in its own folder, synced, read back, and linked into place: a name is there
whole or not at all, also after a power cut. No symbolic link below the root is followed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from chassis.errors import Rejected, reject
from chassis.storage import keys, sidecar, uris
from chassis.storage.sidecar import Sidecar
from chassis.storage.store import (
    Archived,
    ObjectFacts,
    ObjectMissing,
    RestoreState,
    Stored,
    StoreUnavailable,
    UnfinishedUpload,
    checked_tags,
    content_changed,
    exists_with_other_content,
)
from chassis.storage.stub import COLD
from chassis.storage.sums import blocks, sum_of
from chassis.storage.swap import TEMPORARY, aside_of, link_new, swap

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Folder:
    """`root` is made when it is not there. Errors as the Store protocol states them."""

    def __init__(self, *, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root.resolve()
        self.base = "file://" + quote(str(self.root))

    def uri(self, key: str) -> str:
        return uris.uri_of(self.base, key)

    def probe(self) -> None:
        try:
            trial = self.root / f"{TEMPORARY}{uuid.uuid4().hex}~probe"
            trial.touch()
            trial.unlink()
        except OSError as error:
            raise reject(
                code="ACCESS_DENIED",
                message=f"the store's folder cannot be written ({error.strerror})",
                where=self.base,
                rule="the account that runs the services may write the store",
                fix="grant it write permission on the folder, or correct the setting store.base",
            ) from None

    def path(self, key: str) -> Path:
        path = self.root / keys.checked(key)
        if path.parent.resolve() != path.parent:
            raise _link(self.uri(key))
        return path

    def folder(self, prefix: str) -> Path:
        folder = keys.checked_prefix(prefix)
        return self.path(f"{folder}/_").parent if folder else self.root

    def open(self, key: str) -> BinaryIO:
        path = self.path(key)
        try:
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectMissing(self.uri(key)) from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _link(self.uri(key)) from None
            raise

    def open_content(self, key: str) -> BinaryIO:
        """As `open`. Raises Archived at a stub."""
        while True:
            source = self.open(key)
            try:
                inode = os.fstat(source.fileno()).st_ino
                found = self.facts(key)
                if found is not None and found[0].st_ino == inode:
                    if found[1] is not None and found[1].stands_for is not None:
                        raise Archived(self.uri(key))
                    return source
            except BaseException:
                source.close()
                raise
            # replaced or deleted since: look again at what is there now
            source.close()

    def facts(self, key: str) -> tuple[os.stat_result, Sidecar | None] | None:
        path = self.path(key)
        while True:
            try:
                status = path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                return None
            if stat.S_ISLNK(status.st_mode):
                raise _link(self.uri(key))
            if not stat.S_ISREG(status.st_mode):
                return None
            try:
                facts = sidecar.read(path, status.st_ino)
                if facts is not None or path.lstat().st_ino == status.st_ino:
                    return status, facts
            except FileNotFoundError:
                # replaced or deleted while we looked: look again
                continue

    def named(self, key: str, version: str | None) -> tuple[os.stat_result, Sidecar | None]:
        found = self.facts(key)
        if found is None or (version is not None and (found[1] is None or found[1].version != version)):
            raise ObjectMissing(self.uri(key))
        return found

    def object_facts(self, key: str, status: os.stat_result, facts: Sidecar | None) -> ObjectFacts:
        cold = facts.cold if facts else None
        stands_for = facts.stands_for if facts else None
        sha256, size = stands_for or (facts.sha256 if facts else None, status.st_size)
        return ObjectFacts(
            uri=f"{self.base}/{key}",
            key=key,
            size=size,
            modified=datetime.fromtimestamp(status.st_mtime, UTC),
            storage_class=COLD if cold else "STANDARD",
            sha256=sha256,
            version=facts.version if facts else None,
            restore=RestoreState(ongoing=False) if cold and stands_for is None else None,
            cold=cold,
        )

    def entries(self, folder: Path) -> list[Path | ObjectFacts]:
        """Folders and objects of one folder in key order: "a-b/x" stands before "a/x", as in S3. What others put
        there is listed as it is, so that the inventory can show it."""
        try:
            found = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        found.sort(key=lambda entry: entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name)
        entries: list[Path | ObjectFacts] = []
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                entries.append(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                key = str(Path(entry.path).relative_to(self.root))
                try:
                    entries.append(self.object_facts(key, entry.stat(follow_symlinks=False), None))
                except FileNotFoundError:
                    continue
        return entries

    def put(
        self, key: str, source: BinaryIO, *, sha256: str | None, tags: Mapping[str, str], if_absent: bool
    ) -> Stored:
        """As the protocol states it. A disk without room is a store that is unavailable, for every host alike."""
        try:
            return self._put(key, source, sha256=sha256, tags=tags, if_absent=if_absent)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise StoreUnavailable("write", uri=self.uri(key), said=str(error.strerror)) from error

    def _put(
        self, key: str, source: BinaryIO, *, sha256: str | None, tags: Mapping[str, str], if_absent: bool
    ) -> Stored:
        kept = checked_tags(tags)
        temporary, inode, total, size = self._write(key, source, sha256)
        try:
            facts = Sidecar(sha256=total, size=size, version=uuid.uuid4().hex, tags=kept)
            if if_absent:
                return self._link(key, temporary, inode, facts)
            return self._replace(key, temporary, inode, facts)
        finally:
            temporary.unlink(missing_ok=True)

    def _write(self, key: str, source: BinaryIO, sha256: str | None) -> tuple[Path, int, str, int]:
        """A synced file under a temporary name, read back; its inode, sum and size."""
        final = self.path(key)
        name = f"{TEMPORARY}{uuid.uuid4().hex}~{final.name}"
        while True:
            try:
                final.parent.mkdir(parents=True, exist_ok=True)
                out = (final.parent / name).open("xb")
            except FileNotFoundError:
                # the folder went empty and was removed just now
                continue
            break
        temporary = final.parent / name
        try:
            with out:
                total, size = _copy(source, out)
                inode = os.fstat(out.fileno()).st_ino
            if sha256 is not None and total != sha256:
                raise content_changed(self.uri(key), expected=sha256, found=total)
            if sum_of(temporary) != (total, size):
                raise StoreUnavailable("write", uri=self.uri(key), said="other bytes when read back")
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary, inode, total, size

    def exchange(
        self,
        key: str,
        source: BinaryIO,
        *,
        version: str | None,
        sha256: str | None,
        tags: Mapping[str, str],
        cold: str,
        stands_for: tuple[str, int] | None = None,
    ) -> Stored:
        """Put this in the place of exactly that version; `version` None: only where nothing lies. Raises ObjectMissing
        otherwise. See swap.py."""
        final = self.path(key)
        kept = checked_tags(tags)
        try:
            temporary, inode, total, size = self._write(key, source, sha256)
            facts = Sidecar(
                sha256=total, size=size, version=uuid.uuid4().hex, tags=kept, cold=cold, stands_for=stands_for
            )
            try:
                beside = sidecar.write(final, inode, facts)
                there = None if version is None else self.named(key, version)[0].st_ino
                placed = link_new(final, temporary) if there is None else swap(final, temporary, inode=there)
                if not placed:
                    beside.unlink(missing_ok=True)
                    raise ObjectMissing(self.uri(key))
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise StoreUnavailable("write", uri=self.uri(key), said=str(error.strerror)) from error
        sha256, size = stands_for or (total, size)
        return Stored(uri=self.uri(key), key=key, sha256=sha256, size=size, version=facts.version)

    def _link(self, key: str, temporary: Path, inode: int, facts: Sidecar) -> Stored:
        final = self.path(key)
        beside = sidecar.write(final, inode, facts)
        try:
            os.link(temporary, final, follow_symlinks=False)
        except FileExistsError:
            beside.unlink(missing_ok=True)
            there = self.facts(key)
            if there is None:
                # deleted since: the name is free again
                return self._link(key, temporary, inode, facts)
            status, known = there
            if known is not None and known.stands_for is not None:
                known = known.model_copy(update=dict(zip(("sha256", "size"), known.stands_for, strict=True)))
            found = known.sha256 if known is not None else sum_of(final)[0]
            if found != facts.sha256:
                raise exists_with_other_content(self.uri(key), expected=facts.sha256, found=found) from None
            return self.stored(key, known or facts.model_copy(update={"size": status.st_size}))
        sidecar.sync_folder(final.parent)
        return self.stored(key, facts)

    def _replace(self, key: str, temporary: Path, inode: int, facts: Sidecar) -> Stored:
        final = self.path(key)
        before = self.facts(key)
        sidecar.write(final, inode, facts)
        temporary.replace(final)
        sidecar.sync_folder(final.parent)
        if before is not None and before[0].st_ino != inode:
            sidecar.path_for(final, before[0].st_ino).unlink(missing_ok=True)
        return self.stored(key, facts)

    def stored(self, key: str, facts: Sidecar) -> Stored:
        return Stored(uri=self.uri(key), key=key, sha256=facts.sha256, size=facts.size, version=facts.version)

    def get_file(self, key: str, path: Path, sha256: str | None, size: int | None) -> None:
        found = self.facts(key)
        if found is None:
            raise ObjectMissing(self.uri(key))
        status, facts = found
        if facts is not None and facts.stands_for is not None:
            raise Archived(self.uri(key))
        if size is not None and status.st_size != size:
            raise content_changed(self.uri(key), expected=f"{size} bytes", found=f"{status.st_size} bytes")
        expected = sha256 or (facts.sha256 if facts else None)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        try:
            with self.open_content(key) as source, temporary.open("xb") as out:
                total, _ = _copy(source, out, sync=False)
            if expected is not None and total != expected:
                raise content_changed(self.uri(key), expected=expected, found=total)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def delete(self, key: str, version: str | None) -> bool:
        final = self.path(key)
        found = self.facts(key)
        if found is None or (version is not None and (found[1] is None or found[1].version != version)):
            return False
        inode = found[0].st_ino
        aside = aside_of(final)
        try:
            final.rename(aside)
        except FileNotFoundError:
            return False
        try:
            if aside.lstat().st_ino != inode:
                # another version came in between the look and the rename: it goes back
                os.link(aside, final, follow_symlinks=False)
                return False
            sidecar.path_for(final, inode).unlink(missing_ok=True)
        finally:
            aside.unlink(missing_ok=True)
        self._prune(final.parent)
        return True

    def _prune(self, folder: Path) -> None:
        """Folders are no objects: an empty one goes with its last."""
        while folder != self.root:
            try:
                (folder / sidecar.FOLDER).rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                return
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def abort(self, upload: UnfinishedUpload) -> None:
        if not upload.upload_id.startswith(TEMPORARY) or "/" in upload.upload_id:
            raise ValueError("not an unfinished upload of this store")
        final = self.path(upload.key)
        temporary = final.with_name(upload.upload_id)
        try:
            inode = temporary.lstat().st_ino
            placed = final.lstat().st_ino == inode if final.exists() else False
        except FileNotFoundError:
            return
        temporary.unlink(missing_ok=True)
        if not placed:
            sidecar.path_for(final, inode).unlink(missing_ok=True)

    def unfinished(self, prefix: str) -> Iterator[UnfinishedUpload]:
        for folder, _, names in os.walk(self.folder(prefix)):
            for name in sorted(names):
                if not name.startswith(TEMPORARY) or "~" not in name:
                    continue
                path = Path(folder) / name
                try:
                    started = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
                except FileNotFoundError:
                    continue
                key = str((Path(folder) / name.partition("~")[2]).relative_to(self.root))
                yield UnfinishedUpload(key=key, upload_id=name, started=started)


def _copy(source: BinaryIO, out: BinaryIO, *, sync: bool = True) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    for block in blocks(source):
        digest.update(block)
        out.write(block)
        size += len(block)
    out.flush()
    if sync:
        os.fsync(out.fileno())
    return digest.hexdigest(), size


def _link(uri: str) -> Rejected:
    return reject(
        code="UNSAFE_PATH",
        message="a symbolic link stands in the object's path",
        where=uri,
        rule="objects lie in the store's own folder; no link out of it is followed",
        fix="put the file itself there, through the store",
    )
