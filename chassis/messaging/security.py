"""How clients authenticate to Kafka, from settings."""

from __future__ import annotations

import ssl
from typing import Any

from faststream.security import BaseSecurity, SASLScram512

from chassis.errors import reject
from chassis.secret import secret_in
from chassis.settings import KafkaSettings


def security_of(settings: KafkaSettings) -> BaseSecurity | None:
    """SASL/SCRAM when a user is set, TLS when a CA is set, plain otherwise (loopback)."""
    context = ssl.create_default_context(cafile=str(settings.tls_ca_file)) if settings.tls_ca_file else None
    if settings.sasl_username is None:
        return BaseSecurity(ssl_context=context, use_ssl=True) if context else None
    return SASLScram512(
        username=settings.sasl_username, password=_password(settings), ssl_context=context, use_ssl=context is not None
    )


def client_options() -> dict[str, Any]:
    return {"retry_backoff_ms": 200, "metadata_max_age_ms": 60_000}


def plain_options(settings: KafkaSettings) -> dict[str, Any]:
    """The same for a bare aiokafka client."""
    context = ssl.create_default_context(cafile=str(settings.tls_ca_file)) if settings.tls_ca_file else None
    options: dict[str, Any] = {"bootstrap_servers": settings.bootstrap, "ssl_context": context}
    if settings.sasl_username is None:
        options["security_protocol"] = "SSL" if context else "PLAINTEXT"
        return options
    return options | {
        "security_protocol": "SASL_SSL" if context else "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": _password(settings),
    }


def _password(settings: KafkaSettings) -> str:
    if settings.sasl_password_file is None:
        raise reject(
            code="CONFIG_VALUE",
            message="kafka.sasl_username is set and kafka.sasl_password_file is not",
            where="kafka",
            rule="a password comes from a file, never from the configuration itself",
            fix="write the password into a file that only this user can read, and name it",
        )
    return secret_in(settings.sasl_password_file, where="kafka.sasl_password_file")
