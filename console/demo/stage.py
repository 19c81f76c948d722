"""The demo's folders and settings: a state that goes when it ends, and a summary that stays."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chassis.errors import reject

if TYPE_CHECKING:
    from chassis.settings import Settings
    from console.demo.figures import Figures

LEASE_S = 10.0
CALL_BP = 30_000
"""Bases a calling chunk covers: four chunks a person, so that there is something to checkpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    folder: Path
    state: Path
    runs: Path

    def settings(self, *, qc_rules: str) -> Settings:
        """Settings of a site that is small and in a hurry; everything else is as it is for a large one."""
        from chassis.settings import Settings

        with resources.as_file(resources.files("services.archive") / "policies_demo.toml") as policies:
            document: dict[str, Any] = {
                "state_dir": self.state,
                # the variable that OpenTelemetry itself defines: a person with a backend gets the demo's traces in it
                "telemetry": {"otlp_endpoint": os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")},
                "worker": {"lease_seconds": LEASE_S, "poll_seconds": 0.5},
                "ingest": {"roots": (self.runs,), "scan_seconds": 0.5, "settle_seconds": 1.0},
                "align": {"reference": "demo", "call_interval_bp": CALL_BP, "qc_rules": qc_rules},
                "jointcall": {"interval_bp": 10_000, "chunk_bp": 10_000},
                "archive": {"policies": policies, "sweep_seconds": 2.0, "grace_seconds": 5.0},
            }
            return Settings(**document)

    def summarise(self, figures: Figures) -> None:
        path = self.folder / "summary.json"
        path.write_text(json.dumps(figures.as_json(), indent=2) + "\n", encoding="utf-8")


@contextmanager
def staged(*, keep: Path | None) -> Iterator[Stage]:
    """Folders for a demo. With `keep` everything stays there; without it a summary folder stays, in the temporary
    folder of this machine, and the rest goes."""
    if keep is not None:
        folder = keep.expanduser().absolute()
        if folder.exists() and any(folder.iterdir()):
            raise reject(
                code="FOLDER_IN_USE",
                message="the folder to keep the demo in is not empty",
                where=str(folder),
                rule="nothing is overwritten",
                fix="name a new or an empty folder",
            )
        folder.mkdir(parents=True, exist_ok=True)
        yield Stage(folder=folder, state=folder / "state", runs=_made(folder / "runs"))
        return
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = Path(tempfile.mkdtemp(prefix=f"cohortstream-demo-{stamp}-"))
    stage = Stage(folder=folder, state=folder / "state", runs=_made(folder / "runs"))
    try:
        yield stage
    except BaseException as error:
        # logs are what a person needs now; large data goes
        shutil.rmtree(stage.runs, ignore_errors=True)
        error.add_note(f"The demo's logs: {stage.state / 'logs'}")
        raise
    for left in (stage.runs, stage.state):
        shutil.rmtree(left, ignore_errors=True)
    for file in ("reference.fa", "reference.fa.fai", "genes.gff3", "truth.vcf.gz", "truth.vcf.gz.tbi"):
        (folder / file).unlink(missing_ok=True)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
