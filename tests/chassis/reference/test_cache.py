"""The workers' cache, by real processes where it matters."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from chassis.errors import Rejected
from chassis.reference.bundle import add
from chassis.reference.cache import ReferenceCache
from chassis.reference.model import Bundle, Role
from chassis.storage.file import FileStore
from tests.chassis.reference.conftest import bases, write_fasta

pytestmark = pytest.mark.tools

PLENTY = 1 << 30
WITHIN_S = 30.0


class Puller:
    """A process of tests/chassis/reference/puller.py."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._next: asyncio.Task[str] | None = None

    def next(self) -> asyncio.Task[str]:
        """The next word it says; the same task until that was taken."""
        if self._next is None:
            self._next = asyncio.create_task(self._read())
        return self._next

    async def said(self) -> str:
        word = await asyncio.wait_for(self.next(), WITHIN_S)
        self._next = None
        return word

    async def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        await self.process.stdin.drain()

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        if self._next is not None:
            await self._next

    async def _read(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()


Start = Callable[..., Awaitable[Puller]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    started: list[Puller] = []

    async def launch(name: str, *, limit: int = PLENTY) -> Puller:
        argv = [tmp_path / "store", tmp_path / "cache", name, tmp_path / "pulled", limit]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.chassis.reference.puller",
            *map(str, argv),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=Path(__file__).parents[3],
        )
        started.append(Puller(process))
        return started[-1]

    yield launch
    for puller in started:
        await puller.end()


@pytest.fixture
async def bundles(store: FileStore, tmp_path: Path) -> dict[str, Bundle]:
    made = {}
    for seed, name in enumerate(("one", "two", "three"), start=1):
        fasta = write_fasta(tmp_path / f"{name}.fa", {"chr1": bases(2000, seed)})
        made[name] = await add(store, name=name, fasta=fasta, max_interval_bp=1000, scratch=tmp_path)
    return made


def held(tmp_path: Path, bundles: dict[str, Bundle]) -> set[str]:
    return {name for name, bundle in bundles.items() if (tmp_path / "cache" / bundle.id.digest).is_dir()}


async def test_two_processes_at_once_pull_once(tmp_path: Path, bundles: dict[str, Bundle], start: Start) -> None:
    pullers = [await start("one"), await start("one")]
    for puller in pullers:
        assert await puller.said() == "asking"
    await asyncio.wait([puller.next() for puller in pullers], return_when=asyncio.FIRST_COMPLETED, timeout=WITHIN_S)
    first = next(puller for puller in pullers if puller.next().done())
    second = next(puller for puller in pullers if puller is not first)
    assert await first.said() == "pulling"
    await first.go_on()
    has = await first.said()
    assert has.startswith("has ")
    # the second never pulls: the next it says is that it has the same
    assert await second.said() == has
    pulled = (tmp_path / "pulled").read_text().splitlines()
    assert len(pulled) == len(set(pulled)) == len(bundles["one"].files)


async def test_a_process_that_dies_while_it_pulls_leaves_nothing_in_the_way(
    tmp_path: Path, bundles: dict[str, Bundle], start: Start
) -> None:
    victim, heir = await start("one"), await start("one")
    assert await heir.said() == "asking"
    assert await victim.said() == "asking"
    done, _ = await asyncio.wait([victim.next(), heir.next()], return_when=asyncio.FIRST_COMPLETED, timeout=WITHIN_S)
    if heir.next() in done:
        victim, heir = heir, victim
    assert await victim.said() == "pulling"
    left = tmp_path / "cache" / bundles["one"].id.digest / ".pulling-of-a-former"
    left.mkdir()
    victim.process.kill()
    assert await heir.said() == "pulling"
    await heir.go_on()
    assert (await heir.said()).startswith("has ")
    home = tmp_path / "cache" / bundles["one"].id.digest
    assert not [path for path in home.iterdir() if path.name.startswith(".")]


async def test_what_another_process_reads_is_not_removed(
    store: FileStore, tmp_path: Path, bundles: dict[str, Bundle], start: Start
) -> None:
    reader = await start("one")
    assert [await reader.said(), await reader.said()] == ["asking", "pulling"]
    await reader.go_on()
    assert (await reader.said()).startswith("has ")
    with ReferenceCache(root=tmp_path / "cache", limit_bytes=1) as cache:
        await cache.local(store, "two")
        assert held(tmp_path, bundles) == {"one", "two"}
    await reader.end()
    with ReferenceCache(root=tmp_path / "cache", limit_bytes=1) as cache:
        await cache.local(store, "three")
        assert held(tmp_path, bundles) == {"three"}


async def test_the_least_recently_used_goes_first(store: FileStore, tmp_path: Path, bundles: dict[str, Bundle]) -> None:
    room = int(2.5 * bundles["one"].size)
    with ReferenceCache(root=tmp_path / "cache", limit_bytes=room) as cache:
        for name in ("one", "two", "one"):
            local = await cache.local(store, name)
            cache.release(local.id)
        await cache.local(store, "three")
        assert held(tmp_path, bundles) == {"one", "three"}
        # what this process reads stays, though it is over the limit
        await cache.local(store, "one")
        await cache.local(store, "two")
        assert held(tmp_path, bundles) == {"one", "two", "three"}


@pytest.mark.parametrize("damage", ["changed", "truncated", "removed"])
async def test_a_damaged_file_is_pulled_again(
    store: FileStore, tmp_path: Path, bundles: dict[str, Bundle], damage: str
) -> None:
    with ReferenceCache(root=tmp_path / "cache", limit_bytes=PLENTY) as cache:
        local = await cache.local(store, "one")
        whole = local.fasta.read_bytes()
        local.fasta.chmod(0o644)
        if damage == "changed":
            local.fasta.write_bytes(whole.swapcase())
        elif damage == "truncated":
            local.fasta.write_bytes(whole[:-10])
        else:
            local.fasta.unlink()
        before = local.dictionary.stat().st_ino
        assert await cache.local(store, "one") == local
        assert local.fasta.read_bytes() == whole
        # what was right was left as it was
        assert local.dictionary.stat().st_ino == before


async def test_an_object_that_is_not_what_the_bundle_says_is_not_used(
    store: FileStore, tmp_path: Path, bundles: dict[str, Bundle]
) -> None:
    (fasta,) = bundles["one"].of(Role.fasta)
    path = tmp_path / "store" / "reference" / bundles["one"].id.digest / fasta.path
    path.write_bytes(path.read_bytes().swapcase())
    with ReferenceCache(root=tmp_path / "cache", limit_bytes=PLENTY) as cache:
        with pytest.raises(Rejected) as refused:
            await cache.local(store, "one")
        assert refused.value.rejection.code == "CONTENT_CHANGED"
    assert [path for path in (tmp_path / "cache").rglob("*.fa*") if path.is_file()] == []


async def test_a_mount_is_read_in_place_when_it_is_whole(
    store: FileStore, tmp_path: Path, bundles: dict[str, Bundle]
) -> None:
    mount = tmp_path / "store" / "reference"
    with ReferenceCache(root=tmp_path / "cache", limit_bytes=PLENTY, mount=mount) as cache:
        local = await cache.local(store, bundles["one"].id)
        assert local.fasta.is_relative_to(mount)
        assert local.dictionary.is_file()
        assert not (tmp_path / "cache").exists()
    empty = tmp_path / "empty"
    with ReferenceCache(root=tmp_path / "cache", limit_bytes=PLENTY, mount=empty) as cache:
        assert (await cache.local(store, "one")).fasta.is_relative_to(tmp_path / "cache")
