"""`python -m contracts.generate [--check | --release]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from contracts.compatibility import breaking_changes_since
from contracts.generate import asyncapi, pages, schemas


def main(argv: list[str] | None = None) -> int:
    """Write the generated files; `--check` only compares them, `--release` also freezes today's schemas.

    Returns 0, or 1 when a file is not up to date or the models break a released schema.
    """
    parser = argparse.ArgumentParser(prog="python -m contracts.generate", description=__doc__)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is not up to date")
    how.add_argument("--release", action="store_true", help="also keep today's schemas as the next release")
    chosen = parser.parse_args(argv)

    broken = breaking_changes_since(schemas.released(), schemas.current())
    for line in broken:
        sys.stderr.write(f"{line}\n")
    if broken:
        sys.stderr.write("Changes only add optional fields. Undo these, or give the event a new major version.\n")
    if chosen.check:
        stale = out_of_date(expected_files())
        for path, why in stale:
            sys.stderr.write(f"{path.relative_to(schemas.CONTRACTS.parent)}: {why}\n")
        if stale:
            sys.stderr.write("Run `make contracts` and commit what it writes.\n")
        return 1 if stale or broken else 0
    if chosen.release and broken:
        sys.stderr.write("Nothing was released.\n")
        return 1
    if chosen.release:
        release(max(schemas.released(), default=0) + 1)
    write(expected_files())
    return 1 if broken else 0


def expected_files() -> dict[Path, str]:
    """Path -> content of every generated file."""
    version = f"1.{max(schemas.released(), default=0)}.0"
    files = {schemas.SCHEMAS / f"{name}.json": schemas.render(schema) for name, schema in schemas.current().items()}
    files[schemas.CONTRACTS / "asyncapi.json"] = schemas.render(asyncapi.document(version=version))
    files[schemas.CONTRACTS.parent / "docs" / "events.md"] = pages.page()
    return files


def out_of_date(expected: dict[Path, str]) -> list[tuple[Path, str]]:
    """Files that differ from what the models give, are missing, or belong to no event."""
    stale = [
        (path, "differs from the models" if path.exists() else "is missing")
        for path, text in expected.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    return stale + [(path, "belongs to no event") for path in _strays(expected)]


def write(expected: dict[Path, str]) -> None:
    for path, text in expected.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in _strays(expected):
        path.unlink()


def release(number: int) -> None:
    """Keep today's schemas for ever: from now on every change is tested against them."""
    folder = schemas.RELEASED / str(number)
    folder.mkdir(parents=True)
    for name, schema in schemas.current().items():
        (folder / f"{name}.json").write_text(schemas.render(schema), encoding="utf-8")


def _strays(expected: dict[Path, str]) -> list[Path]:
    return [path for path in sorted(schemas.SCHEMAS.glob("*.json")) if path not in expected]


if __name__ == "__main__":
    sys.exit(main())
