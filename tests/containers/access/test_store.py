"""Every service's key in the store, both ways: what its tasks read and write, and no other's."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chassis.errors import Rejected
from chassis.storage import keys, open_store
from chassis.storage.open import open_client
from chassis.storage.store import Store, tags_of
from contracts.parties import CONSOLE, SERVICES
from deploy.access import secretfiles, store
from deploy.access.model import ACCOUNTS, account_of
from tests.containers.servers import BUCKET, COLD_BUCKET, Servers

EVERYONE = pytest.mark.parametrize("party", [account.party for account in ACCOUNTS])
TAGS = tags_of(kind="log", stage="test", subject="access", retain="scratch")
FOLDERS = {
    "landing": f"{keys.LANDING}/run",
    "manifests": keys.manifest(sha256="0" * 64).rpartition("/")[0],
    "incarnations": keys.incarnation(number=1).rpartition("/")[0],
    "released": f"{keys.RELEASED}/cohort/1",
    "archive": keys.ARCHIVE,
    "reference": f"{keys.REFERENCE}/{'0' * 32}",
    **{service: str(keys.attempt(service=service, task_key="task", incarnation=1, epoch=1)) for service in SERVICES},
}
"""A folder of each kind that the layout knows."""
FLOW = {
    "ingest": ({"landing", "ingest"}, set()),
    "align": ({"align"}, {"landing", "ingest", "reference"}),
    "jointcall": ({"jointcall", "manifests"}, {"align", "reference"}),
    "vqsr": ({"vqsr", "manifests"}, {"jointcall", "reference"}),
    "annotate": ({"annotate", "released"}, {"vqsr", "manifests", "reference"}),
    "archive": (set(FOLDERS), set()),
    CONSOLE: ({"reference"}, {"released", "manifests"}),
}
"""What each writes (and reads), and what it only reads, written down once more: the flow as people describe it."""


@asynccontextmanager
async def store_as(servers: Servers, party: str) -> AsyncIterator[Store]:
    async with open_store(servers.settings(account_of(party)).store) as opened:
        yield opened


@pytest.fixture
async def everywhere(servers: Servers) -> dict[str, str]:
    """An object in each folder, by the folder's name; of this test alone."""
    name = uuid.uuid4().hex
    async with open_store(servers.admin.store) as admin:
        for folder in FOLDERS.values():
            await admin.put_bytes(f"{folder}/{name}", b"someone's", tags=TAGS)
    return {kind: f"{folder}/{name}" for kind, folder in FOLDERS.items()}


def refused(error: pytest.ExceptionInfo[Rejected]) -> bool:
    return error.value.rejection.code == "ACCESS_DENIED"


@EVERYONE
async def test_opening_the_store_finds_what_it_can(servers: Servers, party: str) -> None:
    """The probe writes where every account may."""
    async with store_as(servers, party) as opened:
        assert {"checksums", "conditional-put"} <= opened.capabilities


@EVERYONE
async def test_each_reads_what_the_flow_brings_it(servers: Servers, everywhere: dict[str, str], party: str) -> None:
    writes, reads = FLOW[party]
    async with store_as(servers, party) as opened:
        for kind in writes | reads:
            assert await opened.get_bytes(everywhere[kind], limit=100) == b"someone's", kind
            assert [facts async for facts in opened.list(FOLDERS[kind])], kind


@EVERYONE
async def test_nobody_reads_or_lists_what_the_flow_does_not_bring_it(
    servers: Servers, everywhere: dict[str, str], party: str
) -> None:
    writes, reads = FLOW[party]
    others = set(FOLDERS) - writes - reads
    assert others or party == "archive"
    async with store_as(servers, party) as opened:
        for kind in others:
            with pytest.raises(Rejected) as error:
                await opened.get_bytes(everywhere[kind], limit=100)
            assert refused(error), kind
            with pytest.raises(Rejected) as error:
                assert [facts async for facts in opened.list(FOLDERS[kind])]
            assert refused(error), kind


@EVERYONE
async def test_each_writes_its_own_and_nothing_else(
    servers: Servers, everywhere: dict[str, str], party: str, tmp_path: Path
) -> None:
    writes, _ = FLOW[party]
    small = tmp_path / "small"
    small.write_bytes(b"small")
    async with store_as(servers, party) as opened:
        for kind, folder in FOLDERS.items():
            name = f"{folder}/{uuid.uuid4().hex}"
            if kind in writes:
                await opened.put_bytes(name, b"mine", tags=TAGS, if_absent=True)
                await opened.put_file(f"{name}-file", small, tags=TAGS)
                continue
            for taken in (name, everywhere[kind]):
                with pytest.raises(Rejected) as error:
                    await opened.put_bytes(taken, b"mine", tags=TAGS)
                assert refused(error), kind


@EVERYONE
async def test_a_large_object_goes_up_in_parts(servers: Servers, party: str, tmp_path: Path) -> None:
    """With what a resumed upload asks: which uploads there are, and which parts of one."""
    large = tmp_path / "large"
    large.write_bytes(b"\0" * (17 << 20))
    [kind, *_] = sorted(FLOW[party][0])
    async with store_as(servers, party) as opened:
        key = f"{FOLDERS[kind]}/{uuid.uuid4().hex}"
        stored = await opened.put_file(key, large, tags=TAGS)
        assert stored.size == 17 << 20


@EVERYONE
async def test_only_the_sweeper_and_the_archive_delete(
    servers: Servers, everywhere: dict[str, str], party: str
) -> None:
    """A service deletes what its own attempts left; what it has announced goes by the archive alone."""
    may = set(FOLDERS) if party == "archive" else {party} & set(SERVICES)
    async with open_client(servers.settings(account_of(party)).store) as client:
        for kind, key in everywhere.items():
            if kind in may:
                await client.delete_object(Bucket=BUCKET, Key=key)
                continue
            with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
                await client.delete_object(Bucket=BUCKET, Key=key)


@EVERYONE
async def test_nobody_changes_the_policy_or_makes_keys(servers: Servers, party: str) -> None:
    settings = servers.settings(account_of(party))
    async with open_client(settings.store) as client:
        for call, more in (
            (client.put_bucket_policy, {"Policy": "{}"}),
            (client.delete_bucket_policy, {}),
            (client.get_bucket_policy, {}),
            (client.delete_bucket, {}),
        ):
            with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
                await call(Bucket=BUCKET, **more)
    with pytest.raises(Rejected) as error:
        await store.apply(settings=settings, secrets=secretfiles.read(servers.secrets, "store", ACCOUNTS))
    assert refused(error)


@EVERYONE
async def test_the_cold_bucket_is_the_archives_alone(servers: Servers, party: str) -> None:
    async with open_client(servers.settings(account_of(party)).store) as client:
        if party == "archive":
            await client.put_object(Bucket=COLD_BUCKET, Key="working/align/cold", Body=b"cold")
            return
        for call in (client.get_object, client.put_object, client.delete_object):
            with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
                await call(Bucket=COLD_BUCKET, Key="working/align/cold")


async def test_without_a_key_nothing_is_read(servers: Servers, everywhere: dict[str, str]) -> None:
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{servers.store}/{BUCKET}/{everywhere['released']}", timeout=10)
