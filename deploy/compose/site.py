"""A site's folder for compose.yaml: configuration, secrets, run folders, and how this machine's commands reach it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.errors import Rejected, ToolFailed, reject

HERE = Path(__file__).parent
COMPOSE = HERE / "compose.yaml"
EVALUATION = HERE / "evaluation.toml"
CONFIG, HOST, KAFKA_ENV, SECRETS = "cohortstream.toml", "host.toml", "kafka.env", "secrets"
ACCOUNT = "cohortstream_console"
ASK_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """What compose.yaml publishes on this machine's loopback, with the variables that are set now."""

    kafka: int
    postgres: int
    store: int
    jaeger: int
    page: int
    prometheus: int
    project: str
    site: Path
    runs: Path


def compose(*words: str) -> str:
    """What `docker compose WORDS` says. Raises as `docker` does."""
    return docker("compose", "--project-directory", str(HERE), "-f", str(COMPOSE), *words)


def docker(*words: str) -> str:
    """What `docker WORDS` says. Raises ToolFailed with its last words, DOCKER_MISSING when there is none."""
    try:
        argv = ["docker", *words]
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=ASK_S, check=False)
    except FileNotFoundError:
        raise reject(
            code="DOCKER_MISSING",
            message="there is no docker command",
            where="PATH",
            rule="containers want Docker with its compose plugin, v2.24 or newer",
            fix="install Docker; without it `make demo` runs the same system",
        ) from None
    if ended.returncode:
        raise ToolFailed(tool=f"docker {words[0]}", status=ended.returncode, said=ended.stderr.strip()[-2000:])
    return ended.stdout


def addresses() -> Addresses:
    """Read from the rendered compose file, so that a variable of the shell counts here as it does there."""
    rendered = json.loads(compose("--profile", "*", "config", "--format", "json"))
    services = rendered["services"]

    def port(service: str) -> int:
        return int(services[service]["ports"][0]["published"])

    return Addresses(
        kafka=port("kafka"),
        postgres=port("postgres"),
        store=port("store"),
        jaeger=port("jaeger"),
        page=port("console"),
        prometheus=port("prometheus"),
        project=str(rendered["name"]),
        site=Path(rendered["configs"]["site"]["file"]).parent,
        runs=Path(_source(services["ingest-consume"]["volumes"], "/runs")),
    )


def _source(volumes: Sequence[Mapping[str, Any]], target: str) -> str:
    [source] = [str(volume["source"]) for volume in volumes if volume["target"] == target]
    return source


def prepare() -> tuple[Addresses, tuple[str, ...]]:
    """Fill the site's folder with what is missing; nothing that is there is written over but `host.toml`, which follows
    the ports. Returns the addresses and the names of what is new."""
    from deploy.access.secretfiles import make

    at = addresses()
    if not (at.site / SECRETS).exists() and (left := _volumes(at.project)):
        raise _other_site(at, left)
    new: list[str] = []
    at.site.mkdir(parents=True, exist_ok=True)
    if not at.runs.exists():
        at.runs.mkdir(parents=True)
        new.append(str(at.runs))
    if make(at.site / SECRETS):
        new.append(SECRETS)
    for name, content in ((CONFIG, EVALUATION.read_text(encoding="utf-8")), (KAFKA_ENV, _kafka_env())):
        if not (at.site / name).exists():
            (at.site / name).write_text(content, encoding="utf-8")
            new.append(name)
    (at.site / HOST).write_text(_host(at), encoding="utf-8")
    return at, tuple(new)


def _volumes(project: str) -> list[str]:
    return docker("volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={project}").split()


def _other_site(at: Addresses, volumes: Sequence[str]) -> Rejected:
    return reject(
        code="SITE_MISSING",
        message=f"{len(volumes)} volumes of {at.project} are there, made with passwords that are not",
        where=str(at.site / SECRETS),
        rule="a site's folder and its volumes belong together",
        fix="put the folder back, or let the volumes go (make down WIPE=1), or name another COMPOSE_PROJECT_NAME",
    )


def _kafka_env() -> str:
    # Kafka takes an id that starts with a hyphen for an option of its own command
    drawn = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
    return (
        f"# Which cluster the broker's volume belongs to: kept for as long as that volume.\nCLUSTER_ID=k{drawn[1:]}\n"
    )


def _host(at: Addresses) -> str:
    """A configuration for commands on this machine, with the console's accounts."""
    secrets = at.site / SECRETS

    def words(text: object) -> str:
        return json.dumps(str(text), ensure_ascii=False)

    return f"""\
# For commands on this machine: `cohortstream --config {at.site / HOST} status`. Written by each `make up`.
state_dir = {words(at.site / "state")}

[kafka]
bootstrap = "127.0.0.1:{at.kafka}"
sasl_username = "{ACCOUNT}"
sasl_password_file = {words(secrets / "kafka-console")}

[ledger]
dsn = "postgresql://127.0.0.1:{at.postgres}/cohortstream"
user = "{ACCOUNT}"
password_file = {words(secrets / "postgres-console")}

[store]
base = "s3://cohortstream"
endpoint = "http://127.0.0.1:{at.store}"
access_key = "{ACCOUNT}"
secret_key_file = {words(secrets / "store-console")}

[telemetry]
traces_url = "http://127.0.0.1:{at.jaeger}/trace/{{trace_id}}"
traces_api = "http://127.0.0.1:{at.jaeger}"

[ingest]
roots = [{words(at.runs)}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    service: str
    state: str
    health: str
    exit_code: int

    @property
    def ailing(self) -> bool:
        """It ended badly, starts again and again, or says that it is not well."""
        return self.state in ("restarting", "dead") or self.health == "unhealthy" or self.exit_code != 0


def containers() -> tuple[Container, ...]:
    """Every container of the stack, those that ended among them."""
    lines = compose("ps", "--all", "--format", "json").splitlines()
    return tuple(
        Container(service=one["Service"], state=one["State"], health=one["Health"], exit_code=int(one["ExitCode"]))
        for one in map(json.loads, lines)
    )
