"""The `cohortstream` command: global options, the groups of commands, and how errors are shown."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from console.invocation import Invocation

COMMANDS = (
    "console.demo.command",
    "console.commands.site",
    "console.commands.backup",
    "console.commands.reference",
    "console.commands.status",
    "console.commands.health",
    "console.commands.samples",
    "console.commands.trace",
    "console.commands.cost",
    "console.commands.cohorts",
    "console.commands.joint",
    "console.commands.steering",
    "console.commands.archive",
    "console.commands.services",
    "console.commands.page",
    "console.commands.access",
)
"""Modules with a `register(app)`, in the order of the help page. They import nothing heavy outside their functions."""

EPILOG = (
    "Exit codes: 0 done; 1 tried and failed; 2 wrong command line; 3 an input is refused (configuration, name, file); "
    "4 Kafka, the ledger or the store cannot be reached; 130 Ctrl-C."
)
ANYWHERE = ("--config", "--debug")
"""Global options that people write after the command too."""


class Commands(TyperGroup):
    """Shows an error as one paragraph and ends with its exit code; takes global options at any place."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, hoisted(args))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if hasattr(error, "show") or ctx.params.get("debug"):  # a usage error shows itself
                raise
            from console.exits import code_and_words, complain

            code, words = code_and_words(error)
            complain(" ".join([words, *getattr(error, "__notes__", ())]))
            raise typer.Exit(int(code)) from None


def hoisted(args: list[str]) -> list[str]:
    """The arguments with `--config FILE` and `--debug` first, wherever they stood before a `--`."""
    front: list[str] = []
    rest: list[str] = []
    left = list(args)
    while left:
        word = left.pop(0)
        if word == "--":
            rest += [word, *left]
            break
        if word == "--config" and left:
            front += [word, left.pop(0)]
        elif word == "--debug" or word.startswith("--config="):
            front.append(word)
        else:
            rest.append(word)
    return front + rest


def build() -> typer.Typer:
    app = typer.Typer(
        name="cohortstream",
        cls=Commands,
        help="From sequencer run folders to released, annotated cohort panels.",
        epilog=EPILOG,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def options(
        context: typer.Context,
        config: Annotated[
            Path | None,
            typer.Option(
                "--config",
                metavar="FILE",
                help="The configuration; else the file that COHORTSTREAM_CONFIG names, else ./cohortstream.toml.",
            ),
        ] = None,
        debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    ) -> None:
        context.obj = Invocation(config=config, debug=debug)

    for name in COMMANDS:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).register(app)
    return app


def main() -> None:
    build()()


if __name__ == "__main__":
    main()
