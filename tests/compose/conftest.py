"""The whole of compose.yaml, brought up once in a project, a folder and on ports of its own, and taken down again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "cohortstream-test"
UP_SECONDS = 900
PUBLISHED = ("PAGE_PORT", "JAEGER_PORT", "PROMETHEUS_PORT", "KAFKA_PORT", "POSTGRES_PORT", "STORE_PORT")


@dataclass(frozen=True)
class Stack:
    environment: Mapping[str, str]
    site: Path

    def port(self, name: str) -> int:
        return int(self.environment[name])

    def make(self, *words: str) -> str:
        # where images must be brought first, `make test-compose` has done that
        return self._run("make", f"PYTHON={sys.executable}", "BEFORE_DOCKER=", *words)

    def compose(self, *words: str) -> str:
        folder = ROOT / "deploy" / "compose"
        return self._run("docker", "compose", "--project-directory", str(folder), *words)

    def docker(self, *words: str) -> str:
        return self._run("docker", *words)

    def command(self, *words: str) -> str:
        return self._run(sys.executable, "-m", "console.app", "--config", str(self.site / "host.toml"), *words)

    def demo(self, *words: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "console.app", "demo", "--stack", "compose", "--json", *words]
        return subprocess.Popen(
            argv, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def containers(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.compose("ps", "--all", "--format", "json").splitlines()]

    def ids(self, service: str) -> list[str]:
        return self.compose("ps", "--quiet", service).split()

    def _run(self, *argv: str) -> str:
        ended = subprocess.run(
            argv, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=UP_SECONDS, check=False
        )
        assert ended.returncode == 0, f"{' '.join(argv)}\n{ended.stdout[-1500:]}\n{ended.stderr[-3000:]}"
        return ended.stdout


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    site = tmp_path_factory.mktemp("compose") / "site"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COHORTSTREAM_", "OTEL_"))}
    ports = dict(zip(PUBLISHED, map(str, free_ports(len(PUBLISHED))), strict=True))
    environment = kept | ports | {"COMPOSE_PROJECT_NAME": PROJECT, "SITE": str(site), "RUNS": str(site / "runs")}
    made = Stack(environment=environment, site=site)
    made.make("down", "WIPE=1")
    try:
        made.make("up")
        yield made
    finally:
        made.make("down", "WIPE=1")
