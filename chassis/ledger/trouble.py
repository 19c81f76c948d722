"""Which failures of the ledger pass by themselves, as against a bug in what was asked of it."""

from __future__ import annotations

import asyncpg
from asyncpg import exceptions

TROUBLE = (
    asyncpg.PostgresConnectionError,
    exceptions.OperatorInterventionError,  # shut down, starting up, cancelled
    exceptions.InsufficientResourcesError,  # disk full, too many connections
    exceptions.TransactionRollbackError,  # deadlock, serialisation
    exceptions.IdleInTransactionSessionTimeoutError,
    exceptions.ReadOnlySQLTransactionError,  # a standby that is being promoted
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
)
_BUGS = (
    ValueError,  # a wrong DSN is both an InterfaceError and this
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)


def passes(error: BaseException) -> bool:
    """True when the same transaction may succeed later. Whether this one's COMMIT took effect is then unknown."""
    return isinstance(error, TROUBLE) and not isinstance(error, _BUGS)
