"""Run folders and FASTQs as small as they can be, and a watch over them with a clock that the test turns."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from chassis.errors import Rejected
from chassis.ledger import queue
from chassis.ledger.ledger import Ledger
from chassis.ledger.tasks import Lease
from chassis.outcomes import Done, Failed, Outcome
from chassis.reference.cache import ReferenceCache
from chassis.settings import Settings
from chassis.worker.context import TaskContext
from chassis.worker.settle import settle
from contracts.envelope import decode
from services.ingest.main import build
from services.ingest.observation import Rules
from services.ingest.profiles import profile_named
from services.ingest.watcher import Watch, scan
from services.ingest.workers import check

SECRET = b"a site's secret that is fixed in tests"
FLOWCELL = "HK7YWDSX5"
RUN = f"240611_A01417_0218_A{FLOWCELL}"
BASE_CALLS = "Data/Intensities/BaseCalls"


@dataclass(frozen=True, kw_only=True)
class SheetRow:
    sample: str = "S1"
    lane: int = 1
    index: str = "ACGTACGTAC"
    index2: str = "TTGCATTGCA"
    project: str = "COHORT1"
    library: str = ""


def sheet_v2(*rows: SheetRow, further: tuple[tuple[str, str], ...] = ()) -> str:
    lines = ["[Header]", "FileFormatVersion,2", "", "[BCLConvert_Data]", "Lane,Sample_ID,Index,Index2,Sample_Project"]
    lines += [f"{row.lane},{row.sample},{row.index},{row.index2},{row.project}" for row in rows]
    lines += ["", "[Cloud_Data]", "Sample_ID,ProjectName,LibraryName"]
    lines += sorted({f"{row.sample},{row.project},{row.library}" for row in rows})
    if further:
        lines += ["", "[Cohortstream_Data]", "Sample_ID,NewLibrary", *(f"{sample},{name}" for sample, name in further)]
    return "\n".join(lines) + "\n"


def run_info(*, run: str = RUN, flowcell: str = FLOWCELL, lanes: int = 4) -> str:
    return f"""<?xml version="1.0"?>
