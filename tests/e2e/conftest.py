"""One demo for all tests of the whole path: real Kafka, Postgres, S3, bwa and GATK, on few people."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.otlp import Receiver, receiver

ROOT = Path(__file__).resolve().parents[2]
DEMO_SECONDS = 900


@dataclass(frozen=True)
class Demo:
    """What a demo left: its JSON, its kept folder, and the spans that it sent out."""

    document: dict[str, Any]
    folder: Path
    received: Receiver
    stderr: str

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `cohortstream` on the demo's state, which nothing runs on any more."""
        config = self.folder / "after.toml"
        config.write_text(f'state_dir = "{self.folder}/state"\n', encoding="utf-8")
        return cohortstream("--config", str(config), *arguments)


def cohortstream(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COHORTSTREAM_", "OTEL_"))}
    if "COHORTSTREAM_CACHE" in os.environ:
        environment["COHORTSTREAM_CACHE"] = os.environ["COHORTSTREAM_CACHE"]
    return subprocess.run(
        [sys.executable, "-m", "console.app", *arguments],
        cwd=ROOT,
        env=environment | more | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Three people, then two more and a top-up; spans go to a receiver of our own."""
    folder = tmp_path_factory.mktemp("demo") / "kept"
    with receiver() as received:
        ended = cohortstream(
            *("demo", "--people", "3", "--keep", str(folder), "--json"),
            OTEL_EXPORTER_OTLP_ENDPOINT=received.endpoint,
        )
        assert ended.returncode == 0, f"{ended.stderr[-3000:]}\n{_last_words(folder)}"
        yield Demo(document=json.loads(ended.stdout), folder=folder, received=received, stderr=ended.stderr)


def _last_words(folder: Path) -> str:
    logs = sorted((folder / "state" / "logs" / "services").glob("*.log"))
    return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-800:]}" for path in logs)
