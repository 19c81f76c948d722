"""The embedded stack: real servers on loopback in one folder, which keep what they hold and end with their owner."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from chassis.errors import Rejected, ToolFailed
from deploy.embedded import EmbeddedStack, Endpoints, read_endpoints

ROOT = Path(__file__).parents[2]
RESTORE_S = 1.0

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # a name that a properties file, a comma list and a socket path would each stumble over
    return tmp_path_factory.mktemp("stack") / f"state, of the étude {'x' * 60}"


@pytest.fixture(scope="module")
def stack(state: Path) -> Iterator[EmbeddedStack]:
    stack = EmbeddedStack(durable=False, restore_s=RESTORE_S)
    with stack.running(state):
        yield stack


def endpoints_of(stack: EmbeddedStack) -> Endpoints:
    assert stack.endpoints is not None
    return stack.endpoints


async def make_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def tell(bootstrap: str, topic: str, *words: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        for word in words:
            await producer.send_and_wait(topic, word)
    finally:
        await producer.stop()


async def hear(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        return [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(count)]
    finally:
        await consumer.stop()


async def ask(dsn: str, statement: str) -> Any:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def s3_client(endpoints: Endpoints) -> Any:
    from aiobotocore.session import get_session

    return get_session().create_client(
        "s3",
        endpoint_url=endpoints.s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id=endpoints.s3_access_key,
        aws_secret_access_key=endpoints.s3_secret_key,
    )


def family(stack: EmbeddedStack) -> list[psutil.Process]:
    servers = (stack.kafka.process, stack.postgres.process, stack.object_store.process)
    first = [psutil.Process(server.pid) for server in servers if server.pid is not None]
    return first + [child for process in first for child in process.children(recursive=True)]


def test_every_port_is_on_loopback(stack: EmbeddedStack) -> None:
    listening = [
        connection.laddr
        for process in family(stack)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len({address.port for address in listening}) == 4  # Kafka has one for clients and one for its controller
    # Java writes a loopback IPv4 address as IPv6 when its socket speaks both
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_servers_that_run_for_root_do_not_run_as_root(stack: EmbeddedStack) -> None:
    assert stack.postgres.process.pid is not None
    assert psutil.Process(stack.postgres.process.pid).uids().effective != 0


def test_secrets_are_for_the_owner_only(stack: EmbeddedStack, state: Path) -> None:
    for name in ("credentials.json", "endpoints.json"):
        assert stat.S_IMODE((state / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((state / "logs").stat().st_mode) == 0o700
    assert not list((state / "postgres").glob("initial-password"))


async def test_the_endpoints_can_be_read_by_another_process(stack: EmbeddedStack, state: Path) -> None:
    assert read_endpoints(state) == endpoints_of(stack)
    assert read_endpoints(state.parent / "nothing") is None


async def test_postgres_takes_the_password_only(stack: EmbeddedStack) -> None:
    dsn = endpoints_of(stack).postgres_dsn
    assert await ask(dsn, "select current_setting('max_connections')") == "200"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(dsn.replace("cohortstream:", "cohortstream:x"), "select 1")


async def test_a_topic_is_not_made_by_asking_for_it(stack: EmbeddedStack) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=endpoints_of(stack).kafka_bootstrap)
    await admin.start()
    try:
        await admin.describe_topics(["never.made"])
        assert "never.made" not in await admin.list_topics()
    finally:
        await admin.close()


def test_a_second_stack_on_the_folder_is_refused(stack: EmbeddedStack, state: Path) -> None:
    with pytest.raises(Rejected) as refused:
        EmbeddedStack().start(state)
    assert refused.value.rejection.code == "STATE_IN_USE"
    assert str(os.getpid()) in refused.value.rejection.fix
    assert stack.ended() == (), "the refusal must not have touched the first"


async def test_the_broker_comes_back_on_its_port_with_its_records(stack: EmbeddedStack) -> None:
    bootstrap = endpoints_of(stack).kafka_bootstrap
    await make_topic(bootstrap, "kept")
    await tell(bootstrap, "kept", b"before")
    await asyncio.to_thread(stack.kafka.kill)
    assert stack.ended() == ("kafka",)
    await asyncio.to_thread(stack.kafka.start)
    await tell(bootstrap, "kept", b"after the kill")
    stack.kafka.restart()  # from within an event loop too: slow to the loop, but right
    assert await hear(bootstrap, "kept", 2) == [b"before", b"after the kill"]


async def test_postgres_comes_back_on_its_port_with_what_was_committed(stack: EmbeddedStack) -> None:
    dsn = endpoints_of(stack).postgres_dsn
    await ask(dsn, "create table kept as select 42 as answer")
    stack.postgres.kill()
    with pytest.raises(OSError):
        await ask(dsn, "select 1")
    stack.postgres.start()
    assert await ask(dsn, "select answer from kept") == 42
    stack.postgres.restart()
    assert await ask(dsn, "select answer from kept") == 42


async def test_a_suspended_broker_answers_nobody_until_it_is_resumed(stack: EmbeddedStack) -> None:
    bootstrap = endpoints_of(stack).kafka_bootstrap
    await make_topic(bootstrap, "paused")
    stack.kafka.process.suspend()
    speaking = asyncio.create_task(tell(bootstrap, "paused", b"late"))
    done, _ = await asyncio.wait([speaking], timeout=1.0)
    assert not done
    stack.kafka.process.resume()
    await asyncio.wait_for(speaking, 30)
    assert await hear(bootstrap, "paused", 1) == [b"late"]


async def test_the_object_store_models_versions_and_glacier(stack: EmbeddedStack) -> None:
    endpoints = endpoints_of(stack)
    named = {"Bucket": endpoints.bucket, "Key": "released/panel"}
    async with s3_client(endpoints) as s3:
        first = await s3.put_object(**named, Body=b"one")
        second = await s3.put_object(**named, Body=b"two", StorageClass="GLACIER")
        assert first["VersionId"] != second["VersionId"]

        with pytest.raises(s3.exceptions.InvalidObjectState):
            await s3.get_object(**named)
        await s3.restore_object(**named, RestoreRequest={"Days": 1, "GlacierJobParameters": {"Tier": "Standard"}})
        assert 'ongoing-request="true"' in (await s3.head_object(**named))["Restore"]
        with pytest.raises(s3.exceptions.InvalidObjectState):
            await s3.get_object(**named)

        async with asyncio.timeout(20):
            while 'ongoing-request="true"' in (await s3.head_object(**named))["Restore"]:
                await asyncio.sleep(0.1)
        assert await (await s3.get_object(**named))["Body"].read() == b"two"


@pytest.mark.parametrize("path", ["/cohortstream?list-type=2", "/moto-api/data.json", "/?X-Amz-Credential=someone%2F1"])
def test_the_object_store_hears_only_who_names_its_key(stack: EmbeddedStack, path: str) -> None:
    assert stack.object_store is not None
    caller = http.client.HTTPConnection("127.0.0.1", stack.object_store.port.number, timeout=10)
    try:
        caller.request("GET", path)
        answer = caller.getresponse()
        assert answer.status == 403 and b"InvalidAccessKeyId" in answer.read()
    finally:
        caller.close()


async def test_side_by_side_and_stopping_keeps_everything(stack: EmbeddedStack, tmp_path: Path) -> None:
    beside = EmbeddedStack(durable=False)
    try:
        first = await asyncio.to_thread(beside.start, tmp_path / "beside", object_store=False)
        assert first.s3_endpoint is None
        assert first.kafka_bootstrap != endpoints_of(stack).kafka_bootstrap
        await make_topic(first.kafka_bootstrap, "mine")
        await tell(first.kafka_bootstrap, "mine", b"still here")
        await ask(first.postgres_dsn, "create table mine as select 7 as seven")
        assert await ask(endpoints_of(stack).postgres_dsn, "select to_regclass('mine')") is None

        await asyncio.to_thread(beside.stop)
        assert read_endpoints(tmp_path / "beside") is None
        second = await asyncio.to_thread(beside.start, tmp_path / "beside", object_store=False)

        assert second == first, "same ports, same password"
        assert await hear(second.kafka_bootstrap, "mine", 1) == [b"still here"]
        assert await ask(second.postgres_dsn, "select seven from mine") == 7
    finally:
        await asyncio.to_thread(beside.stop)
    assert stack.ended() == ()


def test_new_ports_when_the_old_ones_are_taken(tmp_path: Path) -> None:
    """The broker must find its own controller at its new address."""
    import socket

    stack = EmbeddedStack(durable=False)
    with stack.running(tmp_path, object_store=False) as first:
        pass
    ports = json.loads((tmp_path / "ports.json").read_text())
    strangers = [socket.create_server(("127.0.0.1", ports[name])) for name in ("kafka", "controller", "postgres")]
    try:
        with stack.running(tmp_path, object_store=False) as second:
            assert second.kafka_bootstrap != first.kafka_bootstrap
            assert second.postgres_dsn != first.postgres_dsn
    finally:
        for stranger in strangers:
            stranger.close()


def test_a_server_that_cannot_start_leaves_nothing_running(tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text(
        '#!/bin/sh\n[ "$1" = -version ] && { echo \'openjdk version "21.0.1"\' >&2; exit 0; }\n'
        "echo 'no heap' >&2; exit 3\n"
    )
    java.chmod(0o755)
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    stack = EmbeddedStack(java=str(java))
    with pytest.raises(ToolFailed, match="no heap"):
        stack.start(tmp_path / "state")
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert stack.endpoints is None
    with pytest.raises(ToolFailed, match="no heap"):
        stack.start(tmp_path / "state")  # and not: the folder is in use


def foreground(state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.embedded", "--state", str(state), "--not-durable"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_killing_the_owner_ends_every_server_and_frees_the_folder(tmp_path: Path) -> None:
    owner = foreground(tmp_path)
    try:
        assert owner.stdout is not None
        first = json.loads(owner.stdout.readline())
        children = psutil.Process(owner.pid).children(recursive=True)
        assert len(children) >= 6  # three supervisors, three servers, Postgres' own
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)
        # at once, while its servers may still be ending: the next owner waits for them
        again = foreground(tmp_path)
        try:
            assert again.stdout is not None
            second = json.loads(again.stdout.readline())
            # a zombie has ended; only its new parent has not asked for its status yet
            assert not [c for c in children if c.is_running() and c.status() != psutil.STATUS_ZOMBIE]
            assert second["postgres_dsn"] == first["postgres_dsn"]
            again.send_signal(signal.SIGTERM)
            assert again.wait(30) == 0
            assert "was interrupted" not in (tmp_path / "logs" / "postgres.log").read_text(), "Postgres ended cleanly"
        finally:
            again.kill()
            again.communicate()
    finally:
        owner.kill()
        owner.communicate()
