"""The store keeps what it is given, publishes by one swap, and loses nothing that is needed."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from chassis.errors import Rejected
from chassis.settings import StoreSettings
from chassis.storage.open import open_client
from chassis.storage.store import ObjectMissing, StoreUnavailable
from services.jointcall.columnar.store.collection import collected, planned
from services.jointcall.columnar.store.compaction import compacted, rewritten
from services.jointcall.columnar.store.depot import Depot, opened
from services.jointcall.columnar.store.generation import Generation, added, withdrawn
from services.jointcall.columnar.store.inspect import column_bytes, generation_columns
from tests.services.jointcall.columnar.store.cohort import first, folder_depot, stored
from tests.services.jointcall.columnar.store.made import same
from tests.services.jointcall.columnar.store.test_windows import said

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=9)


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    with folder_depot(tmp_path / "store") as opened_depot:
        yield opened_depot


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def objects(depot: Depot) -> set[str]:
    return {Path(facts.key).stem for facts in depot.listed("objects")}


def all_said(depot: Depot, generation: Generation) -> dict[str, list[object]]:
    """What each sample that counts says, base by base: blocks rejoined where a window's edge cut them."""
    spoken: dict[str, list[object]] = {name: [] for name in generation.samples}
    for batch in generation.batches:
        for shard in range(len(generation.shards)):
            with depot.open_shard(batch, shard) as reader:
                for index in range(len(reader.windows())):
                    window = reader.read(index)
                    for i in generation.counting(batch):
                        blocks, explicit = said(window, i)
                        for begin, end, _, *rest in blocks:
                            spoken[batch.names[i]] += [(base, *rest) for base in range(begin, end + 1)]
                        spoken[batch.names[i]] += [record for record in explicit if record[0] >= window.first]
    return {name: sorted(records, key=repr) for name, records in spoken.items()}


def test_what_is_published_is_read_back(depot: Depot, scratch: Path) -> None:
    assert depot.current() is None
    one = first(stored(depot, scratch, "b", "a"))
    published = depot.publish(one)
    assert (published.number, published.operation, published.samples) == (1, "import", 2)
    assert depot.current() == published
    assert depot.generation(one.id) == one
    with depot.open_shard(one.batches[0], 0) as reader:
        assert reader.samples == ("b", "a")
        assert reader.windows() == [(1, 2048), (2049, 4096)]
        assert reader.read(1).blocks.gap.size > 0


