"""Real reads as ingest announces them: FASTQs and sample cards in the store, events that name them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.events import RunCompleted
from contracts.values import Arrival, ArtifactKind, LaneReads, RunSample, Sample
from tests.support import events
from tests.support.served import Served
from tests.support.site import ROOT

ONE_KG = ROOT / "console" / "demo" / "data" / "1kg_chr17"
REFERENCE = ONE_KG / "reference.fa"
INDEX = "ACGTACGT+TTGCATGC"
FASTQ_LINES = 4


def library(number: int) -> str:
    return f"lib_{number:024x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Some of the read pairs of a sample of the 1000 Genomes; each mate is one FASTQ record of text."""

    label: str
    r1: tuple[bytes, ...]
    r2: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.r1)

    def part(self, start: int, end: int | None = None) -> Pairs:
        return Pairs(label=self.label, r1=self.r1[start:end], r2=self.r2[start:end])


def pairs_of(label: str) -> Pairs:
    r1, r2 = (_records(next(ONE_KG.glob(f"{label}_*_R{mate}_001.fastq.gz"))) for mate in (1, 2))
    return Pairs(label=label, r1=r1, r2=r2)


def _records(fastq: Path) -> tuple[bytes, ...]:
    lines = gzip.decompress(fastq.read_bytes()).splitlines(keepends=True)
    return tuple(b"".join(lines[at : at + FASTQ_LINES]) for at in range(0, len(lines), FASTQ_LINES))


async def run_completed(
    served: Served, number: int, *lanes: Pairs, version: int = 1, libraries: Sequence[int] = (1,)
) -> RunCompleted:
    """A run in which one sample came, with its reads in lanes 1, 2, ... of a flow cell of the version's own; a lane's
    library is the one at its place in `libraries`, or the first."""
    key = events.sample_of(number)
    run = f"run-{number}-{version}"
    prefix = f"landing/{run}/{key}"
    named = {library(one): f"LIB{one}" for one in libraries}
    card = {"label": lanes[0].label, "libraries": named}
    reads = []
    for lane, (pairs, library_key) in enumerate(_with_library(lanes, list(named)), start=1):
        r1, r2 = [
            await served.put(
                ArtifactKind.fastq, f"{prefix}/L{lane}_R{mate}.fastq.gz", gzip.compress(b"".join(records), mtime=0)
            )
            for mate, records in ((1, pairs.r1), (2, pairs.r2))
        ]
        reads.append(
            LaneReads(
                flowcell=f"FC{version}",
                lane=lane,
                index=INDEX,
                library=library_key,
                r1=r1,
                r2=r2,
                read_pairs=len(pairs),
            )
        )
    arrived = RunSample(
        sample=Sample(key=key, project="1KG", version=version),
        arrival=Arrival.new if version == 1 else Arrival.top_up,
        card=await served.put(ArtifactKind.card, f"{prefix}/card.json", json.dumps(card).encode()),
        lanes=tuple(reads),
    )
    return RunCompleted(run=run, platform="ILLUMINA", instrument="NovaSeq", optical_distance=2500, samples=(arrived,))


def _with_library(lanes: Sequence[Pairs], keys: Sequence[str]) -> list[tuple[Pairs, str]]:
    return [(pairs, keys[place] if place < len(keys) else keys[0]) for place, pairs in enumerate(lanes)]
