"""An S3 server on loopback that models Glacier (moto, in a process of its own). It forgets everything when it stops."""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path

from deploy.embedded.process import LOOPBACK, HeldPort, Launch, ServerProcess, plain_environment

READY_S = 60
ASK_TIMEOUT_S = 3.0


class ObjectStore:
    """One versioned bucket. Anyone on this machine can connect, so only requests that name the access key are heard."""

    def __init__(
        self,
        *,
        folder: Path,
        log: Path,
        port: HeldPort,
        access_key: str,
        secret_key: str,
        bucket: str,
        restore_s: float,
        hold: int,
    ) -> None:
        self.port = port
        self.bucket = bucket
        self._access_key = access_key
        program = Path(__file__).with_name("moto_server.py")
        self.process = ServerProcess(
            launch=Launch(
                name="object store",
                # -P: the program's own folder must not be where modules are looked for, it holds a kafka.py
                argv=(sys.executable, "-P", str(program)),
                log=log,
                folder=folder,
                environment=plain_environment(
                    PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry),
                    # by environment: a command line can be read by everyone
                    OBJECT_STORE_PORT=str(port.number),
                    OBJECT_STORE_BUCKET=bucket,
                    OBJECT_STORE_ACCESS_KEY=access_key,
                    OBJECT_STORE_SECRET_KEY=secret_key,
                    OBJECT_STORE_RESTORE_S=str(restore_s),
                ),
                grace_s=3.0,
                hold=hold,
            )
        )

    @property
    def endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.port.number}"

    def start(self) -> None:
        """Run it; returns when it lists its bucket. Raises ToolFailed."""
        self.process.start_and_wait(lambda: self.port.listening() and self._lists_bucket(), within_s=READY_S)

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def restart(self) -> None:
        """Start anew on the same port, empty."""
        self.stop()
        self.start()

    def _lists_bucket(self) -> bool:
        caller = http.client.HTTPConnection(LOOPBACK, self.port.number, timeout=ASK_TIMEOUT_S)
        try:
            named = f"AWS4-HMAC-SHA256 Credential={self._access_key}/20000101/us-east-1/s3/aws4_request"
            caller.request("GET", f"/{self.bucket}?list-type=2", headers={"Authorization": named})
            return caller.getresponse().status == http.client.OK
        except OSError:
            return False
        finally:
            caller.close()
