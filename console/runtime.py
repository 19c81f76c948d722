"""What a running site's settings are, written where its processes and other commands find them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from chassis.settings import Settings
    from deploy.embedded.stack import Endpoints

NAME = "runtime.toml"


def resolved(settings: Settings) -> Settings:
    """The settings with absolute folders; store and site secret lie in the state folder where none is named."""
    state = settings.state_dir.expanduser().absolute()
    store, site = settings.store, settings.site
    if "base" not in store.model_fields_set:
        store = store.model_copy(update={"base": f"file://{quote(str(state))}/store"})
    if site.secret_file is None:
        site = site.model_copy(update={"secret_file": state / "site-secret"})
    roots = tuple(root.expanduser().absolute() for root in settings.ingest.roots)
    ingest = settings.ingest.model_copy(update={"roots": roots})
    return settings.model_copy(update={"state_dir": state, "store": store, "site": site, "ingest": ingest})


def names_servers(settings: Settings) -> tuple[bool, bool]:
    """Does the configuration itself say where (Kafka, the ledger) is?"""
    return "bootstrap" in settings.kafka.model_fields_set, "dsn" in settings.ledger.model_fields_set


def with_endpoints(settings: Settings, endpoints: Endpoints) -> Settings:
    """The settings with the embedded stack's addresses where the configuration names none."""
    from pydantic import SecretStr

    kafka_named, ledger_named = names_servers(settings)
    update: dict[str, Any] = {}
    if not kafka_named:
        update["kafka"] = settings.kafka.model_copy(update={"bootstrap": endpoints.kafka_bootstrap})
    if not ledger_named:
        update["ledger"] = settings.ledger.model_copy(update={"dsn": SecretStr(endpoints.postgres_dsn)})
    if endpoints.s3_endpoint is not None:
        update["store"] = settings.store.model_copy(
            update={
                "base": f"s3://{endpoints.bucket}",
                "endpoint": endpoints.s3_endpoint,
                "access_key": SecretStr(endpoints.s3_access_key),
                "secret_key": SecretStr(endpoints.s3_secret_key),
            }
        )
    return settings.model_copy(update=update)


def found(settings: Settings) -> Settings:
    """The settings as a running site on this state folder has them; as they are when none runs."""
    from deploy.embedded.stack import read_endpoints

    settings = resolved(settings)
    endpoints = read_endpoints(settings.state_dir)
    return settings if endpoints is None else with_endpoints(settings, endpoints)


def write_runtime(settings: Settings) -> Path:
    """Write `<state>/runtime.toml` (mode 0600: it holds passwords) and return its path."""
    path = settings.state_dir / NAME
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(NAME + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    note = f"# Written by process {os.getpid()} for its services; edit your own cohortstream.toml instead.\n"
    fresh.write_text(note + as_toml(settings), encoding="utf-8")
    fresh.replace(path)
    return path


def make_secret(path: Path) -> bool:
    """Write a fresh site secret, for our own eyes, where there is none. True when it was made now."""
    from services.ingest import identity

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        identity.make_secret(path)
    except FileExistsError:
        return False
    return True


def as_toml(settings: Settings) -> str:
    """Every setting that has a value, secrets included."""
    from chassis.worker.wire import settings_out

    document = settings_out(settings)
    top = [f"{name} = {_value(value)}" for name, value in document.items() if not isinstance(value, dict)]
    parts = ["\n".join(top)]
    for name, section in document.items():
        if isinstance(section, dict):
            lines = [f"{key} = {_value(value)}" for key, value in section.items() if value is not None]
            parts.append("\n".join([f"[{name}]", *lines]))
    return "\n\n".join(parts) + "\n"


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            # a JSON string is a TOML basic string but for DEL, which TOML wants escaped
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return "[" + ", ".join(_value(item) for item in value) + "]"
        case _:
            raise TypeError(f"no TOML for {type(value).__name__}")
