"""The folder of secrets: a file for each account and server, made once and never overwritten."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from chassis.errors import reject
from chassis.secret import secret_in
from deploy.access.model import ACCOUNTS, LEDGER_ACCOUNTS, Account

POSTGRES, KAFKA, STORE = "postgres", "kafka", "store"
ADMINS = (f"{POSTGRES}-admin", f"{STORE}-admin")
"""Kafka's administrator comes over the broker's own loopback and has no password."""
SITE = ("site-secret", "page-token")
BYTES = 32


def names() -> tuple[str, ...]:
    """Every file that a site on servers of its own needs."""
    return (
        *ADMINS,
        *(account.secret(POSTGRES) for account in LEDGER_ACCOUNTS),
        *(account.secret(server) for server in (KAFKA, STORE) for account in ACCOUNTS),
        *SITE,
    )


def make(folder: Path) -> tuple[str, ...]:
    """Make what is missing. Returns the names made, never what stands in them.

    The folder is for its owner's eyes alone. The files in it are readable by all, because a container reads the one
    that is mounted into it as another user.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return tuple(name for name in names() if _made(folder / name))


def read(folder: Path, server: str, accounts: Iterable[Account]) -> Mapping[str, str]:
    """Account name -> password. Raises Rejected SECRET_UNREADABLE, SECRET_UNUSABLE."""
    return {account.name: _usable(folder / account.secret(server)) for account in accounts}


def _usable(path: Path) -> str:
    found = secret_in(path, where="--secrets")
    if not found.isascii() or not found.isprintable():
        raise reject(
            code="SECRET_UNUSABLE",
            message=f"{path.name} holds other characters than those of ASCII",
            where="--secrets",
            rule="servers prepare other characters each in its own way, so a password keeps to printable ASCII",
            fix=f"remove the file and run `cohortstream access secrets {path.parent}`, which makes another one",
        )
    return found


def _made(path: Path) -> bool:
    if path.exists():
        return False
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(secrets.token_hex(BYTES) + "\n", encoding="ascii")
    aside.chmod(0o444)
    try:
        os.link(aside, path)  # unlike a rename it never replaces what another process has just made
    except FileExistsError:
        return False
    finally:
        aside.unlink()
    return True
