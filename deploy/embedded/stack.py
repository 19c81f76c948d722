"""Starts the servers side by side, keeps their folder to one owner, and says where they answer."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, TypeVar

from chassis.tools import jars
from chassis.tools.java import find_java, java_version
from deploy.embedded.kafka import KafkaBroker
from deploy.embedded.objectstore import ObjectStore
from deploy.embedded.postgres import PostgresServer
from deploy.embedded.process import HeldPort
from deploy.embedded.statelock import StateLock, write_private

BUCKET = "cohortstream"
KAFKA_PINS = Path(__file__).parent / "pins" / "kafka-4.3.1.pins"
Server = TypeVar("Server")
PORTS = ("kafka", "controller", "postgres", "s3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the servers answer. The S3 fields are empty when the stack runs without an object store; its bucket is
    versioned, its addressing is by path, its region us-east-1."""

    kafka_bootstrap: str
    postgres_dsn: str
    s3_endpoint: str | None
    s3_access_key: str
    s3_secret_key: str
    bucket: str

    def as_dict(self) -> dict[str, str | None]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far one server is; the byte counts are those of a fetch, zero otherwise."""

    server: Literal["kafka", "postgres", "object store"]
    state: Literal["fetching", "starting", "ready"]
    done_bytes: int = 0
    total_bytes: int = 0


Progress = Callable[[Step], None]
"""Called from several threads."""


class EmbeddedStack:
    """Kafka, Postgres and the object store of one state folder.

    Calls block; from a coroutine use `asyncio.to_thread`. The servers end with this process, however it ends.
    `durable=False` skips Postgres' waits for the disk (tests, demos); `restore_s` is how long a Glacier restore pends.
    """

    def __init__(
        self, *, cache: Path | None = None, java: str | None = None, durable: bool = True, restore_s: float = 2.0
    ) -> None:
        self._cache, self._java, self._durable, self._restore_s = cache, java, durable, restore_s
        self._lock: StateLock | None = None
        self._ports: dict[str, HeldPort] = {}
        self._state: Path | None = None
        self._kafka: KafkaBroker | None = None
        self._postgres: PostgresServer | None = None
        self._object_store: ObjectStore | None = None
        self.endpoints: Endpoints | None = None

    @property
    def kafka(self) -> KafkaBroker:
        """The broker alone: `stop`, `kill`, `start`, `restart`, and `process.suspend` / `process.resume`."""
        return _started(self._kafka)

    @property
    def postgres(self) -> PostgresServer:
        return _started(self._postgres)

    @property
    def object_store(self) -> ObjectStore:
        return _started(self._object_store)

    def start(self, state: Path, *, object_store: bool = True, progress: Progress | None = None) -> Endpoints:
        """Run the servers on this folder (made when absent) and return when all of them answer.

        Raises Rejected STATE_IN_USE when another stack runs there, ToolFailed with the end of the log when a server
        does not start, and what `jars.fetch` and `find_java` raise. After an error nothing runs.
        """
        if self._lock is not None:
            raise RuntimeError("this stack is running already")
        state = state.expanduser().absolute()
        self._lock = StateLock.take(state)
        self._state = state
        try:
            self.endpoints = self._start(state, with_store=object_store, tell=progress or (lambda _step: None))
        except BaseException:
            self.stop()
            raise
        return self.endpoints

    def stop(self) -> None:
        """End the servers kindly, all at once, and leave the folder to whoever comes next. May be called twice."""
        running = [server for server in (self._kafka, self._postgres, self._object_store) if server is not None]
        if running:
            with ThreadPoolExecutor(len(running), thread_name_prefix="stack-stop") as pool:
                for ended in [pool.submit(server.stop) for server in running]:
                    ended.result()
        if self._state is not None:
            (self._state / "endpoints.json").unlink(missing_ok=True)
        for port in self._ports.values():
            port.release()
        if self._lock is not None:
            self._lock.release()
        self._kafka, self._postgres, self._object_store = None, None, None
        self._ports, self._lock, self._state, self.endpoints = {}, None, None, None

    @contextlib.contextmanager
    def running(
        self, state: Path, *, object_store: bool = True, progress: Progress | None = None
    ) -> Iterator[Endpoints]:
        """`start` and, whatever happens, `stop`."""
        try:
            yield self.start(state, object_store=object_store, progress=progress)
        finally:
            self.stop()

    def ended(self) -> tuple[str, ...]:
        """Servers that should run and do not: they ended by themselves, or a test ended them."""
        servers = (self._kafka, self._postgres, self._object_store)
        return tuple(s.process.launch.name for s in servers if s is not None and not s.process.running)

    def _start(self, state: Path, *, with_store: bool, tell: Progress) -> Endpoints:
        assert self._lock is not None
        hold = self._lock.descriptor
        for name in ("logs", "kafka", "postgres", "object-store"):
            (state / name).mkdir(mode=0o700, exist_ok=True)
        self._hold_ports(state)
        keys = _credentials(state)
        self._postgres = PostgresServer(
            folder=state / "postgres",
            log=state / "logs" / "postgres.log",
            port=self._ports["postgres"],
            password=keys["postgres_password"],
            durable=self._durable,
            hold=hold,
        )
        if with_store:
            self._object_store = ObjectStore(
                folder=state / "object-store",
                log=state / "logs" / "object-store.log",
                port=self._ports["s3"],
                access_key=keys["s3_access_key"],
                secret_key=keys["s3_secret_key"],
                bucket=BUCKET,
                restore_s=self._restore_s,
                hold=hold,
            )
        with ThreadPoolExecutor(3, thread_name_prefix="stack-start") as pool:
            # Kafka first: it takes longest
            starting = [pool.submit(self._start_kafka, state, hold, tell)]
            starting.append(pool.submit(self._start_postgres, tell))
            if with_store:
                starting.append(pool.submit(self._start_object_store, tell))
            for one in starting:
                one.result()
        endpoints = Endpoints(
            kafka_bootstrap=self.kafka.bootstrap,
            postgres_dsn=self.postgres.dsn,
            s3_endpoint=self.object_store.endpoint if with_store else None,
            s3_access_key=keys["s3_access_key"] if with_store else "",
            s3_secret_key=keys["s3_secret_key"] if with_store else "",
            bucket=BUCKET if with_store else "",
        )
        write_private(state / "endpoints.json", endpoints.as_dict())
        return endpoints

    def _start_kafka(self, state: Path, hold: int, tell: Progress) -> None:
        java = find_java(self._java)
        java_version(java)
        pinned = jars.load(KAFKA_PINS)
        said: float = 0.0

        def fetching(done: int, total: int) -> None:
            nonlocal said
            if time.monotonic() - said > 0.05 and done < total:
                said = time.monotonic()
                tell(Step(server="kafka", state="fetching", done_bytes=done, total_bytes=total))

        paths = jars.fetch(pinned, cache=self._cache, progress=fetching)
        tell(Step(server="kafka", state="starting"))
        self._kafka = KafkaBroker(
            folder=state / "kafka",
            log=state / "logs" / "kafka.log",
            java=java,
            jars=paths,
            client=self._ports["kafka"],
            controller=self._ports["controller"],
            hold=hold,
        )
        self._kafka.start()
        tell(Step(server="kafka", state="ready"))

    def _start_postgres(self, tell: Progress) -> None:
        tell(Step(server="postgres", state="starting"))
        self.postgres.start()
        tell(Step(server="postgres", state="ready"))

    def _start_object_store(self, tell: Progress) -> None:
        tell(Step(server="object store", state="starting"))
        self.object_store.start()
        tell(Step(server="object store", state="ready"))

    def _hold_ports(self, state: Path) -> None:
        """The ports of the last run where they are still free, so that a client's configuration stays right."""
        earlier = _read(state / "ports.json")
        for name in PORTS:
            preferred = earlier.get(name)
            self._ports[name] = HeldPort(preferred=preferred if isinstance(preferred, int) else None)
        write_private(state / "ports.json", {name: port.number for name, port in self._ports.items()})


