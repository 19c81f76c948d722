"""Signing in and out. A person gives the site's token and the name that commands will carry."""

from __future__ import annotations

import math
import secrets
from typing import TYPE_CHECKING

from console.page.acting import actor_named, back_of, form_of
from console.page.sessions import COOKIE, LASTS_S, VISIT, Viewer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from console.page.site import Site


async def sign_in_page(request: Request) -> Response:
    from starlette.exceptions import HTTPException

    from console.page.site import site_of

    site = site_of(request)
    if not site.sessions.open_to_sign_in:
        raise HTTPException(404, "Nobody signs in here: the page is read-only, as [page] token_file is not set.")
    return _form(request, site, back=back_of(request.query_params.get("back", "")))


async def sign_in(request: Request) -> Response:
    """The same answer for a wrong token however wrong it is; a name that commands may not carry is said before."""
    from pydantic import ValidationError
    from starlette.exceptions import HTTPException
    from starlette.responses import RedirectResponse

    from console.page.site import site_of

    site = site_of(request)
    if not site.sessions.open_to_sign_in:
        raise HTTPException(403, "Nobody signs in here: the page is read-only.")
    form = await form_of(request)
    back = back_of(form.get("back", ""))
    visitor = Viewer(name=None, visit=request.cookies.get(VISIT) or "")  # whoever may be signed in already
    if not site.sessions.is_own_form(visitor, form.get("form_token", "")):
        return _form(request, site, back=back, status=403, wrong="That form had grown old; try again.")
    address = request.client.host if request.client is not None else "unknown"
    wait = site.attempts.wait_s(address)
    if wait > 0:
        answer = _form(request, site, back=back, status=429, wrong=f"Too many tries. Try again in {wait:.0f} s.")
        answer.headers["retry-after"] = str(math.ceil(wait))
        return answer
    name = form.get("name", "").strip()
    if not site.sessions.knows(form.get("token", "").strip()):
        site.attempts.failed(address)
        return _form(request, site, back=back, name=name, status=403, wrong="That is not the token.")
    try:
        actor_named(name)
    except ValidationError:
        wrong = "Your name has letters, digits and . _ - only, such as your account's."
        return _form(request, site, back=back, name=name, status=422, wrong=wrong)
    answer = RedirectResponse(back, status_code=303)
    secure = request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, site.sessions.begin(name), max_age=int(LASTS_S), httponly=True, samesite="strict", secure=secure
    )
    answer.delete_cookie(VISIT, httponly=True, samesite="strict", secure=secure)
    return answer


async def sign_out(request: Request) -> Response:
    from starlette.exceptions import HTTPException
    from starlette.responses import RedirectResponse

    from console.page.site import site_of

    site = site_of(request)
    form = await form_of(request)
    if not site.sessions.is_own_form(site.viewer(request), form.get("form_token", "")):
        raise HTTPException(403, "The form is from another visit; you are still signed in.")
    site.sessions.end(request.cookies.get(COOKIE))
    answer = RedirectResponse("/", status_code=303)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return answer


def _form(
    request: Request, site: Site, *, back: str, name: str = "", wrong: str | None = None, status: int = 200
) -> Response:
    """The form is bound to a cookie of its own, since there is no session yet."""
    from console.page.site import render

    visit = secrets.token_urlsafe(18)
    token = site.sessions.form_token(Viewer(name=None, visit=visit))
    answer = render(
        request,
        "sign_in.html",
        title="Sign in",
        live=False,
        status=status,
        back=back,
        name=name,
        wrong=wrong,
        sign_in_token=token,
    )
    secure = request.url.scheme == "https"
    answer.set_cookie(VISIT, visit, httponly=True, samesite="strict", secure=secure, max_age=3600)
    return answer
