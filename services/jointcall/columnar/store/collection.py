"""Garbage: objects and generations that nothing needs any more. First a plan that only reads, then the deletion."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path

from chassis.storage.store import ObjectFacts
from services.jointcall.columnar.store.depot import Depot

GRACE = timedelta(days=2)
"""What is younger stays: an import that is under way has stored it and not published yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What would go. `kept` are the generations that stay."""

    publication: int
    """The newest when the plan was made; 0 in an empty store."""
    kept: tuple[str, ...]
    objects: tuple[ObjectFacts, ...]
    generations: tuple[ObjectFacts, ...]

    @property
    def size(self) -> int:
        return sum(facts.size for facts in (*self.objects, *self.generations))


def planned(
    depot: Depot,
    *,
    keep: int = 1,
    also: Collection[str] = (),
    grace: timedelta = GRACE,
    now: datetime | None = None,
) -> Garbage:
    """What the last `keep` publications, the holds and the generations `also` do not need, and is older than `grace`.
    Deletes nothing. Raises ValueError for a `keep` below 1; ObjectMissing where a generation that is held is gone."""
    if keep < 1:
        raise ValueError("the current generation always stays")
    # listed before the pointer is read: what is published meanwhile is younger than the listing
    objects, generations = depot.listed("objects"), depot.listed("generations")
    newest = list(islice(depot.history(), keep))
    kept = {publication.generation for publication in newest}
    kept |= {hold.generation for hold in depot.holds()} | set(also)
    needed = {sha256 for generation in kept for sha256 in depot.generation(generation).objects()}
    before = (now or datetime.now(UTC)) - grace
    return Garbage(
        publication=newest[0].number if newest else 0,
        kept=tuple(sorted(kept)),
        objects=tuple(f for f in objects if Path(f.key).stem not in needed and f.modified < before),
        generations=tuple(f for f in generations if Path(f.key).stem not in kept and f.modified < before),
    )


def collected(depot: Depot, garbage: Garbage) -> int:
    """Delete what the plan names, save what holds and publications since then need, or was written anew. Returns the
    bytes that went."""
    since = takewhile(lambda publication: publication.number > garbage.publication, depot.history())
    kept = {hold.generation for hold in depot.holds()} | {publication.generation for publication in since}
    needed = {sha256 for generation in kept for sha256 in depot.generation(generation).objects()}
    freed = 0
    # manifests first: a generation that is still listed is never without its objects
    for facts in (*garbage.generations, *garbage.objects):
        if Path(facts.key).stem not in needed | kept and depot.delete(facts):
            freed += facts.size
    return freed
