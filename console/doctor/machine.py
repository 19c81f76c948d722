"""What the machine brings: Python, Java, jars, native libraries, room on disk and in memory."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from chassis.errors import Rejected, ToolFailed
from console.doctor.check import Check, bad, note, well
from console.output import size

if TYPE_CHECKING:
    from chassis.settings import Settings

OLDEST_PYTHON = (3, 11)
LITTLE_SPACE, TOO_LITTLE_SPACE = 20e9, 2e9
"""Bytes: a genome at 30x takes more than the first while it is worked on; Kafka and Postgres stop within the second."""


def python() -> Check:
    said = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < OLDEST_PYTHON:
        return bad("Python", said, "install Python 3.11 or newer")
    return well("Python", said)


def java() -> Check:
    from chassis.tools.java import find_java, java_version

    try:
        path = find_java()
        return well("Java", f"{'.'.join(map(str, java_version(path)))} ({path})")
    except Rejected as rejected:
        return bad("Java", rejected.rejection.message, rejected.rejection.fix)
    except ToolFailed as failed:
        return bad("Java", str(failed), "unset COHORTSTREAM_JAVA to use the runtime that is installed with the package")


def jars() -> Check:
    from chassis.tools.gatk import PINS
    from chassis.tools.jars import default_cache, load, missing
    from deploy.embedded.stack import KAFKA_PINS

    cache = default_cache()
    absent = [jar for pins in (KAFKA_PINS, PINS) for jar in missing(load(pins), cache=cache)]
    if not absent:
        return well("jars of Kafka and GATK", f"all in {cache}, sums verified")
    return note(
        "jars of Kafka and GATK",
        f"{len(absent)} to fetch ({size(sum(jar.size for jar in absent))}) into {cache}",
        "they are fetched at first use; a machine without a network needs a filled COHORTSTREAM_CACHE",
    )


def native_libraries() -> Check:
    """GATK's fast kernels: without libgomp it falls back to plain Java, three to five times slower."""
    absent = [name for name in ("libgomp.so.1", "libz.so.1") if not _loads(name)]
    if not absent or sys.platform != "linux":
        return well("native libraries", "libgomp and zlib are there")
    said = f"{', '.join(absent)} not found: GATK runs slower"
    return note("native libraries", said, "install the packages libgomp1 and zlib1g")


def space(settings: Settings) -> Check:
    places = {"state folder": settings.state_dir}
    if settings.store.base.startswith("file://"):
        places["store"] = Path(unquote(settings.store.base.removeprefix("file://")))
    if settings.worker.scratch is not None:
        places["scratch"] = settings.worker.scratch
    free = {name: shutil.disk_usage(_existing(path)).free for name, path in places.items()}
    said = ", ".join(f"{size(left)} free for the {name}" for name, left in free.items())
    if min(free.values()) < TOO_LITTLE_SPACE:
        return bad("disk space", said, "free some, or name folders on a larger disk in the configuration")
    if min(free.values()) < LITTLE_SPACE:
        return note("disk space", said, "enough for small genomes only")
    return well("disk space", said)


def memory(settings: Settings) -> Check:
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    slot = settings.worker.memory_mb * 1e6
    said = f"{size(there)}, {os.cpu_count()} cores; a worker's slot may use {size(slot)}"
    if there < slot:
        return note("memory", said, "set [worker] memory_mb below what the machine has")
    return well("memory", said)


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return path if path.exists() or path == path.parent else _existing(path.parent)


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
