"""Dockerfile and compose.yaml as they are written: what must hold of them before anything is built."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.settings import load
from console.demo.stage import Stage
from contracts.parties import SERVICES
from deploy.compose.site import EVALUATION
from deploy.images.packages import blocks, subset

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "deploy" / "compose"
ROLES = tuple(f"{service}-{role}" for service in SERVICES for role in ("consume", "work"))
ONE_SHOTS = ("migrations", "ledger-accounts", "topics", "kafka-accounts", "store-accounts", "admin")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return found


def test_each_role_has_a_target_and_a_service(services: dict[str, Any]) -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", _dockerfile(), flags=re.MULTILINE))
    for role in (*ROLES, "console"):
        assert role in targets
        assert services[role]["build"]["target"] == role
        assert services[role]["image"] == f"cohortstream/{role}:${{TAG}}"


def test_the_dockerfile_suits_old_builders() -> None:
    assert "syntax=" not in _dockerfile() and "<<" not in _dockerfile() and "--mount" not in _dockerfile()


def test_ours_have_no_rights_and_nothing_to_write_to(services: dict[str, Any]) -> None:
    for name in (*ROLES, "console", "glacier", *ONE_SHOTS):
        one = services[name]
        assert one["read_only"] is True and one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert one["deploy"]["resources"]["limits"]["memory"], name
        assert "privileged" not in one and "/var/run/docker.sock" not in str(one), name


def test_each_role_has_its_own_secrets_alone(services: dict[str, Any]) -> None:
    for role in ROLES:
        service, _, kind = role.partition("-")
        ledger = f"postgres-{service}" if kind == "consume" else f"postgres-{service}-work"
        wanted = {ledger, f"store-{service}"} | ({f"kafka-{service}"} if kind == "consume" else set())
        wanted |= {"site-secret"} if service == "ingest" else set()
        assert set(services[role]["secrets"]) == wanted, role
        named = {
            value.removeprefix("/run/secrets/")
            for key, value in services[role]["environment"].items()
            if key.endswith("_FILE")
        }
        assert named == wanted, role


def test_what_is_published_is_published_on_loopback(services: dict[str, Any]) -> None:
    published = [port for one in services.values() for port in one.get("ports", ())]
    assert len(published) == 7  # the two stores share one
    assert all(str(port).startswith("127.0.0.1:") for port in published)


def test_every_variable_has_a_default(services: dict[str, Any]) -> None:
    text = (COMPOSE / "compose.yaml").read_text(encoding="utf-8")
    defaults = set(re.findall(r"^([A-Z_]+)=", (COMPOSE / ".env").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z_]+)\}", text)) <= defaults
    for server in ("KAFKA", "POSTGRES", "STORE", "JAEGER", "PROMETHEUS", "PYTHON"):
        assert f"{server}_IMAGE" in defaults


def test_the_first_configuration_is_the_demos(tmp_path: Path) -> None:
    """Everything that a panel depends on, so that both demos make the same one."""
    evaluation = tmp_path / "cohortstream.toml"
    evaluation.write_text(EVALUATION.read_text(encoding="utf-8"), encoding="utf-8")
    contained = load(evaluation, environ={})
    embedded = Stage(folder=tmp_path, state=tmp_path / "state", runs=tmp_path / "runs").settings(qc_rules="demo")
    for section in ("align", "jointcall", "vqsr", "annotate"):
        assert getattr(contained, section) == getattr(embedded, section), section
    assert contained.worker.lease_seconds == embedded.worker.lease_seconds
    assert (
        tomllib.loads(EVALUATION.read_text(encoding="utf-8"))["archive"]["grace_seconds"]
        == embedded.archive.grace_seconds
    )


def test_an_image_gets_the_locks_own_lines() -> None:
    found = dict(blocks(LOCK))
    assert found["pydantic"].startswith("pydantic==") and "--hash=sha256:" in found["pydantic"]
    chosen = subset(LOCK, {"pydantic", "rich"})
    assert chosen.count("==") == 2
    assert all(found[name] in chosen for name in ("pydantic", "rich"))


def test_a_package_that_the_lock_lacks_is_refused() -> None:
    with pytest.raises(SystemExit, match="no-such-package"):
        subset(LOCK, {"no-such-package"})


def _dockerfile() -> str:
    return (ROOT / "deploy" / "images" / "Dockerfile").read_text(encoding="utf-8")
