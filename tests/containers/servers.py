"""Kafka, Postgres and an object store in containers, with the accounts that a site has there. On loopback alone."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from chassis.messaging.topics import apply_topics
from chassis.service import build
from chassis.settings import Settings, load
from console.site import migrate_ledgers
from console.supervisor import SERVICES
from deploy.access import kafka, postgres, secretfiles, store
from deploy.access.model import ACCOUNTS, ADMIN, LEDGER_ACCOUNTS, Account

KAFKA, POSTGRES, STORE = "apache/kafka:4.3.1", "postgres:17", "versity/versitygw:v1.8.0"
LOOPBACK = "127.0.0.1"
BUCKET = DATABASE = "cohortstream"
COLD_BUCKET = "cohortstream-cold"
SECRETS = "/run/secrets"
READY_S = 90.0
GATEWAY = f"""
mkdir -p /store/objects /store/meta /store/iam
ROOT_ACCESS_KEY_ID={ADMIN} ROOT_SECRET_ACCESS_KEY="$(cat {SECRETS}/store-admin)"
export ROOT_ACCESS_KEY_ID ROOT_SECRET_ACCESS_KEY
exec /usr/local/bin/versitygw --port :7070 --iam-dir /store/iam --iam-cache-disable --disable-acl \\
    posix --sidecar /store/meta /store/objects
"""

testcontainers_config.ryuk_disabled = True  # its image is one more to have; the fixtures end what they start


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Where the three answer. `secrets` is the folder that `cohortstream access secrets` fills."""

    postgres: str
    """host:port"""
    kafka: str
    """Where clients come: with a password, and the authorizer asks what each may."""
    kafka_admin: str
    """The broker's inner listener, whose callers may do everything."""
    store: str
    secrets: Path
    broker: DockerContainer

    @property
    def admin(self) -> Settings:
        """As whoever sets a site up."""
        return load(
            None,
            environ=self._places
            | {
                "COHORTSTREAM_LEDGER__USER": ADMIN,
                "COHORTSTREAM_LEDGER__PASSWORD_FILE": str(self.secrets / "postgres-admin"),
                "COHORTSTREAM_KAFKA__BOOTSTRAP": self.kafka_admin,
                "COHORTSTREAM_STORE__ACCESS_KEY": ADMIN,
                "COHORTSTREAM_STORE__SECRET_KEY_FILE": str(self.secrets / "store-admin"),
                "COHORTSTREAM_COLD__BASE": f"s3://{COLD_BUCKET}",
                "COHORTSTREAM_COLD__ENDPOINT": self.store,
            },
        )

    def variables(self, account: Account) -> dict[str, str]:
        """The environment of a process that has this account and no other; a worker has none in Kafka."""
        everywhere = next(one for one in ACCOUNTS if one.party == account.party)
        found = self._places | {
            "COHORTSTREAM_LEDGER__USER": account.name,
            "COHORTSTREAM_LEDGER__PASSWORD_FILE": str(self.secrets / account.secret("postgres")),
            "COHORTSTREAM_STORE__ACCESS_KEY": everywhere.name,
            "COHORTSTREAM_STORE__SECRET_KEY_FILE": str(self.secrets / everywhere.secret("store")),
        }
        if account in ACCOUNTS:
            found |= {
                "COHORTSTREAM_KAFKA__SASL_USERNAME": account.name,
                "COHORTSTREAM_KAFKA__SASL_PASSWORD_FILE": str(self.secrets / account.secret("kafka")),
            }
        return found

    def settings(self, account: Account, **more: str) -> Settings:
        """The settings of such a process; `more` are further variables."""
        return load(None, environ=self.variables(account) | more)

    @property
    def _places(self) -> dict[str, str]:
        return {
            "COHORTSTREAM_LEDGER__DSN": f"postgresql://{self.postgres}/{DATABASE}",
            "COHORTSTREAM_KAFKA__BOOTSTRAP": self.kafka,
            "COHORTSTREAM_STORE__BASE": f"s3://{BUCKET}",
            "COHORTSTREAM_STORE__ENDPOINT": self.store,
        }

    async def set_up(self) -> None:
        """What the one-shot containers of a site do, in their order."""
        settings = self.admin
        await _answers(settings.ledger.url())
        await migrate_ledgers(settings, SERVICES)
        await self.apply_postgres()
        passwords = secretfiles.read(self.secrets, "kafka", ACCOUNTS)
        await kafka.apply(settings=settings.kafka, passwords=passwords)
        await apply_topics(settings.kafka, single_partition=True)
        await store.apply(settings=settings, secrets=secretfiles.read(self.secrets, "store", ACCOUNTS))

    async def apply_postgres(self) -> postgres.Applied:
        services = {name: build(f"services.{name}.main:build", self.admin).migrations for name in SERVICES}
        passwords = secretfiles.read(self.secrets, "postgres", LEDGER_ACCOUNTS)
        return await postgres.apply(dsn=self.admin.ledger.url(), services=services, passwords=passwords)


