"""What every command starts from: which configuration it was given, and the settings read from it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from chassis.settings import Settings

DEFAULT_CONFIG = "cohortstream.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    config: Path | None = None
    debug: bool = False

    @property
    def path(self) -> Path | None:
        """The configuration's file: the one named, else COHORTSTREAM_CONFIG's, else ./cohortstream.toml if there."""
        if self.config is not None:
            return self.config
        if os.environ.get("COHORTSTREAM_CONFIG"):
            return Path(os.environ["COHORTSTREAM_CONFIG"])
        here = Path(DEFAULT_CONFIG)
        return here if here.is_file() else None

    def settings(self) -> Settings:
        """The settings as written, without a running site's addresses. Raises Rejected (CONFIG_*)."""
        from chassis.settings import load

        return load(self.path)

    def found(self) -> Settings:
        """The settings with the addresses of the site that runs on their state folder, when one does."""
        from console.runtime import found

        return found(self.settings())


def invocation(context: typer.Context) -> Invocation:
    made = context.find_root().obj
    assert isinstance(made, Invocation)
    return made
