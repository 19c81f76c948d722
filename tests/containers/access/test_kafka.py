"""Every service's principal in Kafka, both ways: its own topics and its own group, and no others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError

from chassis.messaging.common import with_common
from chassis.messaging.consumer import group_of
from chassis.messaging.security import plain_options
from chassis.service import build
from chassis.settings import KafkaSettings, load
from console.demo.collect import events_by_topic
from contracts.parties import CONSOLE, SERVICES
from contracts.topics import TOPICS
from deploy.access import kafka, secretfiles
from deploy.access.model import ACCOUNTS, account_of, consumed, produced
from tests.containers.servers import Servers

EVERYONE = pytest.mark.parametrize("party", [account.party for account in ACCOUNTS])
EVERY_SERVICE = pytest.mark.parametrize("service", SERVICES)
NAMES = frozenset(topic.name for topic in TOPICS)
PATIENCE_S = 15.0


@asynccontextmanager
async def consumer_as(servers: Servers, party: str, *topics: str, group: str) -> AsyncIterator[AIOKafkaConsumer]:
    made = AIOKafkaConsumer(
        *topics,
        **plain_options(servers.settings(account_of(party)).kafka),
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def published(servers: Servers, party: str, topic: str) -> None:
    """As the relay does: acknowledged by all, idempotent."""
    out = AIOKafkaProducer(
        **plain_options(servers.settings(account_of(party)).kafka), acks="all", enable_idempotence=True
    )
    try:
        await out.start()
        async with asyncio.timeout(PATIENCE_S):
            await out.send_and_wait(topic, b"{}", key=b"access")
    finally:
        await out.stop()


# --- what each can do


@EVERY_SERVICE
async def test_what_a_service_subscribes_to_and_tells_is_what_the_contracts_say(service: str) -> None:
    whole = with_common(build(f"services.{service}.main:build", load(None, environ={})))
    assert set(whole.subscriptions.topics) <= consumed(service)


@EVERYONE
async def test_each_writes_every_topic_that_it_produces(servers: Servers, party: str) -> None:
    assert produced(party)
    for topic in sorted(produced(party)):
        await published(servers, party, topic)


@EVERY_SERVICE
async def test_a_service_reads_its_topics_in_its_group(servers: Servers, service: str) -> None:
    topics = sorted(consumed(service))
    for topic in topics:
        await published_by_anyone(servers, topic)
    async with consumer_as(servers, service, *topics, group=group_of(service)) as consumer:
        seen: set[str] = set()
        async with asyncio.timeout(PATIENCE_S):
            while seen != set(topics):
                for partition, records in (await consumer.getmany(timeout_ms=500)).items():
                    seen.add(partition.topic)
                    await consumer.commit({partition: records[-1].offset + 1})
        partition = TopicPartition(topics[0], 0)
        assert await consumer.committed(partition) == (await consumer.end_offsets([partition]))[partition]


async def published_by_anyone(servers: Servers, topic: str) -> None:
    await published(servers, next(account.party for account in ACCOUNTS if topic in produced(account.party)), topic)


async def test_the_console_counts_events_and_sees_how_far_services_are(servers: Servers) -> None:
    settings = servers.settings(account_of(CONSOLE))
    await published(servers, CONSOLE, "work.cancel.requested")
    assert (await events_by_topic(settings))["work.cancel.requested"] > 0
    admin = AIOKafkaAdminClient(**plain_options(settings.kafka))
    await admin.start()
    try:
        assert set(await admin.list_topics()) >= NAMES
        for service in SERVICES:
            await admin.list_consumer_group_offsets(group_of(service))
    finally:
        await admin.close()


# --- what none can do


@EVERYONE
async def test_nobody_writes_anothers_topic(servers: Servers, party: str) -> None:
    others = NAMES - produced(party)
    refused = await asyncio.to_thread(_writes_refused, _options(servers, party), others)
    assert refused == dict.fromkeys(others, "TOPIC_AUTHORIZATION_FAILED")


@EVERYONE
async def test_nobody_reads_anothers_topic(servers: Servers, party: str) -> None:
    others = NAMES - (consumed(party) if party != CONSOLE else frozenset())
    refused = await asyncio.to_thread(_reads_refused, _options(servers, party), others)
    assert refused == dict.fromkeys(others, "TOPIC_AUTHORIZATION_FAILED")


@EVERYONE
async def test_nobody_reads_on_in_anothers_group(servers: Servers, party: str) -> None:
    partition = TopicPartition("artifact.restored", 0)
    for service in SERVICES:
        if service == party:
            continue
        async with consumer_as(servers, party, group=group_of(service)) as consumer:
            consumer.assign([partition])
            with pytest.raises(GroupAuthorizationFailedError):
                async with asyncio.timeout(PATIENCE_S):
                    await consumer.commit({partition: 1})


@EVERYONE
async def test_nobody_makes_topics_or_rights(servers: Servers, party: str) -> None:
    admin = _admin(_options(servers, party))
    made = admin.create_topics([_client().NewTopic("intruder", 1, 1)])["intruder"]
    granted = admin.create_acls([_write(f"User:{account_of(party).name}", "cohort.frozen")])
    for answer, code in ((made, "TOPIC_AUTHORIZATION_FAILED"), (*granted.values(), "CLUSTER_AUTHORIZATION_FAILED")):
        with pytest.raises(_client().KafkaException) as refused:
            await asyncio.to_thread(answer.result, PATIENCE_S)
        assert refused.value.args[0].name() == code


async def test_without_a_password_nobody_comes_in(servers: Servers) -> None:
    plain = AIOKafkaAdminClient(bootstrap_servers=servers.kafka, request_timeout_ms=3000)
    with pytest.raises(KafkaConnectionError):
        await plain.start()
    wrong = servers.settings(
        account_of("align"), COHORTSTREAM_KAFKA__SASL_PASSWORD_FILE=str(servers.secrets / "kafka-vqsr")
    )
    asking = AIOKafkaAdminClient(**plain_options(wrong.kafka), request_timeout_ms=3000)
    with pytest.raises(KafkaConnectionError):
        await asking.start()


# --- applied again


async def test_what_is_no_longer_granted_goes(servers: Servers) -> None:
    client, admin = _client(), _admin({"bootstrap.servers": servers.kafka_admin})
    surplus = [_write("User:cohortstream_vqsr", "cohort.frozen"), _write("User:cohortstream_former", "cohort.frozen")]
    scram = client.ScramCredentialInfo(client.ScramMechanism.SCRAM_SHA_512, 8192)
    former = client.UserScramCredentialUpsertion("cohortstream_former", scram, b"former")
    for answer in (*admin.create_acls(surplus).values(), *admin.alter_user_scram_credentials([former]).values()):
        await asyncio.to_thread(answer.result, PATIENCE_S)
    passwords = secretfiles.read(servers.secrets, "kafka", ACCOUNTS)
    settings = KafkaSettings(bootstrap=servers.kafka_admin)
    applied = await kafka.apply(settings=settings, passwords=passwords)
    assert (applied.added, applied.removed, applied.strangers) == (0, 2, ("cohortstream_former",))
    again = await kafka.apply(settings=settings, passwords=passwords)
    assert (again.added, again.removed, again.strangers) == (0, 0, ())


def _options(servers: Servers, party: str) -> dict[str, Any]:
    """For librdkafka, which says at once what aiokafka would try again for ever."""
    return kafka.client_options(servers.settings(account_of(party)).kafka)


def _writes_refused(options: dict[str, Any], topics: Iterable[str]) -> dict[str, str]:
    import confluent_kafka

    said: dict[str, str] = {}
    producer = confluent_kafka.Producer(options)
    for topic in topics:
        producer.produce(topic, b"{}", on_delivery=lambda error, of: said.update({of.topic(): error and error.name()}))
    producer.flush(PATIENCE_S)
    return said


def _reads_refused(options: dict[str, Any], topics: Iterable[str]) -> dict[str, str]:
    """What comes of each topic first: the refusal to describe it, the refusal to fetch from it, or a record."""
    import confluent_kafka

    admin = _admin(options)
    said = {topic: _described(admin, topic) for topic in topics}
    described = [topic for topic, error in said.items() if error == ""]
    consumer = confluent_kafka.Consumer(options | {"group.id": "none", "enable.auto.commit": False})
    try:
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0) for topic in described])
        deadline = time.monotonic() + PATIENCE_S
        while "" in said.values() and time.monotonic() < deadline:
            record = consumer.poll(0.5)
            if record is not None and record.topic() is not None:
                error = record.error()
                said[str(record.topic())] = error.name() if error is not None else "read"
        return said
    finally:
        consumer.close()


def _described(admin: Any, topic: str) -> str:
    error = admin.list_topics(topic, timeout=PATIENCE_S).topics[topic].error
    return error.name() if error is not None else ""


def _client() -> Any:
    """Its stubs leave out half of what the module offers."""
    import confluent_kafka.admin

    return confluent_kafka.admin


def _admin(options: dict[str, Any]) -> Any:
    return _client().AdminClient(options)


def _write(principal: str, topic: str) -> Any:
    client = _client()
    return client.AclBinding(
        client.ResourceType.TOPIC,
        topic,
        client.ResourcePatternType.LITERAL,
        principal,
        "*",
        client.AclOperation.WRITE,
        client.AclPermissionType.ALLOW,
    )
