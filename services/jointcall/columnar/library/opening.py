"""A joint store by the name that people give it: a folder, or s3://bucket/prefix; and its generations by theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chassis.errors import Rejected, reject
from chassis.settings import StoreSettings
from chassis.storage.store import ObjectMissing
from services.jointcall.columnar.store.depot import FOLDER, Depot, opened
from services.jointcall.columnar.store.generation import Generation

LEAST_DIGITS = 6
_ID = re.compile(rf"[0-9a-f]{{{LEAST_DIGITS},64}}")
_NUMBER = re.compile(rf"#?[0-9]{{1,{LEAST_DIGITS - 1}}}")


def settings_of(place: str, common: StoreSettings) -> StoreSettings:
    """`common` says how stores are reached (endpoint, keys); `place` which one. Raises Rejected CONFIG_VALUE."""
    if place.startswith(("s3://", "file:///")):
        return common.model_copy(update={"base": place.rstrip("/")})
    if "://" in place or not place.strip():
        raise reject(
            code="CONFIG_VALUE",
            message="this names no joint store",
            where=place[:80] or "STORE",
            rule="a joint store is a folder, or s3://bucket/prefix",
            fix="give a folder's path, or where it lies in a bucket",
        )
    return common.model_copy(update={"base": Path(place).expanduser().absolute().as_uri()})


@contextmanager
def opened_store(place: str, common: StoreSettings, *, make: bool = False) -> Iterator[Depot]:
    """The joint store at `place`. Raises Rejected FILE_MISSING where a folder is none, unless `make`."""
    settings = settings_of(place, common)
    folder = Path(place).expanduser()
    if not make and "://" not in place and not (folder / FOLDER).is_dir():
        raise _nothing(place)
    subject = re.sub(r"[^A-Za-z0-9._-]", "_", place.rstrip("/").rpartition("/")[2])[:100]
    with opened(settings, cohort=subject or "joint") as depot:
        yield depot


def current(depot: Depot) -> Generation:
    """The generation that the store is at. Raises Rejected FILE_MISSING in an empty store."""
    publication = depot.current()
    if publication is None:
        raise _nothing(depot.base)
    return depot.generation(publication.generation)


def named(depot: Depot, name: str | None) -> Generation:
    """By (the beginning of) its id, by its number in the history, or by a hold; None is the current one. Raises
    Rejected GENERATION_UNKNOWN."""
    if name is None:
        return current(depot)
    held = {hold.name: hold.generation for hold in depot.holds()}
    if name in held:
        return depot.generation(held[name])
    if _NUMBER.fullmatch(name):
        number = int(name.lstrip("#"))
        ids = [one.generation for one in depot.history() if one.number == number]
    elif _ID.fullmatch(name):
        ids = [Path(facts.key).stem for facts in depot.listed("generations")]
        ids = [one for one in ids if one.startswith(name)]
    else:
        ids = []
    if len(ids) != 1:
        raise _unknown(name, len(ids))
    try:
        return depot.generation(ids[0])
    except ObjectMissing:
        raise _unknown(name, 0) from None


def _unknown(name: str, found: int) -> Rejected:
    return reject(
        code="GENERATION_UNKNOWN",
        message=f"{found or 'no'} generations that are still there are meant by it",
        where=name[:80],
        rule=f"a generation is named by its id, its first {LEAST_DIGITS} digits or more, its number, or a hold",
        fix="`cohortstream joint history STORE` lists them",
    )


def _nothing(place: str) -> Rejected:
    return reject(
        code="FILE_MISSING",
        message="there is no joint store here",
        where=place,
        rule="`cohortstream joint import` makes a joint store; every other command works on one",
        fix="correct the path, or import the first gVCFs",
    )
