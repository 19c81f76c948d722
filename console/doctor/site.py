"""The site's own files: its state folder, its secret, its run folders, and whether it runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chassis.errors import Rejected
from console.doctor.check import Check, bad, note, well
from console.runtime import names_servers

if TYPE_CHECKING:
    from chassis.settings import Settings


def state_folder(settings: Settings) -> Check:
    folder = settings.state_dir.absolute()
    if not folder.exists():
        return note("state folder", f"{folder} is not there yet", "`cohortstream up` makes it")
    if not os.access(folder, os.W_OK | os.X_OK):
        return bad("state folder", f"{folder} cannot be written by this account", "give it to this account (chown)")
    return well("state folder", str(folder))


def site_secret(settings: Settings) -> Check:
    from services.ingest.identity import read_identity

    path = settings.site.secret_file
    if path is not None and not path.exists() and path == settings.state_dir / "site-secret":
        return note("site secret", f"{path} is not there yet", "`cohortstream up` makes it; back it up then")
    try:
        read_identity(settings.site)
    except Rejected as rejected:
        return bad("site secret", rejected.rejection.message, rejected.rejection.fix)
    return well("site secret", f"{path}, readable by this account alone")


def ingest_roots(settings: Settings) -> Check:
    roots = settings.ingest.roots
    if not roots:
        return note("run folders", "no folder is watched", "set [ingest] roots to the folders that runs appear in")
    absent = [str(root) for root in roots if not os.access(root, os.R_OK | os.X_OK)]
    if absent:
        return bad(
            "run folders", f"{', '.join(absent)} not there or not readable", "make it, or correct [ingest] roots"
        )
    return well("run folders", ", ".join(str(root) for root in roots))


def running(settings: Settings) -> Check:
    from deploy.embedded.stack import read_endpoints

    if read_endpoints(settings.state_dir) is not None:
        return well("site", "`cohortstream up` runs on this state folder")
    if all(names_servers(settings)):
        return well("site", "the configuration names Kafka and Postgres of its own")
    return note("site", "not running", "start it with `cohortstream up`")