def read_endpoints(state: Path) -> Endpoints | None:
    """Where the stack that runs on this folder answers, for another process of the same user; None when none runs."""
    state = state.expanduser().absolute()
    if not StateLock.is_held(state):
        return None
    written = _read(state / "endpoints.json")
    if set(written) != {field.name for field in fields(Endpoints)}:
        return None
    text = {name: value for name, value in written.items() if isinstance(value, str)}
    return Endpoints(
        kafka_bootstrap=text["kafka_bootstrap"],
        postgres_dsn=text["postgres_dsn"],
        s3_endpoint=text.get("s3_endpoint"),
        s3_access_key=text["s3_access_key"],
        s3_secret_key=text["s3_secret_key"],
        bucket=text["bucket"],
    )


def _credentials(state: Path) -> dict[str, str]:
    """Made once for a folder, then kept: Postgres holds the password in its cluster."""
    path = state / "credentials.json"
    kept = {name: value for name, value in _read(path).items() if isinstance(value, str)}
    fresh = {
        "postgres_password": secrets.token_hex(16),
        # the length and letters of AWS' own, so that clients that check them are content
        "s3_access_key": "AKIA" + "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(16)),
        "s3_secret_key": secrets.token_hex(20),
    }
    if set(kept) != set(fresh):
        kept = fresh
        write_private(path, fresh)
    return kept


def _read(path: Path) -> Mapping[str, object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def _started(server: Server | None) -> Server:
    if server is None:
        raise RuntimeError("this server was not started")
    return server
