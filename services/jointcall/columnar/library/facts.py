"""What a joint store holds and takes, for `inspect`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.jointcall.columnar.store.collection import planned
from services.jointcall.columnar.store.depot import Depot, Hold, Publication
from services.jointcall.columnar.store.generation import Generation, Mask
from services.jointcall.columnar.store.inspect import GenerationFacts, facts_of, generation_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """`stored`: bytes of all objects that lie in the store; `garbage`: of those and of manifests that a collection
    would free now (age aside). `columns`: compressed bytes of a sample of windows; none where it was not asked for."""

    base: str
    generation: Generation
    facts: GenerationFacts
    published: Publication | None
    masks: tuple[Mask, ...]
    holds: tuple[Hold, ...]
    stored: int
    garbage: int
    columns: dict[str, int]

    def due(self, now: datetime) -> int:
        """Masked samples whose bytes should be gone by now."""
        return sum(mask.deadline <= now for mask in self.masks)


def store_facts(depot: Depot, generation: Generation, *, now: datetime, columns: bool = False) -> StoreFacts:
    """From manifests and listings; with `columns` some windows of each batch are read."""
    published = next((one for one in depot.history() if one.generation == generation.id), None)
    garbage = planned(depot, grace=timedelta(0), now=now)
    return StoreFacts(
        base=depot.base,
        generation=generation,
        facts=facts_of(generation),
        published=published,
        masks=generation.masks,
        holds=tuple(depot.holds()),
        stored=sum(facts.size for facts in depot.listed("objects")),
        garbage=garbage.size,
        columns=generation_columns(depot, generation) if columns and generation.shards else {},
    )
