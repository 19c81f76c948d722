"""How objects go cold here: what the settings ask for, against what the stores really did when they were tried."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from chassis.errors import Rejected, reject
from chassis.settings import Settings
from chassis.storage.store import Store, StoreUnavailable, TierProbe
from services.archive import statements
from services.archive.facts import Tiering
from services.archive.tiers.places import identity, named, opened

if TYPE_CHECKING:
    from chassis.ledger.ledger import Connection

log = logging.getLogger(__name__)

NEEDED = frozenset({"GLACIER"})
"""A store that keeps this class and takes restores has storage classes; what else it keeps, the plan knows."""


def checked(settings: Settings) -> None:
    """What can be said of the settings alone. Raises Rejected CONFIG_VALUE."""
    cold = settings.cold.store()
    if settings.archive.tiering == "copy" and cold is None:
        raise _refused("archive.tiering is copy and no place is named", "cold.base", "set [cold] base, or tiering")
    if cold is None:
        return
    here, there = settings.store.base.rstrip("/"), cold.base.rstrip("/")
    same_server = settings.store.endpoint == cold.endpoint
    if same_server and (f"{there}/".startswith(f"{here}/") or f"{here}/".startswith(f"{there}/")):
        raise _refused("the cold place lies in the store, or the store in it", "cold.base", "name a place of its own")


async def decide_tiering(settings: Settings, store: Store, conn: Connection) -> Tiering:
    """Try the stores, decide, write it down for workers and for people (status_tiering), log it.

    A cold place that does not answer moves nothing for now; what was copied there is known all the same. Raises
    Rejected TIERING_UNSUPPORTED where the settings ask for what the store cannot do, CONFIG_VALUE, ACCESS_DENIED;
    StoreUnavailable when the store itself does not answer.
    """
    checked(settings)
    asked = settings.archive.tiering
    probe = await store.probe_tiers() if asked in ("auto", "storage-class") else TierProbe()
    tiering = await weighed(settings, store, probe, conn)
    classes = None if tiering.classes is None else sorted(tiering.classes)
    await conn.execute(
        statements.TIERING_DECIDED, tiering.backend, tiering.said, classes, tiering.cold, tiering.place_id
    )
    log.info("how objects go cold", extra={"backend": tiering.backend, "said": tiering.said})
    return tiering


async def weighed(settings: Settings, store: Store, probe: TierProbe, conn: Connection | None) -> Tiering:
    """Without `conn` nothing is taken into use: for a look from outside."""
    asked = settings.archive.tiering
    scheme = store.base.partition("://")[0]
    able = probe.classes >= NEEDED and probe.restores
    if asked == "storage-class" and not able:
        kept = ", ".join(sorted(probe.classes)) or "none"
        restores = "took" if probe.restores else "did not take"
        raise reject(
            code="TIERING_UNSUPPORTED",
            message=f"the {scheme}:// store kept these storage classes: {kept}; it {restores} a restore",
            where="archive.tiering",
            rule="storage-class needs a store that keeps GLACIER and restores from it, as S3 does",
            fix="set [cold] base and tiering = copy, or tiering = none",
        )
    place = await _place(settings, conn)
    if able:
        said = f"the store keeps {', '.join(sorted(probe.classes))} and takes restores"
        return Tiering(
            backend="storage-class",
            said=said,
            classes=probe.classes,
            cold=place.cold,
            place_id=place.place_id,
        )
    if asked == "none":
        return Tiering(backend="none", said="archive.tiering is none: nothing is moved", cold=place.cold)
    if settings.cold.base is None:
        return Tiering(
            backend="none", said=f"the {scheme}:// store has no storage classes, and [cold] names no place for copies"
        )
    return place


async def _place(settings: Settings, conn: Connection | None) -> Tiering:
    """The cold place, taken into use when it is new. Away: a Tiering that moves nothing and says so."""
    wanted = settings.cold.store()
    if wanted is None:
        return Tiering(backend="none", said="[cold] names no place")
    try:
        async with opened(wanted, probe=True) as cold:
            known = None if conn is None else await conn.fetchval(statements.PLACE_KNOWN, cold.base)
            said = await identity(cold)
            if known is not None and said != known:
                raise StoreUnavailable("open", uri=cold.base, said="not the cold place that it was: is it mounted?")
            place_id = said if conn is None else await named(cold)
            return Tiering(
                backend="copy",
                said=f"verified copies go to {cold.base}; a stub stays under each object's name",
                cold=cold.base,
                place_id=place_id,
            )
    except StoreUnavailable as away:
        log.warning("the cold place cannot be used", extra={"said": away.said})
        return Tiering(backend="none", said=f"the cold place {away.uri} cannot be used now: {away.said}")


def _refused(message: str, where: str, fix: str) -> Rejected:
    rule = "the cold place is a bucket, a prefix or a folder apart from the store"
    return reject(code="CONFIG_VALUE", message=message, where=where, rule=rule, fix=fix)