@contextmanager
def running_servers(folder: Path) -> Iterator[Servers]:
    """The three containers, empty; they and what they keep end with the block."""
    secrets = folder / "secrets"
    secretfiles.make(secrets)
    with ExitStack() as leaving:
        database = leaving.enter_context(_postgres(secrets))
        gateway = leaving.enter_context(_gateway(secrets))
        client, inner = _free_port(), _free_port()
        broker = leaving.enter_context(_broker(client=client, inner=inner))
        yield Servers(
            postgres=f"{LOOPBACK}:{database.get_exposed_port(5432)}",
            kafka=f"{LOOPBACK}:{client}",
            kafka_admin=f"{LOOPBACK}:{inner}",
            store=f"http://{LOOPBACK}:{gateway.get_exposed_port(7070)}",
            secrets=secrets,
            broker=broker,
        )


def _postgres(secrets: Path) -> DockerContainer:
    made = _container(POSTGRES, {5432: None}, secret=secrets / "postgres-admin")
    return made.with_envs(POSTGRES_USER=ADMIN, POSTGRES_DB=DATABASE, POSTGRES_PASSWORD_FILE=f"{SECRETS}/postgres-admin")


def _gateway(secrets: Path) -> DockerContainer:
    made = _container(STORE, {7070: None}, secret=secrets / "store-admin")
    return made.with_command([GATEWAY]).with_kwargs(user="0", entrypoint=["/bin/sh", "-c"])


def _broker(*, client: int, inner: int) -> DockerContainer:
    """A broker tells its clients where to find it, so both ports are known before it starts."""
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return _container(KAFKA, {client: client, inner: inner}).with_envs(
        KAFKA_NODE_ID="1",
        KAFKA_PROCESS_ROLES="broker,controller",
        KAFKA_LISTENERS=f"CLIENT://0.0.0.0:{client},INTERNAL://0.0.0.0:{inner},CONTROLLER://127.0.0.1:9093",
        KAFKA_ADVERTISED_LISTENERS=f"CLIENT://{LOOPBACK}:{client},INTERNAL://{LOOPBACK}:{inner}",
        KAFKA_LISTENER_SECURITY_PROTOCOL_MAP="CLIENT:SASL_PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        KAFKA_CONTROLLER_QUORUM_VOTERS="1@127.0.0.1:9093",
        KAFKA_CONTROLLER_LISTENER_NAMES="CONTROLLER",
        KAFKA_INTER_BROKER_LISTENER_NAME="INTERNAL",
        KAFKA_SASL_ENABLED_MECHANISMS="SCRAM-SHA-512",
        KAFKA_LISTENER_NAME_CLIENT_SCRAM___SHA___512_SASL_JAAS_CONFIG=scram,
        KAFKA_AUTHORIZER_CLASS_NAME="org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        KAFKA_ALLOW_EVERYONE_IF_NO_ACL_FOUND="false",
        KAFKA_SUPER_USERS="User:ANONYMOUS",
        KAFKA_AUTO_CREATE_TOPICS_ENABLE="false",
        KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR="1",
        KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS="1",
        KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR="1",
        KAFKA_TRANSACTION_STATE_LOG_MIN_ISR="1",
        KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS="1",
        KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR="1",
        KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR="1",
        KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS="0",
        KAFKA_HEAP_OPTS="-Xms256m -Xmx384m",
    )


def _container(image: str, ports: dict[int, int | None], *, secret: Path | None = None) -> DockerContainer:
    made = DockerContainer(image)
    for inner, outer in ports.items():
        # without an address Docker would listen on every interface of the host
        made.ports[str(inner)] = (LOOPBACK, outer)
    # a file of its own: the folder is for its owner's eyes, and the server runs as another user
    return made.with_volume_mapping(str(secret), f"{SECRETS}/{secret.name}", "ro") if secret is not None else made


async def _answers(dsn: str) -> None:
    async with asyncio.timeout(READY_S):
        while True:
            try:
                conn = await asyncpg.connect(dsn, timeout=5)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.2)
                continue
            await conn.close()
            return


def _free_port() -> int:
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        return int(held.getsockname()[1])
