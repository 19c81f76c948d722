"""Accounts without containers: secret files, the rights in the embedded Postgres, a ledger that is behind."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest
from pydantic import SecretStr

from chassis.errors import Rejected
from chassis.ledger.migrate import LEDGER_TABLE, migrate
from chassis.messaging.common import with_common
from chassis.service import build
from chassis.settings import Settings, StoreSettings, load
from chassis.storage import open_store
from contracts.parties import CONSOLE, PARTIES, SERVICES
from deploy.access import postgres, secretfiles, store
from deploy.access.model import ACCOUNTS, LEDGER_ACCOUNTS, account_of, consumed, outputs, permits, reach, worker_of
from deploy.access.policy import bucket_policy
from deploy.embedded.stack import Endpoints

EVERY_SERVICE = pytest.mark.parametrize("service", SERVICES)


@EVERY_SERVICE
def test_a_service_subscribes_to_no_more_than_the_contracts_say(service: str) -> None:
    whole = with_common(build(f"services.{service}.main:build", load(None, environ={})))
    assert set(whole.subscriptions.topics) <= consumed(service)


@EVERY_SERVICE
def test_a_service_reads_outputs_of_those_who_tell_it_of_them(service: str) -> None:
    read = reach(service).read
    for other in SERVICES:
        if other != service and service != "archive" and set(outputs(other)) <= set(read):
            told = [name for name, of in PARTIES.items() if other in of.producers and service in of.consumers]
            assert told, f"{service} reads what {other} makes, and no event of {other} reaches it"


def test_no_account_reaches_what_another_writes_alone() -> None:
    for account in ACCOUNTS:
        for other in SERVICES:
            if account.party not in (other, "archive"):
                assert not set(outputs(other)[:1]) & set(reach(account.party).write)
    writes = [permit for permit in permits(CONSOLE) if permit.operation == "WRITE"]
    assert all(permit.name.rpartition(".")[2] in ("requested", "released") for permit in writes), "commands alone"


def test_a_policy_names_whoever_the_store_calls_so() -> None:
    document = bucket_policy(
        bucket="b", prefix="site/", reaches={"x": reach("align")}, principal=lambda name: f"arn:aws:iam::1:user/{name}"
    )
    assert {tuple(one["Principal"]["AWS"]) for one in document["Statement"]} == {("arn:aws:iam::1:user/x",)}
    places = [place for one in document["Statement"] for place in one["Resource"]]
    assert all(place == "arn:aws:s3:::b" or place.startswith("arn:aws:s3:::b/site/") for place in places)


def test_secrets_are_made_once_and_not_for_every_eye(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert set(secretfiles.make(folder)) == set(secretfiles.names())
    before = {path.name: path.read_text(encoding="ascii") for path in folder.iterdir()}
    assert set(before) == set(secretfiles.names()) and len(set(before.values())) == len(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o444}
    (folder / "kafka-align").unlink()
    assert secretfiles.make(folder) == ("kafka-align",)
    kept = {path.name: path.read_text(encoding="ascii") for path in folder.iterdir()}
    assert {name for name in before if kept[name] != before[name]} == {"kafka-align"}


def test_a_secret_of_other_characters_is_refused_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "kafka-align").write_text("schlüssel\n", encoding="utf-8")
    with pytest.raises(Rejected) as refused:
        secretfiles.read(tmp_path, "kafka", [account_of("align")])
    assert refused.value.rejection.code == "SECRET_UNUSABLE" and "schl" not in str(refused.value)


def test_the_verifier_is_that_of_the_rfc() -> None:
    """RFC 7677, section 3: user `user`, password `pencil`."""
    import base64

    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    made = postgres.scram_verifier("pencil", salt=salt)
    assert made == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


@pytest.mark.stack
async def test_accounts_of_a_ledger_and_one_that_is_behind(database: str, tmp_path: Path) -> None:
    versions = build("services.align.main:build", load(None, environ={})).migrations
    await migrate(dsn=database, service="align", versions=versions)
    secretfiles.make(tmp_path)
    passwords = secretfiles.read(tmp_path, "postgres", LEDGER_ACCOUNTS)
    for _ in range(2):
        applied = await postgres.apply(dsn=database, services={"align": versions}, passwords=passwords)
        assert set(applied.accounts) == {account_of("align").name, worker_of("align").name, account_of(CONSOLE).name}

    def dsn_of(name: str) -> str:
        parts = urlsplit(database)
        return urlunsplit(parts._replace(netloc=f"{name}:{quote(passwords[name])}@{parts.hostname}:{parts.port}"))

    # at head it only looks; behind, it says who must act
    consume = dsn_of(account_of("align").name)
    await migrate(dsn=consume, service="align", versions=versions)
    admin = await asyncpg.connect(database)
    await admin.execute(f"update align.{LEDGER_TABLE} set version_num = '0003'")
    for dsn, service in ((consume, "align"), (consume, "vqsr"), (dsn_of(worker_of("align").name), "align")):
        with pytest.raises(Rejected) as refused:
            await migrate(dsn=dsn, service=service, versions=versions)
        assert refused.value.rejection.code == "LEDGER_BEHIND"

    worker = await asyncpg.connect(dsn_of(worker_of("align").name), server_settings={"search_path": "align"})
    await worker.execute("update task set state = state, lease_until = null")
    await worker.execute("update sample_version set state = state")
    for statement in ("update task set payload = '{}'", "select * from inbox", "select * from quarantine"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await worker.execute(statement)
    await worker.close()
    await admin.close()


@pytest.mark.stack
async def test_there_is_nothing_to_grant_before_the_ledgers_are_made(database: str, tmp_path: Path) -> None:
    secretfiles.make(tmp_path)
    passwords = secretfiles.read(tmp_path, "postgres", LEDGER_ACCOUNTS)
    with pytest.raises(Rejected) as refused:
        await postgres.apply(dsn=database, services={"align": None}, passwords=passwords)
    assert refused.value.rejection.code == "LEDGER_MISSING"


@pytest.mark.stack
async def test_a_store_without_accounts_gets_its_bucket(endpoints: Endpoints, tmp_path: Path) -> None:
    secretfiles.make(tmp_path)
    settings = Settings(
        store=StoreSettings(
            base="s3://access-test",
            endpoint=endpoints.s3_endpoint,
            access_key=SecretStr(endpoints.s3_access_key),
            secret_key=SecretStr(endpoints.s3_secret_key),
        )
    )
    for _ in range(2):
        applied = await store.apply(settings=settings, secrets=secretfiles.read(tmp_path, "store", ACCOUNTS))
        assert (applied.buckets, applied.accounts) == (("access-test",), ())
    async with open_store(settings.store) as opened:
        assert opened.base == "s3://access-test"
