"""Installs into an image what a role needs, out of the project's one lock and by the lock's hashes.

`packages.py EXTRA...` asks uv which packages the extras mean, and installs exactly their lines of requirements.lock;
`packages.py --build` installs what builds the project's own wheel. Runs inside the image's builder stage.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

LOCK = Path("requirements.lock")
UV = Path(sys.executable).with_name("uv")
INTO = "/opt/cohortstream/bin/python"
BUILD = "hatchling"
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:==| @|$)")


def blocks(lock: str) -> Iterator[tuple[str, str]]:
    """Each requirement of a lock: its name and all its lines, the hashes among them."""
    block: list[str] = []
    for line in lock.splitlines():
        if line and not line[0].isspace() and not line.startswith("#"):
            if block:
                yield name_of(block[0]), "\n".join(block)
            block = [line]
        elif block and line.strip():
            block.append(line)
    if block:
        yield name_of(block[0]), "\n".join(block)


def name_of(requirement: str) -> str:
    found = _NAME.match(requirement)
    if found is None:
        sys.exit(f"{LOCK}: {requirement!r} names no package")
    return re.sub(r"[-_.]+", "-", found[1]).lower()


def subset(lock: str, names: set[str]) -> str:
    """The lock's blocks of these packages. Ends with a message when one is not in the lock."""
    known = {name for name, _ in blocks(lock)}
    if missing := sorted(names - known):
        sys.exit(f"{LOCK} lacks {', '.join(missing)}: run `make lock`")
    return "\n".join(block for name, block in blocks(lock) if name in names) + "\n"


def names_for(extras: list[str]) -> set[str]:
    asked = [str(UV), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "-c", str(LOCK), "--python", INTO]
    if extras == ["--build"]:
        found = subprocess.run([*asked, "-"], input=BUILD, capture_output=True, text=True, check=False)
    else:
        chosen = [word for extra in extras for word in ("--extra", extra)]
        found = subprocess.run([*asked, *chosen, "pyproject.toml"], capture_output=True, text=True, check=False)
    if found.returncode:
        sys.exit(found.stderr)
    return {name for name, _ in blocks(found.stdout)}


def main() -> None:
    wanted = subset(LOCK.read_text(encoding="utf-8"), names_for(sys.argv[1:]))
    with tempfile.TemporaryDirectory() as folder:
        chosen = Path(folder) / "requirements.txt"
        chosen.write_text(wanted, encoding="utf-8")
        # every line has its hash, so that nothing but what the lock names can come in
        install = [str(UV), "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--python", INTO]
        sys.exit(subprocess.run([*install, "-r", str(chosen)], check=False).returncode)


if __name__ == "__main__":
    main()
