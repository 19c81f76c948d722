"""What each way of going cold promises, whatever stores stand behind it. Run on folders, on the S3 server that models
Glacier, and (tests/containers) on one that has no classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import LeaseLost, Rejected
from chassis.outcomes import Done, Outcome
from chassis.storage.keys import ColdCopy
from chassis.storage.store import Archived, ObjectFacts, Store, Stored, tags_of
from contracts.values import ArtifactKind
from services.archive.tiers.backend import Meant, TierBackend

KEY = "working/align/t/1-1/s.cram"
BODY = b"reads" * 999
TAGS = tags_of(kind="cram", stage="align", subject="smp_1")


@dataclass
class Bench:
    """One backend over its stores. `cold`: the cold place, where the backend is one of copies."""

    backend: TierBackend
    store: Store
    tier: str
    cold: Store | None
    scratch: Path
    begun: list[dict[str, Any]] = field(default_factory=list)
    stored: Stored | None = None

    async def put(self) -> Meant:
        self.stored = await self.store.put_bytes(KEY, BODY, tags=TAGS)
        return self.meant()

    def meant(self, **more: Any) -> Meant:
        assert self.stored is not None
        known: dict[str, Any] = {
            "artifact": self.stored.sha256,
            "kind": ArtifactKind.cram,
            "uri": self.stored.uri,
            "version": self.stored.version,
            "attempt": ColdCopy(artifact=self.stored.sha256, count=1, incarnation=1, epoch=1),
        }
        return Meant(**(known | more))

    async def begin(self, value: Mapping[str, Any]) -> None:
        self.begun.append(dict(value))

    async def lost(self, value: Mapping[str, Any]) -> None:
        raise LeaseLost("act")

    async def head(self) -> ObjectFacts:
        found = await self.store.head(KEY)
        assert found is not None
        return found

    async def move(self, meant: Meant) -> dict[str, Any]:
        return result_of(
            await self.backend.move(meant, await self.head(), self.tier, begin=self.begin, still_right=nothing)
        )

    async def restored(self, meant: Meant) -> ObjectFacts | None:
        return await self.backend.restore(meant, days=1, begin=self.begin)


def result_of(outcome: Outcome) -> dict[str, Any]:
    assert isinstance(outcome, Done), outcome
    return dict(outcome.result)


async def nothing() -> str | None:
    return None


async def held() -> str | None:
    return "held by tester"


class Contract:
    async def test_moved_it_reads_as_archived_and_comes_back_under_its_name(self, bench: Bench) -> None:
        meant = await bench.put()
        moved = await bench.move(meant)
        assert moved["did"] == "moved"
        head = await bench.head()
        assert (head.storage_class, head.sha256, head.size) == (bench.tier, meant.artifact, len(BODY))
        assert head.version == moved["version"]
        with pytest.raises(Archived):
            await bench.store.get_bytes(KEY, limit=len(BODY))
        if bench.cold is not None:  # the emulator of S3 refuses the tags of an archived object, which S3 gives
            assert await bench.store.read_tags(KEY) == TAGS
        back = await bench.restored(replace(meant, cold=moved.get("cold")))
        assert back is not None
        assert (back.storage_class, back.restore is not None) == (bench.tier, True)
        await readable(bench)
        assert await bench.store.get_bytes(KEY, limit=len(BODY), sha256=meant.artifact) == BODY
        assert await bench.store.read_tags(KEY) == TAGS

    async def test_who_lost_its_lease_changes_nothing(self, bench: Bench) -> None:
        meant = await bench.put()
        before = await bench.head()
        with pytest.raises(LeaseLost):
            await bench.backend.move(meant, before, bench.tier, begin=bench.lost, still_right=nothing)
        with pytest.raises(LeaseLost):
            await bench.backend.purge(meant, before, begin=bench.lost, guards=())
        assert await bench.head() == before

    async def test_asked_again_after_its_deed_it_says_what_is_true(self, bench: Bench) -> None:
        meant = await bench.put()
        moved = await bench.move(meant)
        again = replace(meant, begun=bench.begun[-1])
        told = result_of(await bench.backend.not_there(again, tier=bench.tier))
        assert (told["did"], told["version"], told.get("cold")) == ("moved", moved["version"], moved.get("cold"))

    async def test_purged_nothing_of_it_is_left_in_any_place(self, bench: Bench) -> None:
        meant = await bench.put()
        moved = await bench.move(meant)
        meant = replace(meant, version=moved["version"], cold=moved.get("cold"))
        purge = bench.backend.purge(meant, await bench.head(), begin=bench.begin, guards=("withdrawn",))
        assert result_of(await purge)["did"] == "purged"
        assert await bench.store.head(KEY) is None
        assert await lying(bench.cold) == []
        again = await bench.backend.purge(replace(meant, begun=bench.begun[-1]), None, begin=bench.begin, guards=())
        assert result_of(again)["did"] == "purged"

    async def test_what_nobody_has_is_gone(self, bench: Bench) -> None:
        meant = await bench.put()
        await bench.store.delete(KEY, version=meant.version)
        assert result_of(await bench.backend.not_there(meant, tier=bench.tier))["did"] == "gone"
        gone = await bench.backend.purge(meant, None, begin=bench.begin, guards=())
        assert result_of(gone)["did"] == "gone"
        assert await bench.restored(meant) is None

    async def test_spared_before_it_began_it_stays_as_it_is(self, bench: Bench) -> None:
        meant = await bench.put()
        before = await bench.head()
        spared = await bench.backend.spare(meant, purging=False, tier=bench.tier, why="held")
        assert result_of(spared) == {"did": "spared", "why": "held"}
        assert await bench.head() == before


class CopyContract(Contract):
    async def test_a_hold_while_it_copies_leaves_no_copy(self, bench: Bench) -> None:
        meant = await bench.put()
        spared = await bench.backend.move(meant, await bench.head(), bench.tier, begin=bench.begin, still_right=held)
        assert result_of(spared) == {"did": "spared", "why": "held by tester"}
        assert await bench.store.get_bytes(KEY, limit=len(BODY)) == BODY
        assert await lying(bench.cold) == []

    async def test_the_next_attempt_clears_what_the_former_copied_in_vain(self, bench: Bench) -> None:
        meant = await bench.put()
        with pytest.raises(LeaseLost):
            await bench.backend.move(meant, await bench.head(), bench.tier, begin=bench.lost, still_right=nothing)
        assert len(await lying(bench.cold)) == 1
        second = replace(meant, attempt=replace(meant.attempt, epoch=2))
        moved = await bench.move(second)
        assert moved["cold"].endswith("/1-1-2")
        assert await lying(bench.cold) == [moved["cold"]]

    async def test_killed_after_it_began_the_copy_made_is_used(self, bench: Bench) -> None:
        meant = await bench.put()

        async def killed(value: Mapping[str, Any]) -> None:
            bench.begun.append(dict(value))
            raise LeaseLost("killed")

        with pytest.raises(LeaseLost):
            await bench.backend.move(meant, await bench.head(), bench.tier, begin=killed, still_right=nothing)
        second = replace(meant, attempt=replace(meant.attempt, epoch=2), begun=bench.begun[-1])
        moved = await bench.move(second)
        assert await lying(bench.cold) == [moved["cold"]] == [bench.begun[0]["cold"]]

    async def test_held_after_it_began_the_copy_is_known(self, bench: Bench) -> None:
        """That attempt may still leave its stub: it must point at a copy that is kept."""
        meant = await bench.put()

        async def stopped(value: Mapping[str, Any]) -> None:
            bench.begun.append(dict(value))
            raise LeaseLost("stopped")

        with pytest.raises(LeaseLost):
            await bench.backend.move(meant, await bench.head(), bench.tier, begin=stopped, still_right=nothing)
        second = replace(meant, begun=bench.begun[-1], attempt=replace(meant.attempt, epoch=2))
        kept = result_of(await bench.backend.spare(second, purging=False, tier=bench.tier, why="held"))
        assert (kept["did"], kept["tier"], kept["cold"]) == ("out of reach", "STANDARD", bench.begun[0]["cold"])
        assert await bench.store.get_bytes(KEY, limit=len(BODY)) == BODY

    async def test_taken_away_again_only_when_the_cold_copy_is_whole(self, bench: Bench) -> None:
        meant = await bench.put()
        moved = await bench.move(meant)
        warm = replace(meant, cold=moved["cold"])
        await bench.restored(warm)
        warm = replace(warm, version=(await bench.head()).version)
        again = await bench.move(warm)
        assert (again["did"], again["cold"]) == ("moved", moved["cold"])
        with pytest.raises(Archived):
            await bench.store.get_bytes(KEY, limit=len(BODY))

        await bench.restored(warm)
        await damage(bench, moved["cold"])
        refused = await bench.move(replace(warm, version=(await bench.head()).version))
        assert (refused["did"], refused["code"]) == ("refused", "CONTENT_CHANGED")
        assert await bench.store.get_bytes(KEY, limit=len(BODY)) == BODY

    async def test_a_damaged_copy_is_refused_and_kept(self, bench: Bench) -> None:
        meant = await bench.put()
        moved = await bench.move(meant)
        await damage(bench, moved["cold"])
        with pytest.raises(Rejected) as refused:
            await bench.restored(replace(meant, cold=moved["cold"]))
        assert (refused.value.rejection.code, refused.value.rejection.where) == ("CONTENT_CHANGED", moved["cold"])
        assert await lying(bench.cold) == [moved["cold"]]
        with pytest.raises(Archived):
            await bench.store.get_bytes(KEY, limit=len(BODY))

    async def test_a_name_that_went_is_given_back(self, bench: Bench) -> None:
        """The ledger knows the copy; the stub is gone."""
        meant = await bench.put()
        moved = await bench.move(meant)
        await bench.store.delete(KEY, version=moved["version"])
        back = await bench.restored(replace(meant, cold=moved["cold"]))
        assert back is not None
        assert await bench.store.get_bytes(KEY, limit=len(BODY)) == BODY
        assert await bench.store.read_tags(KEY) == TAGS

    async def test_held_after_a_purge_began_it_is_out_of_reach(self, bench: Bench) -> None:
        """What that purge's worker still deletes when it wakes is not what is kept."""
        meant = await bench.put()
        moved = await bench.move(meant)
        meant = replace(meant, version=moved["version"], cold=moved["cold"])
        begun = {"version": moved["version"], "cold": moved["cold"]}
        second = replace(meant, begun=begun, attempt=replace(meant.attempt, count=2, epoch=2))
        kept = result_of(await bench.backend.spare(second, purging=True, tier="purge", why="held"))
        assert (kept["did"], kept["tier"]) == ("out of reach", "COLD")
        assert kept["cold"] != moved["cold"]
        zombie = replace(meant, begun=begun)
        await bench.store.delete(KEY, version=moved["version"])
        assert bench.cold is not None
        await bench.cold.delete(moved["cold"])
        await bench.restored(replace(zombie, cold=kept["cold"]))
        assert await bench.store.get_bytes(KEY, limit=len(BODY)) == BODY


async def lying(cold: Store | None) -> list[str]:
    return [] if cold is None else [f.uri async for f in cold.list("archive") if "cold-place" not in f.key]


async def damage(bench: Bench, uri: str) -> None:
    """As rot does it: other bytes under the same name, sum and size."""
    assert bench.cold is not None
    body = b"x" * len(BODY)
    if bench.cold.base.startswith("file://"):
        Path(uri.removeprefix("file://")).write_bytes(body)
        return
    await bench.cold.put_bytes(bench.cold.key_of(uri), body, tags=TAGS)


async def readable(bench: Bench) -> None:
    """The emulator's answers to HEAD and to GET change one after the other."""
    from tests.conftest import until

    async def ready() -> bool:
        try:
            await bench.store.read_range(KEY, 0, 1)
        except Archived:
            return False
        return (await bench.head()).readable()

    await until(ready)
