"""What a generation takes and holds, for people: bytes, rows, samples, and where the bytes go."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from services.jointcall.columnar.store.batch import BatchReader, columns_of, compressed_bytes
from services.jointcall.columnar.store.depot import Depot
from services.jointcall.columnar.store.generation import Batch, Generation


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFacts:
    batch: str
    samples: int
    masked: int
    size: int
    """Bytes of all its objects."""
    block_rows: int
    variant_rows: int
    window_bp: tuple[int, ...]
    """The widths that its shards have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationFacts:
    generation: str
    operation: str
    samples: int
    masked: int
    bases: int
    """Of all shards together."""
    size: int
    block_rows: int
    variant_rows: int
    batches: tuple[BatchFacts, ...]

    @property
    def bytes_per_row(self) -> float:
        return self.size / max(1, self.block_rows + self.variant_rows)

    @property
    def bytes_per_sample_megabase(self) -> float:
        """Of stored samples, masked ones too: what a Mb of a sample takes."""
        stored = sum(batch.samples for batch in self.batches)
        return self.size * 1e6 / max(1, stored * self.bases)

    def ratio(self, gvcf_bytes: int) -> float:
        """Of the bytes of the gVCFs that it was made from (over the same stretch)."""
        return self.size / gvcf_bytes


def facts_of(generation: Generation) -> GenerationFacts:
    """From the manifest alone: nothing is read."""
    batches = tuple(_of_batch(generation, batch) for batch in generation.batches)
    return GenerationFacts(
        generation=generation.id,
        operation=generation.operation,
        samples=len(generation.samples),
        masked=len(generation.masks),
        bases=sum(shard.last - shard.first + 1 for shard in generation.shards),
        size=sum(batch.size for batch in batches),
        block_rows=sum(batch.block_rows for batch in batches),
        variant_rows=sum(batch.variant_rows for batch in batches),
        batches=batches,
    )


def _of_batch(generation: Generation, batch: Batch) -> BatchFacts:
    return BatchFacts(
        batch=batch.id,
        samples=len(batch.samples),
        masked=len(batch.samples) - len(generation.counting(batch)),
        size=sum(file.size for file in batch.objects),
        block_rows=sum(shard.blocks.rows for shard in batch.shards),
        variant_rows=sum(shard.variants.rows for shard in batch.shards),
        window_bp=tuple(sorted({shard.window_bp for shard in batch.shards})),
    )


def column_bytes(reader: BatchReader, *, at_most: int = 8) -> dict[str, int]:
    """`blocks.gq`, `variants.pl`, ...: compressed bytes of each column over at most so many windows, evenly spread."""
    windows = len(reader.windows())
    total: Counter[str] = Counter()
    for index in range(0, windows, -(-windows // at_most)):
        for kind, columns in columns_of(reader.read(index)).items():
            for name, size in compressed_bytes(columns).items():
                total[f"{kind}.{name}"] += size
    return dict(total.most_common())


def generation_columns(depot: Depot, generation: Generation, *, at_most: int = 8) -> dict[str, int]:
    """`column_bytes` of the first shard of each batch."""
    total: Counter[str] = Counter()
    for batch in generation.batches:
        with depot.open_shard(batch, 0) as reader:
            total.update(column_bytes(reader, at_most=at_most))
    return dict(total.most_common())
