"""The worker's child process: warm, of one memory class, in a process group of its own that dies with the worker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.settings import Settings
from chassis.worker.wire import LINE_LIMIT, line, settings_out

SHIM = Path(__file__).with_name("shim.py")
GOODBYE_SECONDS = 5.0
START_SECONDS = 120.0
"""For imports, the store's first answer and a loaded host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildGone(Exception):
    """The child ended without saying how its task ended. `status` as a shell counts it: 137 is SIGKILL."""

    status: int | str

    def __str__(self) -> str:
        return f"the child ended with status {self.status}"


class ChildHost:
    """One child. It runs task after task, so that an interpreter and a JVM are started once; any trouble ends it."""

    def __init__(self, *, builder: str, settings: Settings, memory_mb: int) -> None:
        self._builder = builder
        self._settings = settings
        self.memory_mb = memory_mb
        self.tasks = 0
        self._process: asyncio.subprocess.Process | None = None
        self._pipe: int | None = None
        self._ready = False

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def group(self) -> int | None:
        """The id of the child's process group."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        read, write = os.pipe()
        os.set_inheritable(read, True)
        argv = [sys.executable, "-I", "-S", str(SHIM), str(read)]
        argv += [sys.executable, "-m", "chassis.worker.child", self._builder, str(self.memory_mb)]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=(read,),
                start_new_session=True,
                limit=LINE_LIMIT,
                env=_environment(self._settings),
            )
        except BaseException:
            os.close(write)
            raise
        finally:
            os.close(read)
        self._pipe = write
        await self.tell({"settings": settings_out(self._settings)})

    async def ready(self) -> None:
        """Start if need be, and wait until the child takes tasks. Raises ChildGone when it will not."""
        if self._ready:
            return
        await self.start()
        try:
            async with asyncio.timeout(START_SECONDS):
                await self.hear()
        except TimeoutError:
            raise ChildGone(status="slow to start") from None
        self._ready = True

    async def tell(self, message: Mapping[str, Any]) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(line(dict(message)))
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            raise ChildGone(status=await self._process.wait()) from None

    async def hear(self) -> dict[str, Any]:
        """The child's next message. Raises ChildGone when there will be none."""
        assert self._process is not None and self._process.stdout is not None
        said = await self._process.stdout.readline()
        if not said.endswith(b"\n"):
            raise ChildGone(status=await self._process.wait())
        message = json.loads(said)
        assert isinstance(message, dict)
        return message

    async def kill(self) -> None:
        """End the child and everything that it started, at once."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        self._close()

    async def stop(self) -> None:
        """Let an idle child end by itself (it flushes its telemetry), then make sure."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            pass
        await self.kill()

    def _close(self) -> None:
        if self._pipe is not None:
            os.close(self._pipe)
        self._pipe = None
        self._process = None
        self._ready = False


def _environment(settings: Settings) -> dict[str, str]:
    """The child's environment: without our settings (they come through the pipe, secrets and all)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COHORTSTREAM_")}
    for name in ("COHORTSTREAM_JAVA", "COHORTSTREAM_CACHE", "COHORTSTREAM_FAULT"):
        if name in os.environ:
            kept[name] = os.environ[name]
    kept.setdefault("OMP_NUM_THREADS", str(settings.worker.threads))
    return kept
