"""How a command ends: exit codes that scripts can use, and one clear paragraph for an error."""

from __future__ import annotations

import sys
from enum import IntEnum


class Exit(IntEnum):
    ok = 0
    failed = 1
    usage = 2
    refused = 3
    unreachable = 4
    interrupted = 130


MEANINGS = {
    Exit.ok: "done",
    Exit.failed: "it was tried and failed, or what was waited for failed",
    Exit.usage: "the command line is wrong",
    Exit.refused: "an input is refused: the configuration, a name, a file",
    Exit.unreachable: "Kafka, the ledger or the store cannot be reached",
    Exit.interrupted: "interrupted with Ctrl-C",
}


class Unreachable(Exception):
    """A server does not answer. `what` is its name for people, `where` its address, `fix` what to try."""

    def __init__(self, *, what: str, where: str, said: str, fix: str) -> None:
        super().__init__(f"{what} at {where} cannot be reached: {said}. To mend it: {fix}.")


class WorkFailed(Exception):
    """The command itself went well; what it waited for did not."""


def code_and_words(error: Exception) -> tuple[Exit, str]:
    """What to exit with and what to say. An error of no known kind is named as what it is: a bug of ours."""
    from chassis.errors import Rejected, ToolFailed
    from chassis.storage.store import Archived, ObjectMissing, StoreUnavailable

    match error:
        case Rejected():
            return Exit.refused, str(error.rejection).replace("?.", "?")
        case Unreachable():
            return Exit.unreachable, str(error)
        case StoreUnavailable():
            return Exit.unreachable, f"{error}. To mend it: run `cohortstream doctor`."
        case WorkFailed() | ToolFailed():
            return Exit.failed, str(error)
        case Archived():
            return Exit.failed, f"{error}. To mend it: `cohortstream archive restore {error.uri} --reason ...`."
        case ObjectMissing():
            return Exit.failed, f"{error}."
        case ExceptionGroup() if len(error.exceptions) == 1:
            # of a process that runs several things at once, the one that ended it
            return code_and_words(error.exceptions[0])
        case _:
            return (
                Exit.failed,
                f"unexpected {type(error).__name__}: {error}. This is a fault of the program, not of your input; "
                "run the same command with --debug for the traceback.",
            )


def complain(words: str) -> None:
    """One paragraph on stderr, `Error` before it."""
    from rich.console import Console
    from rich.text import Text

    Console(file=sys.stderr, highlight=False).print(Text.assemble(("Error  ", "bold red"), words), soft_wrap=False)
