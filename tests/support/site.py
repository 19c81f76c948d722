"""A site for tests: settings over the session's stack, processes of services, and what the ledger and Kafka say."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from chassis.ledger.ledger import Ledger
from chassis.settings import Settings, load
from contracts.envelope import encode
from contracts.events import Event
from deploy.embedded.stack import Endpoints

ROOT = Path(__file__).resolve().parents[2]
WRONG_CLOCK = Path(__file__).parent / "wrong_clock"


def sample_key() -> str:
    return f"smp_{secrets.token_hex(12)}"


@dataclass
class Process:
    """A service's process. `kill`, `freeze` and `thaw` act on it alone, not on its children."""

    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, *, seconds: float = 30.0) -> int:
        async with asyncio.timeout(seconds):
            return await self.process.wait()

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                await self.ended(seconds=15)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


@dataclass
class Site:
    """One ledger database, one state folder, one store, one name space of topics is the whole broker's."""

    folder: Path
    endpoints: Endpoints
    database: str
    lease_seconds: float = 4.0
    drain_seconds: float = 5.0
    otlp_endpoint: str | None = None
    ledger_dsn: str | None = None
    """Another way to the database, as through a proxy."""
    store: dict[str, str | float] = field(default_factory=dict)
    """Settings of the section; without any, a folder."""
    worker: dict[str, str | float] = field(default_factory=dict)
    """More settings of the section."""
    processes: list[Process] = field(default_factory=list)

    @property
    def config(self) -> Path:
        path = self.folder / "cohortstream.toml"
        if not path.exists():
            store = self.store or {"base": f"file://{self.folder}/store"}
            worker = {
                "lease_seconds": self.lease_seconds,
                "poll_seconds": 0.2,
                "drain_seconds": self.drain_seconds,
            } | self.worker
            path.write_text(
                f'state_dir = "{self.folder}"\n'
                f'[kafka]\nbootstrap = "{self.endpoints.kafka_bootstrap}"\n'
                f'[ledger]\ndsn = "{self.ledger_dsn or self.database}"\n'
                f"[store]\n{_lines(store)}[worker]\n{_lines(worker)}"
                + (f'[telemetry]\notlp_endpoint = "{self.otlp_endpoint}"\n' if self.otlp_endpoint else ""),
                encoding="utf-8",
            )
        return path

    @property
    def settings(self) -> Settings:
        return load(self.config, environ={})

    def beside(self, host: str, **changes: Any) -> Site:
        """Another host of the same site: a state folder of its own, the same store. It ends with this one."""
        folder = self.folder / host
        folder.mkdir()
        store = self.store or {"base": f"file://{self.folder}/store"}
        return replace(self, **({"folder": folder, "store": store, "processes": self.processes} | changes))

    async def start(
        self,
        role: str,
        builder: str,
        *,
        fault: str | None = None,
        slots: int = 1,
        host: str | None = None,
        clock: float = 0.0,
    ) -> Process:
        """Start `consume` or `work`; `fault` is `point=SIGNAL`, struck once. `clock`: by how many seconds the clock of
        the process and of its children is wrong."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COHORTSTREAM_")}
        if "COHORTSTREAM_CACHE" in os.environ:
            environment["COHORTSTREAM_CACHE"] = os.environ["COHORTSTREAM_CACHE"]
        if fault is not None:
            point, number = fault.split("=")
            armed = self.folder / f"faults-{len(self.processes)}"
            armed.mkdir()
            (armed / point).write_text(number, encoding="ascii")
            environment["COHORTSTREAM_FAULT"] = str(armed)
        if clock:
            environment |= {"PYTHONPATH": str(WRONG_CLOCK), "WRONG_CLOCK_SECONDS": str(clock)}
        log = self.folder / f"{role}-{len(self.processes)}.log"
        with log.open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tests.support.run", role, builder, str(self.config), str(slots), *([host] if host else [])),
                cwd=ROOT,
                stdout=out,
                stderr=out,
                env=environment,
            )
        started = Process(process=process, log=log)
        self.processes.append(started)
        return started

    async def stop(self) -> None:
        await asyncio.gather(*(process.stop() for process in self.processes))

    async def publish(self, *events: Event, key: bytes | None = None, traceparent: str | None = None) -> None:
        """Publish as the console does, straight to Kafka."""
        async with producer(self.endpoints.kafka_bootstrap) as out:
            for event in events:
                message = encode(event, source="/cohortstream/test", time=datetime.now(UTC), traceparent=traceparent)
                await out.send_and_wait(
                    message.topic, message.body, key=key or message.key, headers=list(message.headers)
                )

    async def publish_raw(self, topic: str, body: bytes, headers: list[tuple[str, bytes]]) -> None:
        async with producer(self.endpoints.kafka_bootstrap) as out:
            await out.send_and_wait(topic, body, headers=headers)


@asynccontextmanager
async def producer(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    out = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    try:
        await out.start()
        yield out
    finally:
        await out.stop()


async def records_of(bootstrap: str, topic: str, *, subject: str) -> list[dict[str, str]]:
    """Headers of every record of a topic about a subject, from the beginning."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        # asking for the end of one partition makes the consumer learn of all
        first = TopicPartition(topic, 0)
        consumer.assign([first])
        await consumer.end_offsets([first])
        partitions = [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic) or (0,))]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[dict[str, str]] = []
        while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for record in batch:
                    headers = {name: value.decode(errors="replace") for name, value in record.headers}
                    if headers.get("ce_subject") == subject:
                        found.append(headers)
        return found
    finally:
        await consumer.stop()


async def state_of(ledger: Ledger, key: str) -> str | None:
    async with ledger.connection() as conn:
        state = await conn.fetchval("select state from task where key = $1", key)
    return None if state is None else str(state)


async def task_row(ledger: Ledger, key: str) -> Any:
    async with ledger.connection() as conn:
        return await conn.fetchrow("select * from task where key = $1", key)


def _lines(section: dict[str, str | float]) -> str:
    """A section's settings as TOML."""
    return "".join(f"{name} = {value!r}\n" for name, value in section.items())
