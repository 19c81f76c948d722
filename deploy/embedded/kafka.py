"""Apache Kafka as one KRaft node (broker and controller in one JVM), from the pinned jars, small and quick to start."""

from __future__ import annotations

import base64
import logging
import subprocess
import uuid
from pathlib import Path

from chassis.errors import ToolFailed
from chassis.tools.jars import classpath
from chassis.tools.java import startup_flags
from deploy.embedded.process import LOOPBACK, HeldPort, Launch, ServerProcess, ask, plain_environment

# relative to the folder that it runs in: Kafka takes a comma in a path for the start of the next one
PROPERTIES, RECORDS = "server.properties", "records"
HEAP_MB = 256
FORMAT_TIMEOUT_S = 60
READY_S = 90  # after a kill the old registration has to lapse first
ASK_TIMEOUT_MS = 3000

# A single node does without replicas, many partitions of the internal topics, many threads. The session timeout is
# short because a restarted broker waits until the registration of its killed predecessor has lapsed.
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "CLIENT",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "delete.topic.enable": "true",
    "default.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "log.segment.bytes": "16777216",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "num.replica.fetchers": "1",
    "background.threads": "2",
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "300",
}


class KafkaBroker:
    """The broker of one state folder. Its ports stay the same through `kill`, `stop` and `start`."""

    def __init__(
        self,
        *,
        folder: Path,
        log: Path,
        java: Path,
        jars: tuple[Path, ...],
        client: HeldPort,
        controller: HeldPort,
        hold: int,
    ) -> None:
        self.folder = folder
        self.client = client
        self._java = (str(java), *startup_flags(), f"-Xmx{HEAP_MB}m", "-XX:+ExitOnOutOfMemoryError", "-Xss512k")
        self._java += ("-cp", classpath(jars))
        self._controller = controller
        self._hold = hold
        logged = tuple(f"-Dorg.slf4j.simpleLogger.{name}={value}" for name, value in _LOGGING.items())
        self.process = ServerProcess(
            launch=Launch(
                name="kafka",
                argv=(*self._java[:-2], *logged, *self._java[-2:], "kafka.Kafka", PROPERTIES),
                log=log,
                folder=folder,
                environment=plain_environment(),
                grace_s=15.0,
                hold=hold,
            )
        )

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.client.number}"

    def start(self) -> None:
        """Format the folder when it is new, run the broker, and return when it answers. Raises ToolFailed."""
        (self.folder / PROPERTIES).write_text(self._render(), encoding="ascii")
        if not (self.folder / RECORDS / "meta.properties").exists():
            self._format()
        self.process.start_and_wait(self._answers, within_s=READY_S)

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def restart(self) -> None:
        """Stop kindly and start on the same port."""
        self.stop()
        self.start()

    def _render(self) -> str:
        client = f"CLIENT://{LOOPBACK}:{self.client.number}"
        settings = _SETTINGS | {
            "log.dirs": RECORDS,
            "listeners": f"{client},CONTROLLER://{LOOPBACK}:{self._controller.number}",
            "advertised.listeners": client,
            # static voters: the node finds its own controller again even when the port had to change
            "controller.quorum.voters": f"1@{LOOPBACK}:{self._controller.number}",
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _format(self) -> None:
        # a cluster id that starts with "-" would be taken for an option
        identity = "-"
        while identity.startswith("-"):
            identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        command = [*self._java, "kafka.tools.StorageTool", "format", "-t", identity, "-c", PROPERTIES]
        said = subprocess.run(
            command,
            cwd=self.folder,
            env=plain_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FORMAT_TIMEOUT_S,
            pass_fds=(self._hold,),
            check=False,
        )
        if said.returncode != 0:
            raise ToolFailed(
                tool="kafka storage format", status=said.returncode, said=(said.stderr or said.stdout)[-2000:]
            )

    def _answers(self) -> bool:
        return self.client.listening() and ask(lambda: _has_metadata(self.bootstrap))


_LOGGING = {
    "defaultLogLevel": "warn",
    "showDateTime": "true",
    "dateTimeFormat": "yyyy-MM-dd'T'HH:mm:ss.SSS",
    "log.kafka.server.KafkaRaftServer": "info",
    "log.kafka.network": "info",
    "log.kafka.server.BrokerServer": "info",
    # it warns of every setting that differs from a default nobody here wants
    "log.org.apache.kafka.common.utils.AppInfoParser": "error",
}


async def _has_metadata(bootstrap: str) -> bool:
    """Does the broker list itself as alive? Just after listening it may still be fenced."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    chatter = logging.getLogger("aiokafka")
    level = chatter.level
    chatter.setLevel(logging.CRITICAL)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=ASK_TIMEOUT_MS, client_id="stack")
    try:
        await admin.start()
        return bool((await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        await admin.close()
        chatter.setLevel(level)
