"""A secret that lies in a file of its own, as orchestrators mount it."""

from __future__ import annotations

from pathlib import Path

from chassis.errors import Rejected, excerpt, reject


def secret_in(path: Path, *, where: str) -> str:
    """The one line that a secret's file holds. Raises Rejected SECRET_UNREADABLE, which never repeats it."""
    try:
        found = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _no_secret(path, where, f"cannot be read ({type(error).__name__})") from None
    if not found or len(found.splitlines()) > 1:
        raise _no_secret(path, where, "is empty or has more than one line")
    return found


def _no_secret(path: Path, where: str, what: str) -> Rejected:
    return reject(
        code="SECRET_UNREADABLE",
        message=f"the file {excerpt(str(path), 200)} {what}",
        where=where,
        rule="a secret's file holds the secret on one line, and this process may read it",
        fix="write the file again, and let this account read it",
    )