def test_of_two_who_publish_one_wins(depot: Depot, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = first(stored(depot, scratch, "a"))
    depot.publish(one)
    mine = added(one, [stored(depot, scratch, "b", seed=2)])
    theirs = added(one, [stored(depot, scratch, "c", seed=3)])
    before = depot.current()
    depot.publish(theirs)
    with pytest.raises(Rejected, match="GENERATION_MOVED"):
        depot.publish(mine)
    # also when both looked before either wrote
    monkeypatch.setattr(depot, "current", lambda: before)
    with pytest.raises(Rejected, match="GENERATION_MOVED"):
        depot.publish(mine)
    monkeypatch.undo()
    assert [publication.generation for publication in depot.history()] == [theirs.id, one.id]


def test_a_first_generation_does_not_displace_another(depot: Depot, scratch: Path) -> None:
    depot.publish(first(stored(depot, scratch, "a")))
    with pytest.raises(Rejected, match="GENERATION_MOVED"):
        depot.publish(first(stored(depot, scratch, "b", seed=2)))


def test_a_crash_before_the_pointer_leaves_the_old_generation(
    depot: Depot, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = first(stored(depot, scratch, "a"))
    depot.publish(one)
    two = added(one, [stored(depot, scratch, "b", seed=2)])
    put = depot._put_json

    def dies(key: str, content: bytes, *, again: bool = False) -> None:
        if "publications" in key:
            raise KeyboardInterrupt
        put(key, content, again=again)

    monkeypatch.setattr(depot, "_put_json", dies)
    with pytest.raises(KeyboardInterrupt):
        depot.publish(two)
    monkeypatch.undo()
    current = depot.current()
    assert current is not None and current.generation == one.id
    assert all_said(depot, depot.generation(one.id)).keys() == {"a"}
    # and the same may be tried again
    assert depot.publish(two).number == 2


def test_a_full_disk_publishes_nothing(depot: Depot, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = first(stored(depot, scratch, "a"))
    depot.publish(one)
    kept = objects(depot)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("chassis.storage.folder.os.fsync", full)
    with pytest.raises((StoreUnavailable, OSError), match="No space"):
        stored(depot, scratch, "b", seed=2)
    with pytest.raises(StoreUnavailable, match="No space"):
        depot.publish(withdrawn(one, ["a"], deadline=LATER))
    monkeypatch.undo()
    current = depot.current()
    assert current is not None and current.generation == one.id
    assert objects(depot) == kept
    assert not [path for path in scratch.rglob("*") if path.is_file() and path.stat().st_size == 0]


def test_a_generation_whose_objects_are_missing_is_not_published(depot: Depot, scratch: Path) -> None:
    batch = stored(depot, scratch, "a")
    depot.delete(depot.listed("objects")[0])
    with pytest.raises(Rejected, match="OBJECT_MISSING: 1 objects"):
        depot.publish(first(batch))
    assert depot.current() is None and depot.listed("generations") == []


def test_other_bytes_under_an_objects_name_are_refused(depot: Depot, scratch: Path, tmp_path: Path) -> None:
    batch = stored(depot, scratch, "a")
    sha256 = batch.shards[0].blocks.sha256
    path = tmp_path / "store" / depot.object_key(sha256)
    depot.verify(sha256, scratch=scratch)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(Rejected, match="CONTENT_CHANGED"):
        depot.verify(sha256, scratch=scratch)
    path.write_bytes(content[:-1])
    with pytest.raises(Rejected, match="CONTENT_CHANGED"):
        depot.open_shard(batch, 0)
    path.unlink()
    with pytest.raises(ObjectMissing):
        depot.open_shard(batch, 0)


def test_objects_of_other_samples_than_the_manifests_are_refused(depot: Depot, scratch: Path) -> None:
    batch = stored(depot, scratch, "a", "b")
    swapped = batch.model_copy(update={"samples": tuple(reversed(batch.samples))})
    with pytest.raises(Rejected, match="other samples"):
        depot.open_shard(swapped, 0)


def test_compaction_says_what_the_batches_said(depot: Depot, scratch: Path) -> None:
    one = first(
        stored(depot, scratch, "d", "a", window_bp=4096),
        stored(depot, scratch, "c", seed=2),
        stored(depot, scratch, "b", "e", seed=3, window_bp=1024),
    )
    one = withdrawn(one, ["e"], deadline=LATER)
    two = compacted(depot, one, scratch=scratch)
    assert two is not None and two.parent == one.id
    assert [batch.names for batch in two.batches] == [("a", "b", "c", "d")]
    assert two.masks == ()
    assert all_said(depot, two) == all_said(depot, one)
    with depot.open_shard(two.batches[0], 0) as reader:
        assert reader.window_bp == 1024
    assert compacted(depot, two, scratch=scratch) is None
    assert [path for path in scratch.rglob("*") if path.is_file()] == []


def test_compaction_does_not_depend_on_what_came_first(depot: Depot, scratch: Path) -> None:
    apart = [stored(depot, scratch, name, seed=seed) for seed, name in enumerate("abc", start=1)]
    one, other = first(*apart), first(*reversed(apart))
    left, right = compacted(depot, one, scratch=scratch), compacted(depot, other, scratch=scratch)
    assert left is not None and right is not None
    assert left.batches == right.batches


def test_a_withdrawn_samples_bytes_go_at_the_deadline(depot: Depot, scratch: Path) -> None:
    one = first(stored(depot, scratch, "a", "b"), stored(depot, scratch, "c", seed=2))
    depot.publish(one)
    two = withdrawn(one, ["b"], deadline=LATER)
    depot.publish(two)
    assert rewritten(depot, two, now=LATER - timedelta(seconds=1), scratch=scratch) is two
    three = rewritten(depot, two, now=LATER, scratch=scratch)
    depot.publish(three)
    assert [batch.names for batch in three.batches] == [("c",), ("a",)]
    assert all_said(depot, three) == all_said(depot, two)
    # the old batch stays as long as the generation before may be read
    old = {file.sha256 for file in one.batches[0].objects}
    assert old <= objects(depot)
    garbage = planned(depot, grace=timedelta(0), now=LATER)
    assert {Path(facts.key).stem for facts in garbage.objects} == old
    assert objects(depot) >= old  # a plan deletes nothing
    assert collected(depot, garbage) == garbage.size > 0
    assert not objects(depot) & old
    assert all_said(depot, depot.generation(three.id)).keys() == {"a", "c"}
    with pytest.raises(ObjectMissing):
        depot.generation(one.id)


def test_garbage_collection_keeps_what_is_held_recent_or_asked_for(depot: Depot, scratch: Path) -> None:
    generations = [first(stored(depot, scratch, "a"))]
    depot.publish(generations[0])
    for seed, name in enumerate("bcd", start=2):
        generations.append(added(generations[-1], [stored(depot, scratch, name, seed=seed)]))
        depot.publish(generations[-1])
    last = withdrawn(generations[-1], ["d"], deadline=NOW)
    depot.publish(last)
    newest = rewritten(depot, last, now=LATER, scratch=scratch)
    depot.publish(newest)
    orphan = stored(depot, scratch, "x", seed=9)

    def going(*, keep: int = 1, also: tuple[str, ...] = (), grace: timedelta = timedelta(0)) -> set[str]:
        plan = planned(depot, keep=keep, also=also, grace=grace, now=LATER)
        return {Path(facts.key).stem for facts in (*plan.objects, *plan.generations)}

    lost = {file.sha256 for batch in (orphan, generations[3].batches[3]) for file in batch.objects}
    manifests = {generation.id for generation in (*generations, last)}
    assert going() == lost | manifests
    # young things may belong to an import that is under way
    assert going(grace=timedelta(days=30)) == set()
    assert last.id not in going(keep=2) and not going(keep=2) & {f.sha256 for f in generations[3].batches[3].objects}
    assert generations[0].id not in going(also=(generations[0].id,))
    depot.hold(name="freeze-1", generation=generations[3].id, reason="released")
    assert going() == {file.sha256 for file in orphan.objects} | manifests - {generations[3].id}
    # a hold that comes after the plan counts too
    plan = planned(depot, grace=timedelta(0), now=LATER)
    depot.hold(name="freeze-0", generation=generations[1].id, reason="released")
    collected(depot, plan)
    assert depot.generation(generations[1].id) == generations[1]
    assert {hold.name for hold in depot.holds()} == {"freeze-0", "freeze-1"}
    assert depot.release("freeze-1") and not depot.release("freeze-1")
    assert generations[3].id in going()
    with pytest.raises(ValueError, match="current generation"):
        planned(depot, keep=0)


def test_what_is_put_again_is_not_collected_by_an_older_plan(
    depot: Depot, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import that was given up long ago, and is repeated while its remains are being collected."""
    batch = stored(depot, scratch, "a")
    plan = planned(depot, grace=timedelta(0), now=LATER)
    assert len(plan.objects) == 4
    monkeypatch.setattr(depot, "_now", lambda: LATER)
    assert stored(depot, scratch, "a") == batch
    assert collected(depot, plan) == 0
    depot.publish(first(batch))


def test_a_hold_names_one_generation(depot: Depot, scratch: Path) -> None:
    one = first(stored(depot, scratch, "a"))
    depot.publish(one)
    two = added(one, [stored(depot, scratch, "b", seed=2)])
    depot.publish(two)
    hold = depot.hold(name="freeze-1", generation=one.id, reason="released")
    assert depot.hold(name="freeze-1", generation=one.id, reason="again") == hold
    with pytest.raises(Rejected, match="IDEMPOTENCY_CONFLICT"):
        depot.hold(name="freeze-1", generation=two.id, reason="released")
    with pytest.raises(Rejected, match="UNSAFE_PATH"):
        depot.hold(name="../freeze", generation=one.id, reason="released")
    with pytest.raises(ObjectMissing):
        depot.hold(name="freeze-2", generation="0" * 64, reason="released")


def test_columns_are_weighed(depot: Depot, scratch: Path) -> None:
    one = first(stored(depot, scratch, "a", "b"))
    with depot.open_shard(one.batches[0], 0) as reader:
        weights = column_bytes(reader)
    assert weights["blocks.pl2"] > weights["blocks.pl0"] == 0
    assert 0 < sum(weights.values()) < sum(one.objects().values())
    assert generation_columns(depot, one) == weights


def test_calls_from_the_stores_own_loop_are_refused(tmp_path: Path) -> None:
    with opened(StoreSettings(base=tmp_path.as_uri()), cohort="c") as depot:

        async def inside() -> None:
            with pytest.raises(RuntimeError, match="another thread"):
                depot.current()

        depot.run(inside())


def test_on_s3_the_same_is_read_by_ranges_and_from_copies(tmp_path: Path) -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = StoreSettings(
        base="s3://cohorts/site",
        endpoint=f"http://{host}:{port}",
        access_key=SecretStr("key"),
        secret_key=SecretStr("secret"),
    )

    async def bucket() -> None:
        async with open_client(settings) as client:
            await client.create_bucket(Bucket="cohorts")

    try:
        asyncio.run(bucket())
        scratch = tmp_path / "scratch"
        with opened(settings, cohort="c") as far, folder_depot(tmp_path / "near") as near:
            one = first(stored(far, scratch, "a", "b"))
            assert first(stored(near, scratch, "a", "b")) == one
            far.publish(one)
            with pytest.raises(Rejected, match="GENERATION_MOVED"):
                far.publish(one)
            copies = tmp_path / "copies"
            for options in ({}, {"copies": copies}, {"copies": copies}):
                with far.open_shard(one.batches[0], 1, **options) as read, near.open_shard(one.batches[0], 1) as meant:
                    for index in range(len(meant.windows())):
                        assert same(read.read(index), meant.read(index))
            assert len(list(copies.iterdir())) == 2
            garbage = planned(far, grace=timedelta(0), now=LATER)
            assert garbage.objects == () and garbage.kept == (one.id,)
    finally:
        server.stop()
