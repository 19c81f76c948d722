"""URIs of a store: its base and a key, nothing more. No percent-decoding, so one object has exactly one URI."""

from __future__ import annotations

from chassis.errors import reject
from chassis.storage import keys


def uri_of(base: str, key: str) -> str:
    return f"{base}/{keys.checked(key)}"


def key_in(base: str, uri_or_key: str) -> str:
    """The key of a URI below `base`, or the key itself. Raises Rejected URI_FORBIDDEN or UNSAFE_PATH."""
    if "://" not in uri_or_key:
        return keys.checked(uri_or_key)
    if not uri_or_key.startswith(base + "/"):
        scheme = uri_or_key.split("://", 1)[0][:10]
        raise reject(
            code="URI_FORBIDDEN",
            message=f"a {scheme} URI points outside the store",
            where="an object URI",
            rule=f"only objects below {base} are read or written",
            fix="copy the object into the store, or correct the setting store.base",
        )
    return keys.checked(uri_or_key[len(base) + 1 :])
