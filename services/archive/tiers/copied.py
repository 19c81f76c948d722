"""`copy`: for stores without storage classes. A verified copy in a cold place, then a stub in the object's own place.

The copy in the cold place is what is kept, from the moment that it is verified until a purge: what lies under the
object's own name afterwards, a stub or a copy brought back, may be lost at any time without loss. So a worker that
comes back from the dead can do no harm there. What it could harm, the cold copy, has a name of its own attempt; where
the artifact has to be kept after all, it is copied once more, under a name that the other does not know.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from chassis.errors import Rejected, reject
from chassis.faultpoints import point
from chassis.outcomes import Outcome, Retry
from chassis.storage import keys
from chassis.storage.store import Archived, ObjectFacts, ObjectMissing, Store, StoreUnavailable
from chassis.storage.stub import COLD, Stub
from services.archive.prices import STANDARD
from services.archive.tiers.backend import Begin, Meant, StillRight, changed, did
from services.archive.tiers.places import Places, at_hand, said_by, verified
from services.archive.tiers.storage_class import another_version

NOT_CURRENT = Retry(reason="the version to be moved is not the current one any more", after=timedelta(seconds=1))


class Copies:
    """`store` is where objects lie under their own names; `scratch`: a folder for the content of one object."""

    name = "copy"

    def __init__(self, *, store: Store, places: Places, scratch: Path) -> None:
        self._store = store
        self._places = places
        self._scratch = scratch

    async def move(
        self, meant: Meant, found: ObjectFacts, tier: str, *, begin: Begin, still_right: StillRight
    ) -> Outcome:
        """Also of a copy that was brought back: then nothing is copied, the cold one is verified again."""
        copy = (meant.begun or {}).get("cold") or found.cold or meant.cold
        if copy is not None and not await self._verified(copy, meant.artifact):
            if found.cold is not None:
                return changed(f"the copy at {copy} is not what was written there; what lies here stays")
            copy = None
        fresh = copy is None
        if copy is None:
            try:
                copy = await self._copied(meant, meant.uri)
            except (ObjectMissing, Archived):
                return NOT_CURRENT
        why_not = await still_right()
        if why_not is not None:
            if fresh and meant.begun is None:
                await self._removed(copy)
            return await self.spare(meant, purging=False, tier=tier, why=why_not)
        await begin({"version": found.version, "cold": copy})
        point("before-act", of="archive")
        try:
            left = await self._leave(meant, found, copy)
        except ObjectMissing:
            return NOT_CURRENT
        except Rejected as rejected:
            if rejected.rejection.code != "CONTENT_CHANGED":
                raise
            return changed(rejected.rejection.message)
        return did("moved", version=left, cold=copy)

    async def purge(self, meant: Meant, found: ObjectFacts | None, *, begin: Begin, guards: tuple[str, ...]) -> Outcome:
        """Its stub or a copy brought back goes by whatever version it has, then the cold copy."""
        async with self._places.holding(meant.uri) as store:
            here = found or await self._marked(store, meant)
            begun = meant.begun or {}
            cold = meant.cold or begun.get("cold") or (here.cold if here is not None else None)
            if here is None and cold is None:
                if meant.begun is not None:
                    return did("purged", version=begun["version"])
                return did("gone", why="the object is not in the store")
            version = begun.get("version", here.version if here is not None else meant.version)
            await begin({"version": version, "cold": cold})
            point("before-act", of="archive")
            if here is not None:
                await store.delete(meant.uri, version=here.version)
        point("half-purged", of="archive")
        if cold is not None and cold != meant.uri:
            await self._removed(cold)
            # a restore that ran beside this may have brought it back before
            again = await self._marked(self._store, meant)
            if again is not None:
                await self._store.delete(meant.uri, version=again.version)
        return did("purged", version=version, guards=guards)

    async def spare(self, meant: Meant, *, purging: bool, tier: str, why: str) -> Outcome:
        if meant.begun is None:
            # away: what was copied in vain stays, and the inventory shows it
            with contextlib.suppress(StoreUnavailable):
                await self._clear(meant)
            return did("spared", why=why)
        return await (self._keep(meant, why) if purging else self._settle(meant, why))

    async def not_there(self, meant: Meant, *, tier: str) -> Outcome:
        current = await self._store.head(meant.uri)
        if current is not None:
            if current.sha256 == meant.artifact and current.cold is not None:
                return did("moved", version=current.version, cold=current.cold, warm=current.readable())
            return did("gone", why="the version that was condemned is not in the store")
        copy = (meant.begun or {}).get("cold") or meant.cold
        if copy is None or not await self._verified(copy, meant.artifact):
            return did("gone", why="the version that was condemned is not in the store")
        # an attempt ended between taking the one away and leaving the other
        return did("moved", version=await self._leave(meant, None, copy), cold=copy)

    async def restore(self, meant: Meant, *, days: int, begin: Begin) -> ObjectFacts | None:
        """Under its own name, verified on the way; how long it stays, the archive's ledger says."""
        found = await self._store.head(meant.uri)
        if found is not None and (found.readable() or found.cold is None):
            return found
        damaged = None
        for copy in dict.fromkeys(uri for uri in (found and found.cold, meant.cold) if uri):
            try:
                if await self._brought_back(meant, found, copy, begin):
                    return await self._store.head(meant.uri)
            except Rejected as rejected:
                if rejected.rejection.code != "CONTENT_CHANGED":
                    raise
                damaged = copy
        if damaged is not None:
            raise reject(
                code="CONTENT_CHANGED",
                message="the copy in the cold place is not what was written there",
                where=damaged,
                rule="what is brought back has the SHA-256 that its artifact is named by",
                fix="mend the cold place and ask again, or make the artifact again; the damaged copy stays as it is",
            )
        return None

    async def _brought_back(self, meant: Meant, found: ObjectFacts | None, copy: str, begin: Begin) -> bool:
        """False where there is no such copy."""
        async with self._places.holding(copy) as place:
            with said_by(place.base):
                head = await place.head(copy)
            if head is None:
                return False
            try:
                path = await self._at_hand(place, copy, "brought-back", meant.artifact)
            except ObjectMissing:
                return False
            # purged meanwhile, or brought back by another: what lies there then says it
            with contextlib.suppress(ObjectMissing):
                if found is None or found.cold != copy:
                    await begin({"version": found.version if found is not None else None, "cold": copy})
                    await self._leave(meant, found, copy)
                await begin({"cold": copy})
                point("before-restore", of="archive")
                await self._store.fill_stub(meant.uri, path, sha256=meant.artifact)
        return True

    async def _at_hand(self, place: Store, uri: str, name: str, sha256: str) -> Path:
        with said_by(place.base) if place is not self._store else contextlib.nullcontext():
            return await at_hand(place, uri, self._scratch / name, sha256=sha256)

    async def _settle(self, meant: Meant, why: str) -> Outcome:
        """An attempt had copied and begun: it may still leave its stub. The copy that it points at is kept and known,
        so that nothing is lost then; who reads meets the stub and asks."""
        assert meant.begun is not None
        copy = meant.begun["cold"]
        current = await self._ours(self._store, meant)
        if current is None or (current.cold == copy and not current.readable()):
            return await self.not_there(meant, tier=COLD)
        if not await self._verified(copy, meant.artifact):
            copy = await self._copied(meant, meant.uri)
        tier = COLD if current.cold is not None else STANDARD
        return did("out of reach", why=why, version=current.version, cold=copy, tier=tier)

    async def _keep(self, meant: Meant, why: str) -> Outcome:
        """An attempt had begun to purge, and may still delete what it knew. The content is stored once more where it
        does not look: as another version, where the store has these, else apart."""
        begun: Mapping[str, Any] = meant.begun or {}
        current = await self._ours(self._store, meant)
        apart = begun.get("cold") or meant.cold
        if apart is None and "versions" in self._store.capabilities:
            if current is None or current.version != begun.get("version"):
                return did("purged", version=begun.get("version"))
            return await another_version(self._store, meant, current, scratch=self._scratch, why=why)
        sources = [uri for uri in (begun.get("cold"), meant.cold) if uri]
        if current is not None and current.readable():
            sources.insert(0, meant.uri)
        copy = None
        for source in sources:
            try:
                copy = await self._copied(meant, source)
            except (ObjectMissing, Archived):
                continue
            break
        if copy is None:
            return did("purged", version=begun.get("version"))
        if current is None or not current.readable():
            version = await self._leave(meant, current, copy)
            tier = COLD
        else:
            version, tier = current.version, COLD if current.cold else STANDARD
        for known in {begun.get("cold"), meant.cold} - {None, copy}:
            await self._removed(str(known))
        return did("out of reach", why=why, version=version, cold=copy, tier=tier)

    async def _marked(self, store: Store, meant: Meant) -> ObjectFacts | None:
        found = await self._ours(store, meant)
        return found if found is not None and found.cold is not None else None

    async def _ours(self, store: Store, meant: Meant) -> ObjectFacts | None:
        """What lies under its name, if it is this artifact: its content, or a stub of it."""
        found = await store.head(meant.uri)
        return found if found is not None and found.sha256 == meant.artifact else None

    async def _copied(self, meant: Meant, source: str) -> str:
        """A verified copy under this attempt's own name; returns its URI."""
        await self._clear(meant)
        async with self._places.holding(source) as origin, self._places.keeping() as place:
            path = await self._at_hand(origin, source, "copied", meant.artifact)
            tags = await origin.read_tags(source)
            point("before-copy", of="archive")
            with said_by(place.base):
                stored = await place.put_file(meant.attempt.key, path, sha256=meant.artifact, tags=tags)
            await self._places.still(place)
            return stored.uri

    async def _clear(self, meant: Meant) -> None:
        """What earlier attempts of this act copied and never came to use: none of them can come past its fence."""
        if meant.begun is not None or meant.attempt.epoch == 1:
            return
        async with self._places.keeping() as place:
            with said_by(place.base):
                async for facts in place.list(meant.attempt.folder):
                    left = keys.cold_copy_of(facts.key)
                    mine = meant.attempt
                    if left is None or facts.uri == meant.cold:
                        continue
                    if (left.count, left.incarnation) == (mine.count, mine.incarnation) and left.epoch < mine.epoch:
                        await place.delete(facts.key)

    async def _leave(self, meant: Meant, found: ObjectFacts | None, copy: str) -> str | None:
        """The stub's version. Raises ObjectMissing where something else lies there."""
        async with self._places.holding(copy) as place:
            with said_by(place.base):
                head = await place.head(copy)
                tags = None if found is not None else await place.read_tags(copy)
        if head is None:
            raise ObjectMissing(copy)
        stub = Stub(sha256=meant.artifact, size=head.size, place=copy)
        version = found.version if found is not None else None
        return (await self._store.leave_stub(meant.uri, stub=stub, version=version, tags=tags)).version

    async def _verified(self, uri: str, artifact: str) -> bool:
        async with self._places.holding(uri) as place:
            with said_by(place.base):
                return await verified(place, uri, sha256=artifact)

    async def _removed(self, uri: str) -> None:
        async with self._places.holding(uri) as place:
            with said_by(place.base):
                await place.delete(uri)
