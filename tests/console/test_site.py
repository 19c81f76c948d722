"""A whole site on one machine: `up` with every service, what other commands see of it, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.console.conftest import ROOT, Command, environment

pytestmark = pytest.mark.stack

START_S = 180.0
END_S = 90.0


def processes_of(folder: Path) -> dict[int, str]:
    """Processes whose command line or working directory names the folder, by id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((entry / "cwd").readlink())
        except OSError:
            continue
        if str(folder) in words or place.startswith(str(folder)):
            found[int(entry.name)] = words
    return found


def wait_for(condition: Callable[[], bool], what: str, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come to be within {seconds} s"
        time.sleep(0.1)


@pytest.fixture
def up(cohortstream: Command, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """`cohortstream up` on a fresh site, started; its words go to up.log."""
    assert cohortstream("init", tmp_path / "site").code == 0
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        log = tmp_path / "up.log"
        log.unlink(missing_ok=True)
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "console.app", "up"],
                cwd=tmp_path / "site",
                env=environment(),
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        started.append(process)
        wait_for(
            lambda: b"the site is up" in log.read_bytes() or process.poll() is not None, "the start", seconds=START_S
        )
        assert process.poll() is None, log.read_text(encoding="utf-8")
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_up_runs_every_service_and_ends_without_a_trace(
    up: Callable[[], subprocess.Popen[bytes]], cohortstream: Command, cohortstream_process: Command, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    process = up()
    runtime = site / "state" / "runtime.toml"
    assert runtime.stat().st_mode & 0o777 == 0o600

    def doctor() -> dict[str, str]:
        ran = cohortstream("doctor", "--json", cwd=site)
        return {check["what"]: check["verdict"] for check in ran.document["checks"]}

    wait_for(lambda: doctor()["services"] == "well", "all services' connection", seconds=START_S)
    checks = doctor()
    assert [what for what, verdict in checks.items() if verdict == "bad"] == []
    assert [checks[what] for what in ("site", "Kafka", "Postgres", "store", "site secret")] == ["well"] * 5

    status = cohortstream("status", "--json", cwd=site)
    assert status.document["subjects"] == []
    assert status.document["notes"] == []

    second = cohortstream_process("up", cwd=site)
    assert second.code == 3
    assert "STATE_IN_USE" in second.paragraph

    process.send_signal(signal.SIGINT)
    assert process.wait(END_S) == 0
    said = (tmp_path / "up.log").read_text(encoding="utf-8")
    assert "goes on where it was" in said
    assert not runtime.exists()
    assert processes_of(site) == {}
    assert cohortstream("status", cwd=site).code == 4

    # and again, on the same folder; this time it is killed
    process = up()
    wait_for(lambda: len(processes_of(site)) > 10, "the services' start", seconds=START_S)
    process.kill()
    process.wait()
    wait_for(lambda: processes_of(site) == {}, "the end of all that it started", seconds=END_S)


def test_half_a_site_of_ones_own_servers_is_refused(cohortstream: Command, tmp_path: Path) -> None:
    (tmp_path / "cohortstream.toml").write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n', encoding="utf-8")
    ran = cohortstream("up")
    assert ran.code == 3
    assert "set both, or neither" in ran.paragraph


def test_doctor_says_what_to_mend_and_fails_when_something_is_wrong(cohortstream: Command, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("short", encoding="utf-8")
    (tmp_path / "secret").chmod(0o644)
    (tmp_path / "cohortstream.toml").write_text(
        '[kafka]\nbootstrap = "127.0.0.1:1"\n[ledger]\ndsn = "postgresql://me:hush@127.0.0.1:1/c"\n'
        '[site]\nsecret_file = "secret"\n[ingest]\nroots = ["nowhere"]\n[store]\nbase = "ftp://x"\n',
        encoding="utf-8",
    )
    ran = cohortstream("doctor", "--json")
    assert ran.code == 1
    bad = {check["what"]: check["fix"] for check in ran.document["checks"] if check["verdict"] == "bad"}
    assert set(bad) == {"Kafka", "Postgres", "site secret", "run folders", "store"}
    assert bad["site secret"] == "chmod 600 secret"
    assert all(bad.values())
    assert "hush" not in ran.out
    shown = cohortstream("doctor")
    assert "5 to mend" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 100


def test_doctor_reports_a_refused_configuration_and_looks_on(cohortstream: Command, tmp_path: Path) -> None:
    (tmp_path / "cohortstream.toml").write_text("[worker]\nthreads = 0\n", encoding="utf-8")
    checks = {check["what"]: check for check in json.loads(cohortstream("doctor", "--json").out)["checks"]}
    assert checks["configuration"]["verdict"] == "bad"
    assert "worker.threads" in checks["configuration"]["said"]
    assert checks["Python"]["verdict"] == "well"


def test_a_reference_is_registered_without_a_running_site(cohortstream: Command, tmp_path: Path) -> None:
    fasta = ROOT / "console" / "demo" / "data" / "1kg_chr17" / "reference.fa"
    added = cohortstream("reference", "add", "chr17", fasta, "--json")
    assert added.code == 0, added.err
    assert added.document["bases"] == 4200
    listed = cohortstream("reference", "list", "--json").document
    assert [one["name"] for one in listed] == ["chr17"]
    missing = cohortstream("reference", "add", "x", "nix.fa")
    assert (missing.code, "FILE_MISSING" in missing.paragraph) == (3, True)