<RunInfo Version="5"><Run Id="{run}" Number="218"><Flowcell>{flowcell}</Flowcell><Instrument>A01417</Instrument>
<Reads><Read Number="1" NumCycles="5" IsIndexedRead="N" /><Read Number="2" NumCycles="8" IsIndexedRead="Y" />
<Read Number="3" NumCycles="5" IsIndexedRead="N" /></Reads><FlowcellLayout LaneCount="{lanes}" /></Run></RunInfo>
"""


def fastq(*, mate: int, name: str = "r", records: int = 3, bases: str = "ACGTN") -> bytes:
    turned = bases if mate == 1 else bases[::-1]
    return b"".join(f"@{name}{n} {mate}:N:0:ACGT\n{turned}\n+\nFFF:#\n".encode() for n in range(records))


@dataclass
class RunFolder:
    """A run folder that the test fills step by step."""

    root: Path
    name: str = RUN
    run: str = RUN
    flowcell: str = FLOWCELL
    rows: tuple[SheetRow, ...] = (SheetRow(),)

    @property
    def path(self) -> Path:
        return self.root / self.name

    def begin(self) -> RunFolder:
        self.path.mkdir(parents=True)
        (self.path / "RunInfo.xml").write_text(run_info(run=self.run, flowcell=self.flowcell))
        self.write_sheet()
        return self

    def write_sheet(self, text: str | None = None) -> None:
        (self.path / "SampleSheet.csv").write_text(sheet_v2(*self.rows) if text is None else text)

    def copied(self) -> RunFolder:
        (self.path / "CopyComplete.txt").touch()
        return self

    def fastq(self, sample: str, lane: int, mate: int) -> Path:
        number = list(dict.fromkeys(row.sample for row in self.rows)).index(sample) + 1
        project = next(row.project for row in self.rows if row.sample == sample)
        return self.path / BASE_CALLS / project / f"{sample}_S{number}_L{lane:03d}_R{mate}_001.fastq.gz"

    def convert(self, contents: Mapping[tuple[str, int, int], bytes] | None = None) -> RunFolder:
        """Write every FASTQ of the sheet, each with reads of its own, and then the marker."""
        for row in self.rows:
            for mate in (1, 2):
                path = self.fastq(row.sample, row.lane, mate)
                path.parent.mkdir(parents=True, exist_ok=True)
                plain = fastq(mate=mate, name=f"{self.flowcell}:{row.sample}:{row.lane}:")
                given = (contents or {}).get((row.sample, row.lane, mate))
                path.write_bytes(gzip.compress(plain) if given is None else given)
        (self.path / "Logs").mkdir(exist_ok=True)
        (self.path / "Logs" / "FastqComplete.txt").touch()
        return self

    def whole(self) -> RunFolder:
        return self.begin().copied().convert()


@dataclass
class TurnedClock:
    now: datetime = field(default_factory=lambda: datetime(2024, 6, 11, tzinfo=UTC))

    async def __call__(self) -> datetime:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


SETTLE = timedelta(seconds=30)


def rules(*, qc_flag: str | None = None, profile: str = "bcl-convert") -> Rules:
    return Rules(profile=profile_named(profile), settle=SETTLE, qc_flag=qc_flag)


@dataclass
class Bench:
    """The service without broker and without processes: scans, and tasks worked on in this process."""

    ledger: Ledger
    watch: Watch
    clock: TurnedClock
    settings: Settings
    scratch: Path

    async def scan(self, *, settled: bool = True) -> None:
        """Look at the roots; with `settled` a second time, after files have had the time to settle."""
        await scan(self.watch)
        if settled:
            self.clock.turn(SETTLE.total_seconds() + 1)
            await scan(self.watch)

    async def claim(self) -> Lease | None:
        async with self.ledger.connection() as conn:
            leases = await queue.claim(
                conn,
                pools=["default"],
                memory_classes=["small"],
                owner="test",
                host="here",
                ttl=timedelta(minutes=5),
            )
        return leases[0] if leases else None

    async def attempt(self, lease: Lease, *, recorded: dict[str, Any] | None = None) -> Outcome:
        """Work on a lease as the child does. `recorded` collects the chunks."""

        async def record(chunk: str, value: Mapping[str, Any]) -> None:
            if recorded is not None:
                recorded[chunk] = value
            async with self.ledger.connection() as conn:
                assert await queue.checkpoint(conn, lease, chunk=chunk, value=value)

        context = TaskContext(
            service="ingest",
            settings=self.settings,
            lease=lease,
            store=self.watch.store,
            references=ReferenceCache(root=self.scratch / "references", limit_bytes=0),
            scratch=self.scratch,
            log=self.scratch / "log",
            record=record,
        )
        try:
            return await check(context)
        except Rejected as rejected:
            return Failed(rejection=rejected.rejection)

    async def work(self) -> int:
        """Do every task that is ready. Returns how many there were."""
        done = 0
        while (lease := await self.claim()) is not None:
            await settle(self.ledger, build(self.settings), lease, await self.attempt(lease))
            done += 1
        return done

    async def go(self) -> int:
        await self.scan()
        return await self.work()

    async def events(self, topic: str) -> list[Any]:
        """What was told so far, in order."""
        async with self.ledger.connection() as conn:
            rows = await conn.fetch("select topic, headers, body from outbox where topic = $1 order by id", topic)
        return [decode(dict(row["headers"]), bytes(row["body"]))[1] for row in rows]

    async def raw_events(self) -> str:
        async with self.ledger.connection() as conn:
            rows = await conn.fetch("select headers::text || convert_from(body, 'UTF8') as told from outbox")
        return "\n".join(row["told"] for row in rows)

    async def run(self, run: str = RUN) -> Mapping[str, Any]:
        async with self.ledger.connection() as conn:
            row = await conn.fetchrow("select * from status_run where run = $1", run)
        assert row is not None
        return dict(row)

    async def fetch(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        async with self.ledger.connection() as conn:
            return [dict(row) for row in await conn.fetch(statement, *values)]

    def key(self, sample: str, project: str = "COHORT1") -> str:
        return self.watch.identity.sample(project=project, sample=sample)


def ended_well(outcome: Outcome) -> Done:
    assert isinstance(outcome, Done), outcome
    return outcome


def refusal(outcome: Outcome) -> Failed:
    assert isinstance(outcome, Failed), outcome
    return outcome
