"""Kafka: a SCRAM user for each service's consumer and for the console, and what each may do with topics and groups.

Applied by an account that the broker's authorizer counts among its super users, such as whoever comes over the
loopback listener of the broker's own container.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chassis.errors import ToolFailed, reject
from chassis.secret import secret_in
from chassis.settings import KafkaSettings
from deploy.access.model import ACCOUNTS, PREFIX, Permit, permits

log = logging.getLogger(__name__)

ITERATIONS = 8192
"""Of SCRAM's hash; Kafka asks for 4,096 at least."""
PATIENCE_S = 60.0
"""A broker that has just started may take a while before it answers."""
ASK_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    accounts: tuple[str, ...]
    added: int
    removed: int
    """Permissions that an account of ours had and should not have."""
    strangers: tuple[str, ...]
    """Users of ours by name that are no longer known, and are gone now."""


async def apply(*, settings: KafkaSettings, passwords: Mapping[str, str]) -> Applied:
    """Make users, passwords and permissions what they should be; `passwords` are by account's name.

    Raises ToolFailed when the broker refuses or does not answer.
    """
    return await asyncio.to_thread(_applied, settings, passwords)


def _applied(settings: KafkaSettings, passwords: Mapping[str, str]) -> Applied:
    client = _client()
    try:
        admin = client.AdminClient(client_options(settings), logger=log)
        admin.list_topics(timeout=PATIENCE_S)  # waits for the first answer
        strangers = _users(client, admin, passwords)
        wanted = {_binding(client, account.name, permit) for account in ACCOUNTS for permit in permits(account.party)}
        there = _ours(client, admin)
        missing, surplus = sorted(wanted - there, key=str), sorted(there - wanted, key=str)
        if missing:
            _each(admin.create_acls(missing, request_timeout=PATIENCE_S))
        if surplus:
            named = [client.AclBindingFilter(*_parts(binding)) for binding in surplus]
            _each(admin.delete_acls(named, request_timeout=PATIENCE_S))
    except client.KafkaException as error:
        said = error.args[0]
        raise ToolFailed(tool="kafka", status=said.name(), said=said.str()) from error
    return Applied(
        accounts=tuple(account.name for account in ACCOUNTS),
        added=len(missing),
        removed=len(surplus),
        strangers=strangers,
    )


def _client() -> Any:
    """The admin client's module; its stubs leave out half of what it offers."""
    try:
        import confluent_kafka.admin
    except ImportError:
        raise reject(
            code="EXTRA_MISSING",
            message="the client that makes Kafka's users and permissions is not installed",
            where="confluent-kafka",
            rule="access to Kafka is applied with the extra `access`",
            fix="install cohortstream[access]",
        ) from None
    return confluent_kafka.admin


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """The settings as librdkafka names them."""
    tls = settings.tls_ca_file is not None
    options: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap,
        "security.protocol": "SSL" if tls else "PLAINTEXT",
        "socket.timeout.ms": int(ASK_S * 1000),
        # as long as its addresses are tried again, a broker that starts is waited for and not complained of
        "log.connection.close": False,
    }
    if tls:
        options["ssl.ca.location"] = str(settings.tls_ca_file)
    if settings.sasl_username is not None and settings.sasl_password_file is not None:
        options |= {
            "security.protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": settings.sasl_username,
            "sasl.password": secret_in(settings.sasl_password_file, where="kafka.sasl_password_file"),
        }
    return options


def _users(client: Any, admin: Any, passwords: Mapping[str, str]) -> tuple[str, ...]:
    """Set every account's password, remove users of ours that are no longer known. Returns those."""
    known = {account.name for account in ACCOUNTS}
    described = admin.describe_user_scram_credentials(request_timeout=PATIENCE_S).result()
    strangers = tuple(sorted(name for name in described if name.startswith(PREFIX) and name not in known))
    scram = client.ScramCredentialInfo(client.ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    # the client sends the salted hash, never the password
    changes = [
        client.UserScramCredentialUpsertion(name, scram, passwords[name].encode("ascii")) for name in sorted(known)
    ]
    gone = [
        client.UserScramCredentialDeletion(name, kept.mechanism)
        for name in strangers
        for kept in described[name].scram_credential_infos
    ]
    _each(admin.alter_user_scram_credentials([*changes, *gone], request_timeout=PATIENCE_S))
    return strangers


def _ours(client: Any, admin: Any) -> set[Any]:
    """Every permission that names an account of ours, known or not."""
    everything = client.AclBindingFilter(
        client.ResourceType.ANY,
        None,
        client.ResourcePatternType.ANY,
        None,
        None,
        client.AclOperation.ANY,
        client.AclPermissionType.ANY,
    )
    found = admin.describe_acls(everything, request_timeout=PATIENCE_S).result()
    return {binding for binding in found if binding.principal.startswith(f"User:{PREFIX}")}


def _binding(client: Any, account: str, permit: Permit) -> Any:
    return client.AclBinding(
        client.ResourceType[permit.resource.upper()],
        permit.name,
        client.ResourcePatternType.LITERAL,
        f"User:{account}",
        "*",
        client.AclOperation[permit.operation],
        client.AclPermissionType.ALLOW,
    )


def _parts(binding: Any) -> tuple[Any, ...]:
    return (
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )


def _each(futures: Mapping[Any, Any]) -> None:
    """Wait for all. Raises the first refusal."""
    for answer in futures.values():
        answer.result(timeout=PATIENCE_S)
