"""The main path on containers: real bwa and GATK on real reads, each process with its own account and no other."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from chassis.reference import bundle
from chassis.storage import open_store
from console import commands_out
from console.views import Views, open_views
from contracts.events import CohortFreezeRequested, Selection
from contracts.parties import CONSOLE, SERVICES
from deploy.access.model import LEDGER_ACCOUNTS, Account, Role, account_of
from tests.conftest import until
from tests.containers.servers import Servers, running_servers
from tests.support.flow import material, panel
from tests.support.site import ROOT, Process

PATIENCE_S = 300.0
CALLED = "select key from status_sample where verdict is not null"
PANEL = "select * from status_panel where cohort = $1"
ENDED = "select ending, count(*) as attempts from status_attempt group by ending"
HELD = "select code, rejection from status_quarantine"
STANDING = "select subject, state, waits_for from status_subject limit 10"
COMPLAINTS = ("permission denied", "ACCESS_DENIED", "AuthorizationFailed", "not authorized", "Traceback")


def small_site(folder: Path, servers: Servers) -> dict[str, str]:
    """Variables of a site that is small and in a hurry."""
    return {
        "COHORTSTREAM_SITE__SECRET_FILE": str(_own_eyes(servers.secrets / "site-secret", folder)),
        "COHORTSTREAM_INGEST__ROOTS": str(folder / "runs"),
        "COHORTSTREAM_INGEST__SCAN_SECONDS": "0.3",
        "COHORTSTREAM_INGEST__SETTLE_SECONDS": "0",
        "COHORTSTREAM_ALIGN__REFERENCE": "onekg",
        "COHORTSTREAM_ALIGN__QC_RULES": "tiny",
        "COHORTSTREAM_ALIGN__CALL_INTERVAL_BP": "2200",
        "COHORTSTREAM_JOINTCALL__INTERVAL_BP": str(material.MAX_INTERVAL_BP),
        "COHORTSTREAM_JOINTCALL__CHUNK_BP": str(material.MAX_INTERVAL_BP // 2),
        "COHORTSTREAM_ARCHIVE__SWEEP_SECONDS": "2",
        "COHORTSTREAM_WORKER__POLL_SECONDS": "0.5",
    }


def _own_eyes(secret: Path, folder: Path) -> Path:
    """Beside each other on one host, ingest's processes take a secret that no other account may read."""
    copy = folder / secret.name
    if not copy.exists():
        copy.touch(mode=0o600)
        copy.write_bytes(secret.read_bytes())
    return copy


@pytest.fixture
async def empty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    """Servers of its own: other tests write to the topics what no service would."""
    with running_servers(tmp_path_factory.mktemp("empty")) as servers:
        await servers.set_up()
        yield servers


@asynccontextmanager
async def process_of(servers: Servers, account: Account, folder: Path) -> AsyncIterator[Process]:
    """`consume` or `work` with this account's credentials in its environment and no others."""
    config, log = folder / f"{account.name}.toml", folder / f"{account.name}.log"
    config.write_text(f'state_dir = "{folder}/{account.name}"\n', encoding="utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COHORTSTREAM_")}
    with log.open("ab") as out:
        started = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "console.app", "--config", str(config), account.role.value, account.party),
            cwd=ROOT,
            stdout=out,
            stderr=out,
            env=inherited | servers.variables(account) | small_site(folder, servers),
        )
    process = Process(process=started, log=log)
    try:
        yield process
    finally:
        await process.stop()


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """What the processes complained of, when the flow comes to nothing."""
    try:
        yield
    except TimeoutError:
        raise AssertionError("in vain\n" + "\n".join(complaints(folder))) from None


def complaints(folder: Path) -> list[str]:
    """Each log's lines from its first complaint on."""
    found: list[str] = []
    for log in sorted(folder.glob("*.log")):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        first = next((at for at, line in enumerate(lines) if any(word in line for word in COMPLAINTS)), len(lines))
        found += [f"{log.name}: {line[:600]}" for line in lines[first : first + 60]]
    return found


async def everything_said(views: Views) -> list[Any]:
    return [(name, row) for name in SERVICES for query in (STANDING, HELD) for row in await views.rows(name, query)]


@pytest.mark.timeout(900)
async def test_with_these_accounts_alone_a_run_becomes_a_panel(empty: Servers, tmp_path: Path) -> None:
    servers = empty
    # given: the console has registered a reference, each service's two processes run
    console = servers.settings(account_of(CONSOLE), **small_site(tmp_path, servers))
    (tmp_path / "runs").mkdir()
    async with open_store(console.store) as store:
        size = material.MAX_INTERVAL_BP
        await bundle.add(store, name="onekg", fasta=material.REFERENCE, max_interval_bp=size, scratch=tmp_path)
    async with AsyncExitStack() as running, open_views(console) as views:
        processes = [
            await running.enter_async_context(process_of(servers, account, tmp_path))
            for account in LEDGER_ACCOUNTS
            if account.role is not Role.console
        ]

        def lives(condition: bool) -> bool:
            ended = [one.log.name for one in processes if one.process.returncode is not None]
            assert not ended, f"{ended} ended\n" + "\n".join(complaints(tmp_path))
            return condition

        # when: a run arrives, and a person asks for a freeze of everyone in it
        plan = material.plan_of("PRJ1", material.PEOPLE, number=1)
        reads = material.Reads(people={person: person for person in material.PEOPLE}, edition=1)
        await asyncio.to_thread(material.arrive, tmp_path / "runs", plan=plan, reads=reads)
        samples: list[str] = []

        async def called() -> bool:
            samples[:] = [row["key"] for row in await views.rows("jointcall", CALLED)]
            return lives(len(samples) == len(material.PEOPLE))

        with told(tmp_path):
            await until(called, seconds=PATIENCE_S)
        cohort = f"cohort-{uuid4().hex[:8]}"
        selection = Selection(how="list", samples=tuple(samples))
        freeze = commands_out.command(CohortFreezeRequested, cohort=cohort, selection=selection, reason="a test")
        await commands_out.publish(console, freeze)

        # then: the panel is released, the console can read it, and nobody met a right that it lacks
        released: list[Any] = []

        async def there() -> bool:
            released[:] = await views.rows("annotate", PANEL, cohort)
            return lives(bool(released and released[0]["manifest"]))

        with told(tmp_path):
            await until(there, seconds=PATIENCE_S)
        async with open_store(console.store) as store:
            assert await panel.content(store, released[0])
        assert complaints(tmp_path) == []
        for service in SERVICES:
            endings = {row["ending"] for row in await views.rows(service, ENDED)}
            assert "done" in endings, (service, endings, await everything_said(views))
            assert await views.rows(service, HELD) == []
