"""`console`: serve the operators' page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from console.invocation import invocation

if TYPE_CHECKING:
    from chassis.settings import Settings

PANEL = "See"


def register(app: typer.Typer) -> None:
    app.command("console", rich_help_panel=PANEL)(console)


def console(context: typer.Context) -> None:
    """Serve the operators' page until Ctrl-C: runs, samples, freezes, pools, quarantine, storage.

    Read-only unless [page] token_file names a file with a token; whoever signs in with it may act and sees laboratory
    ids. It answers on loopback; a reverse proxy with TLS stands before it elsewhere.
    """
    import asyncio
    import importlib.util
    import socket

    from chassis.errors import reject
    from console.output import note, say

    missing = [
        name for name in ("starlette", "jinja2", "uvicorn", "multipart") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise reject(
            code="PAGE_EXTRA",
            message=f"{', '.join(missing)} cannot be imported",
            where="the operators' page",
            rule="the page has dependencies of its own, in the `page` extra",
            fix="install cohortstream[page]",
        )
    from console.page.app import EVERYWHERE

    settings = invocation(context).found()
    page = settings.page
    if page.port == 0:
        with socket.socket(socket.AF_INET6 if ":" in page.bind else socket.AF_INET) as free:
            free.bind((page.bind, 0))
            page = page.model_copy(update={"port": free.getsockname()[1]})
        settings = settings.model_copy(update={"page": page})
    host = "127.0.0.1" if page.bind in EVERYWHERE else f"[{page.bind}]" if ":" in page.bind else page.bind
    say(f"the operators' page is at http://{host}:{page.port}")
    if page.token_file is None:
        note("it is read-only: set [page] token_file to let people sign in and act")
    asyncio.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    """With probes and metrics beside the page where [health] names a port, as every process of a site has them."""
    from console.page.app import serve

    if settings.health.port is None:
        return await serve(settings)
    from chassis.health.process import STARTING, attended
    from chassis.telemetry.setup import telemetry

    state, service, role = settings.state_dir, "console", "page"
    with telemetry(service=service, process=role, state_dir=state, settings=settings.telemetry, scraped=True) as scrape:
        async with attended(
            service=service,
            role=role,
            state_dir=state,
            settings=settings.health,
            metrics=scrape.page if scrape is not None else None,
        ) as pulse:
            pulse.over(STARTING)
            await serve(settings)
