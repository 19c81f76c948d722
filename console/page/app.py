"""The application: routes, what an error looks like, and how it is served."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from chassis.settings import Settings

log = logging.getLogger(__name__)
WORDS = {403: "Not allowed", 404: "Not there", 405: "Not understood", 503: "Not now"}
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  compared with, not bound to


def build(settings: Settings) -> Starlette:
    """The page over these settings; connects when first asked. Raises Rejected for a token that cannot be used."""
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.routing import Route

    from chassis.errors import Rejected
    from chassis.secret import secret_in
    from console.exits import Unreachable
    from console.page import acting, audit, cohorts, overview, pools, quarantine, runs, samples, signing, storage
    from console.page.guard import Guard
    from console.page.ledgers import Ledgers
    from console.page.rendering import environment
    from console.page.sessions import Sessions
    from console.page.site import Site
    from console.page.statics import Statics

    page = settings.page
    token = secret_in(page.token_file, where="page.token_file") if page.token_file is not None else None
    statics = Statics()
    ledgers = Ledgers(settings)
    site = Site(
        settings=settings,
        ledgers=ledgers,
        sessions=Sessions(token=token),
        templates=environment(traces_url=settings.telemetry.traces_url),
        statics=statics,
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await ledgers.close()

    routes = [
        Route("/", overview.overview),
        Route("/attention", overview.attention),
        Route("/find", overview.find),
        Route("/runs", runs.runs),
        Route("/runs/{run}", runs.run),
        Route("/samples", samples.samples),
        Route("/samples/{key}", samples.sample),
        Route("/cohorts", cohorts.cohorts),
        Route("/freezes/{freeze}/files", cohorts.files),
        Route("/freezes/{freeze}/files.tsv", cohorts.files),
        Route("/freezes/{freeze}", cohorts.freeze),
        Route("/pools", pools.pools_page),
        Route("/quarantine", quarantine.quarantine),
        Route("/quarantine/{service}/{number}", quarantine.item),
        Route("/storage", storage.storage),
        Route("/artifacts/{artifact}", storage.artifact),
        Route("/audit", audit.audit),
        Route("/asked/{request}", acting.asked_page),
        Route("/act/{verb}", acting.act, methods=["POST"]),
        Route("/sign-in", signing.sign_in_page, methods=["GET"]),
        Route("/sign-in", signing.sign_in, methods=["POST"]),
        Route("/sign-out", signing.sign_out, methods=["POST"]),
        Route("/live", live),
        Route("/ready", ready),
        Route("/static/{hash}/{name}", statics.answer),
    ]
    import asyncpg

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Guard, hosts=hosts_of(settings))],
        exception_handlers={
            HTTPException: not_there,
            Rejected: refused,
            Unreachable: away,
            asyncpg.QueryCanceledError: slow,
            TimeoutError: slow,
            Exception: broken,
        },
    )
    app.state.site = site
    return app


def hosts_of(settings: Settings) -> tuple[str, ...]:
    """Host names besides loopback's that the page answers under."""
    bound = () if settings.page.bind in EVERYWHERE else (settings.page.bind,)
    return (*bound, *settings.page.hosts)


async def live(request: Request) -> Response:
    """The process answers."""
    from starlette.responses import JSONResponse

    return JSONResponse({"live": True})


async def ready(request: Request) -> Response:
    """The ledger answers too: 200, else 503."""
    from starlette.responses import JSONResponse

    from console.exits import Unreachable
    from console.page.site import site_of

    try:
        async with site_of(request).ledgers.reading() as views:
            await views.rows("ingest", "select 1")
    except Unreachable as error:
        return JSONResponse({"ready": False, "why": str(error)}, status_code=503)
    return JSONResponse({"ready": True})


async def not_there(request: Request, error: Any) -> Response:
    return _said(request, error.status_code, WORDS.get(error.status_code, "Refused"), error.detail)


async def refused(request: Request, error: Any) -> Response:
    return _said(request, 422, "Refused", "Nothing was asked for.", rejection=error.rejection)


async def away(request: Request, error: Any) -> Response:
    """The database or Kafka does not answer; the page looks again by itself."""
    return _said(request, 503, "A server is away", str(error), again=request.method != "POST")


async def slow(request: Request, error: Any) -> Response:
    said = "The ledger took too long to answer. It may be busy; this page asks again by itself."
    return _said(request, 503, "The ledger is slow", said, again=request.method != "POST")


async def broken(request: Request, error: Exception) -> Response:
    log.error("page.broken", exc_info=error, extra={"path": request.url.path})
    said = "This is a fault of the program, not yours. Its log says more; other pages may still work."
    return _said(request, 500, "Something broke", said)


def _said(
    request: Request, status: int, title: str, said: str, *, rejection: Any = None, again: bool = False
) -> Response:
    from console.page.site import render

    return render(
        request, "said.html", title=title, status=status, live=again, said=said, rejection=rejection, status_code=status
    )


async def serve(settings: Settings) -> None:
    """Answer until SIGTERM or SIGINT. Raises Rejected; SystemExit where the port is taken."""
    import uvicorn

    config = uvicorn.Config(
        build(settings),
        host=settings.page.bind,
        port=settings.page.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=5,
        limit_concurrency=200,
        ws="none",
        lifespan="on",
    )
    await uvicorn.Server(config).serve()
