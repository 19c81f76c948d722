"""Style, scripts and the two libraries, from this machine alone. An address holds its content's hash, so that a browser
keeps a file for as long as it is the same."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from chassis.errors import reject

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

OWN = Path(__file__).parent / "static"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
KEPT = "public, max-age=31536000, immutable"
SMALLEST_PACKED = 1024


def in_package(package: str, *path: str) -> Path:
    """A file that a package brings, found without importing it. Raises Rejected PAGE_EXTRA."""
    spec = importlib.util.find_spec(package)
    file = Path(spec.origin).parent.joinpath(*path) if spec is not None and spec.origin else None
    if file is None or not file.is_file():
        raise reject(
            code="PAGE_EXTRA",
            message=f"{package} does not bring {'/'.join(path)}",
            where="the operators' page",
            rule="the page serves its scripts from the packages of the `page` extra",
            fix="install cohortstream[page]",
        )
    return file


FILES: dict[str, Callable[[], Path]] = {
    "page.css": lambda: OWN / "page.css",
    "page.js": lambda: OWN / "page.js",
    "charts.js": lambda: OWN / "charts.js",
    "icon.svg": lambda: OWN / "icon.svg",
    "htmx.js": partial(in_package, "django_htmx", "static", "django_htmx", "htmx-2.min.js"),
    "plotly.js": partial(in_package, "plotly", "package_data", "plotly.min.js"),
}


@dataclass(slots=True)
class Statics:
    """The files by name. plotly.js has 5 MB: packed once, when a page with a chart first wants it."""

    _hashes: dict[str, str] = field(default_factory=dict)
    _packed: dict[str, bytes] = field(default_factory=dict)
    _style_ids: str | None = None

    def style_ids(self) -> str:
        """Ids of style elements that plotly.js writes into a page unless an element of that id is there. They style
        maps, which the page has none of, and its content policy forbids them: the page puts empty elements there."""
        if self._style_ids is None:
            found = re.findall(rb'getElementById\("([0-9a-f]{64})"\)', FILES["plotly.js"]().read_bytes())
            self._style_ids = " ".join(sorted({one.decode() for one in found}))
        return self._style_ids

    def address(self, name: str) -> str:
        if name not in self._hashes:
            self._hashes[name] = hashlib.sha256(FILES[name]().read_bytes()).hexdigest()[:12]
        return f"/static/{self._hashes[name]}/{name}"

    async def answer(self, request: Request) -> Response:
        import asyncio

        from starlette.responses import PlainTextResponse, Response

        name = request.path_params["name"]
        if name not in FILES or self.address(name) != request.url.path:
            return PlainTextResponse("There is no such file.\n", status_code=404)
        path = FILES[name]()
        headers = {"cache-control": KEPT, "vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", "") and path.stat().st_size > SMALLEST_PACKED:
            if name not in self._packed:
                self._packed[name] = await asyncio.to_thread(_packed, path)
            return Response(
                self._packed[name], media_type=TYPES[path.suffix], headers=headers | {"content-encoding": "gzip"}
            )
        return Response(path.read_bytes(), media_type=TYPES[path.suffix], headers=headers)


def _packed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), compresslevel=6, mtime=0)
