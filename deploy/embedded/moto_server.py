"""The object store's own process: moto's S3 behind a gate that hears only who names the access key."""

from __future__ import annotations

import hmac
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LOOPBACK = "127.0.0.1"
_DENIED = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InvalidAccessKeyId</Code>'
    b"<Message>The access key of this request is not the stack's.</Message></Error>"
)


def main() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    buckets, access_keys = (
        os.environ["OBJECT_STORE_BUCKET"].split(","),
        os.environ["OBJECT_STORE_ACCESS_KEY"].split(","),
    )
    _take_time_to_restore(float(os.environ["OBJECT_STORE_RESTORE_S"]))
    store = gate(DomainDispatcherApplication(create_backend_app), access_keys=access_keys)
    for bucket in buckets:
        _make_bucket(store, bucket=bucket, access_key=access_keys[0])
    # a container's own network is not this machine's: there it binds where the container can be reached
    bind, port = os.environ.get("OBJECT_STORE_BIND", LOOPBACK), int(os.environ["OBJECT_STORE_PORT"])
    make_server(bind, port, store, threaded=True, request_handler=_quiet(MotoRequestHandler)).serve_forever()


def gate(store: WSGIApplication, *, access_keys: Sequence[str]) -> WSGIApplication:
    """Pass on requests that name one of the access keys in their signature, by header or by query; 403 for the rest.

    The signature itself is not verified: the key is random, and it is what a stranger on this machine does not know.
    """

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        named = _named_key(environ).encode()
        if not any(hmac.compare_digest(named, key.encode()) for key in access_keys):
            length = str(len(_DENIED))
            start_response("403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", length)])
            return [_DENIED]
        return store(environ, start_response)

    return guarded


def _named_key(environ: WSGIEnvironment) -> str:
    header = str(environ.get("HTTP_AUTHORIZATION", ""))
    if "Credential=" in header:
        return header.partition("Credential=")[2].partition("/")[0]
    query = parse_qs(str(environ.get("QUERY_STRING", "")))
    for name in ("X-Amz-Credential", "AWSAccessKeyId"):
        if name in query:
            return query[name][0].partition("/")[0]
    return ""


def _take_time_to_restore(seconds: float) -> None:
    """A restore is pending for `seconds`, counted from the request. moto counts from when the object was made."""
    from moto.moto_api import state_manager
    from moto.s3.models import FakeKey

    state_manager.set_transition("s3::keyrestore", {"progression": "time", "seconds": seconds})
    accept = FakeKey.restore

    def restore(key: Any, days: int) -> None:
        if key.expiry_date is None:
            key.status = "IN_PROGRESS"
            key._time_progressed = datetime.now()  # a local time, as moto's own that it is compared with
        accept(key, days)

    FakeKey.restore = restore  # type: ignore[method-assign, assignment]


def _make_bucket(store: WSGIApplication, *, bucket: str, access_key: str) -> None:
    """Before listening, so that no client ever sees the store without it."""
    from werkzeug.test import Client

    named = {"Authorization": f"AWS4-HMAC-SHA256 Credential={access_key}/20000101/us-east-1/s3/aws4_request"}
    versioned = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    client = Client(store)
    for query, body in (("", ""), ("?versioning", versioned)):
        answer = client.put(f"/{bucket}{query}", data=body, headers=named)
        if answer.status_code != 200:
            sys.exit(f"the bucket could not be made: {answer.status} {answer.get_data(as_text=True)}")


def _quiet(handler: type[Any]) -> type[Any]:
    """Keys of objects do not belong into a log, and a line per request would fill it."""

    class Quiet(handler):  # type: ignore[misc]
        log_request: Callable[..., None] = staticmethod(lambda *_arguments: None)

    return Quiet


if __name__ == "__main__":
    main()
