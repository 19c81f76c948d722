"""The object store: its bucket, a key for each service, and a policy that shows each its own prefixes.

Keys are made where the store keeps its accounts itself (Versity's gateway with its internal IAM). Elsewhere they come
from whoever runs the store, and the policy of deploy/access/policy.py is theirs to apply.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.sax.saxutils import escape

from chassis.errors import Rejected, ToolFailed, reject
from chassis.settings import Settings, StoreSettings
from chassis.storage.open import open_client
from deploy.access.model import ACCOUNTS, PREFIX, Reach, reach
from deploy.access.policy import bucket_policy

if TYPE_CHECKING:
    from botocore.awsrequest import AWSResponse

BASE = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*?))?/?")
ACCESS = re.compile(r"<Access>([^<]+)</Access>")
NO_SUCH_API = frozenset({400, 404, 405, 501})
"""How stores without accounts of their own answer to a request that they do not know; others fail over it, and not in
S3's words."""
DENIED = frozenset({401, 403})
PATIENCE_S = 60.0
REST_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    buckets: tuple[str, ...]
    accounts: tuple[str, ...]
    """Empty where the store keeps no accounts of its own."""
    strangers: tuple[str, ...]
    """Keys of ours by name that are no longer known, and are gone now."""


async def apply(*, settings: Settings, secrets: Mapping[str, str]) -> Applied:
    """Make the bucket, the keys and the policy; `secrets` are the secret keys by account's name, which is the access
    key. A cold bucket at the same endpoint is made too, and is the archive's alone.

    Raises Rejected (CONFIG_VALUE, ACCESS_DENIED), ToolFailed when the store refuses or does not answer.
    """
    places = [_place(settings.store, {account.name: reach(account.party) for account in ACCOUNTS})]
    cold = settings.cold.store()
    if cold is not None and cold.base.startswith("s3://") and cold.endpoint == settings.store.endpoint:
        archive = next(account.name for account in ACCOUNTS if account.party == "archive")
        places.append(_place(cold, {archive: reach("archive")}))
    gateway = _Gateway(settings.store)
    there = await gateway.accounts()
    strangers: tuple[str, ...] = ()
    async with open_client(settings.store) as client:
        for place in places:
            await _bucket(client, place.bucket)
        if there is not None:
            for account in ACCOUNTS:
                await gateway.put(account.name, secrets[account.name], new=account.name not in there)
            for place in places:
                document = bucket_policy(
                    bucket=place.bucket, prefix=place.prefix, reaches=place.reaches, principal=lambda name: name
                )
                await client.put_bucket_policy(Bucket=place.bucket, Policy=json.dumps(document))
            known = {account.name for account in ACCOUNTS}
            strangers = tuple(sorted(name for name in there if name.startswith(PREFIX) and name not in known))
            for name in strangers:
                await gateway.remove(name)
    return Applied(
        buckets=tuple(place.bucket for place in places),
        accounts=() if there is None else tuple(account.name for account in ACCOUNTS),
        strangers=strangers,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    bucket: str
    prefix: str
    reaches: Mapping[str, Reach]


def _place(store: StoreSettings, reaches: Mapping[str, Reach]) -> _Place:
    named = BASE.fullmatch(store.base)
    if named is None:
        raise reject(
            code="CONFIG_VALUE",
            message="access is applied to a bucket, and store.base names none",
            where="store.base",
            rule="s3://bucket or s3://bucket/prefix",
            fix="correct store.base; a folder's access is a matter of its file system",
        )
    prefix = f"{named['prefix']}/" if named["prefix"] else ""
    return _Place(bucket=named["bucket"], prefix=prefix, reaches=reaches)


async def _bucket(client: Any, bucket: str) -> None:
    from botocore.exceptions import ClientError

    try:
        await client.create_bucket(Bucket=bucket)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        if code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise ToolFailed(tool="store", status=str(code), said=f"the bucket {bucket} cannot be made") from None


class _Gateway:
    """The admin API of Versity's gateway: signed requests with XML bodies, so that no secret is in an address."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings

    async def accounts(self) -> frozenset[str] | None:
        """Access keys that the store keeps; None where it keeps no accounts. Waits for a store that starts."""
        if self._settings.endpoint is None:
            return None
        answer = await self._ask("list-users")
        if answer.status_code in NO_SUCH_API or (answer.status_code == 500 and "<Code>" not in answer.text):
            return None
        self._require(answer)
        return frozenset(ACCESS.findall(answer.text))

    async def put(self, access: str, secret: str, *, new: bool) -> None:
        if new:
            body = f"<Account><Access>{access}</Access><Secret>{escape(secret)}</Secret><Role>user</Role></Account>"
            self._require(await self._ask("create-user", body))
            return
        # the role too: whoever was made an administrator is one no longer
        body = f"<MutableProps><Secret>{escape(secret)}</Secret><Role>user</Role></MutableProps>"
        self._require(await self._ask(f"update-user?access={quote(access, safe='')}", body))

    async def remove(self, access: str) -> None:
        self._require(await self._ask(f"delete-user?access={quote(access, safe='')}"))

    async def _ask(self, what: str, body: str = "") -> AWSResponse:
        from botocore.exceptions import HTTPClientError

        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            try:
                return await asyncio.to_thread(self._sent, what, body.encode())
            except HTTPClientError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise ToolFailed(
                        tool="store", status=type(error).__name__, said="the store does not answer"
                    ) from None
                await asyncio.sleep(REST_S)

    def _sent(self, what: str, body: bytes) -> AWSResponse:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials
        from botocore.httpsession import URLLib3Session

        settings = self._settings
        assert settings.endpoint is not None
        request = AWSRequest(
            method="PATCH",
            url=f"{settings.endpoint.rstrip('/')}/{what}",
            data=body,
            headers={"X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest(), "Content-Type": "application/xml"},
        )
        key = settings.access_key.get_secret_value() if settings.access_key else ""
        S3SigV4Auth(Credentials(key, settings.secret() or ""), "s3", settings.region).add_auth(request)
        return URLLib3Session(timeout=10).send(request.prepare())

    def _require(self, answer: AWSResponse) -> None:
        if answer.status_code in DENIED:
            raise _denied()
        if answer.status_code >= 300:
            raise ToolFailed(tool="store", status=answer.status_code, said="the store's admin API refused a request")


def _denied() -> Rejected:
    return reject(
        code="ACCESS_DENIED",
        message="this key may not make accounts in the store",
        where="store.access_key",
        rule="access is applied with the store's administrator's key",
        fix="name it in store.access_key and store.secret_key_file",
    )
