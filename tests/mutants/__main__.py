"""`make mutants`: take one guard out of a copy of the code, run the tests that should notice, and say which did.

A guard that no test misses is either superfluous or unproved: the command then ends with 1.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutants.protocol import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("contracts", "chassis", "services", "console", "deploy", "tests", "pyproject.toml")
SECONDS = 1200
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


def noticed(mutant: Mutant, folder: Path) -> list[str]:
    """The tests that fail on the code without the guard. Raises ValueError when the guard is not where it was."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    path = folder / mutant.file
    code = path.read_text(encoding="utf-8")
    if code.count(mutant.before) != 1:
        raise ValueError(f"{mutant.name}: the guard stands {code.count(mutant.before)} times in {mutant.file}")
    path.write_text(code.replace(mutant.before, mutant.after), encoding="utf-8")
    there = [test for test in mutant.tests if (folder / test.partition("::")[0]).exists()]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--timeout", "60", "-p", "no:cacheprovider", *there],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return sorted(set(_FAILED.findall(ended.stdout)))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only mutants whose name holds one of these words")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found: dict[str, list[str]] = {}
    for mutant in MUTANTS:
        if asked.names and not any(word in mutant.name for word in asked.names):
            continue
        with tempfile.TemporaryDirectory(prefix="cohortstream-mutant-") as folder:
            found[mutant.name] = noticed(mutant, Path(folder))
        if not asked.json:
            print(f"{mutant.name}: {len(found[mutant.name])} tests fail", flush=True)
            for test in found[mutant.name]:
                print(f"  {test}", flush=True)
    if asked.json:
        print(json.dumps(found, indent=2))
    return 0 if all(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
