"""A small person: two contigs with planted variants, and the reads of a library in a lane."""

import gzip
import random
from dataclasses import dataclass, field
from pathlib import Path

from chassis.reference.local import LocalReference
from contracts.values import Interval, ReferenceId
from services.align.engines.protocol import LaneInput, ReadGroup

READ_BP, INSERT_BP = 100, 300
N_RUN = (1900, 2100)  # 0-based, half-open, in contig "one"
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


@dataclass(frozen=True, kw_only=True)
class Person:
    """`variants`: (contig, 1-based position, ref, alt), all heterozygous; `haplotypes`: by contig."""

    contigs: dict[str, str]
    variants: list[tuple[str, int, str, str]]
    haplotypes: dict[str, tuple[str, str]]


def person(*, seed: int = 5) -> Person:
    rng = random.Random(seed)
    contigs = {name: "".join(rng.choices("ACGT", k=length)) for name, length in (("one", 4000), ("two", 2500))}
    contigs["one"] = contigs["one"][: N_RUN[0]] + "N" * (N_RUN[1] - N_RUN[0]) + contigs["one"][N_RUN[1] :]
    variants: list[tuple[str, int, str, str]] = []
    haplotypes: dict[str, tuple[str, str]] = {}
    for name, sequence in contigs.items():
        changed, shift = sequence, 0
        for position in range(300, len(sequence) - 300, 350):
            ref = sequence[position - 1]
            if ref == "N":
                continue
            kind = position // 350 % 3
            if kind == 0:
                variant = (name, position, sequence[position - 1 : position + 3], ref)  # a deletion of three bases
            elif kind == 1:
                variant = (name, position, ref, ref + "GTCA")
            else:
                variant = (name, position, ref, "ACGT"["ACGT".index(ref) - 1])
            _, _, old, new = variant
            at = position - 1 + shift
            changed = changed[:at] + new + changed[at + len(old) :]
            shift += len(new) - len(old)
            variants.append(variant)
        haplotypes[name] = (sequence, changed)
    return Person(contigs=contigs, variants=variants, haplotypes=haplotypes)


def write_reference(of: Person, folder: Path) -> LocalReference:
    import pysam
    from pybwa import BwaIndex

    fasta = folder / "ref.fa"
    fasta.write_text("".join(f">{name}\n{sequence}\n" for name, sequence in of.contigs.items()))
    pysam.faidx(str(fasta))
    BwaIndex.index(fasta)
    lengths = {name: len(sequence) for name, sequence in of.contigs.items()}
    spans = (
        ("one", 1, N_RUN[0]),
        ("one", N_RUN[1] + 1, lengths["one"]),
        ("two", 1, 1200),
        ("two", 1201, lengths["two"]),
    )
    return LocalReference(
        id=ReferenceId(name="small", digest="0" * 32),
        fasta=fasta,
        intervals=tuple(
            Interval(contig=name, start=start, end=end, contig_length=lengths[name]) for name, start, end in spans
        ),
    )


@dataclass(kw_only=True)
class Sequencer:
    """Writes lanes. Every cluster has its own place on the flow cell, far from all others."""

    of: Person
    seed: int
    flowcell: str = "FC1"
    sample: str = "S1"
    _rng: random.Random = field(init=False)
    _clusters: int = 0

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def lane(
        self,
        folder: Path,
        *,
        lane: int,
        library: str = "LIB1",
        depth: float = 12,
        again: tuple[tuple[str, int], ...] = (),
    ) -> LaneInput:
        """`again`: (contig, start) of fragments that are sequenced too, from the unchanged haplotype."""
        fragments: list[str] = []
        for name, (_, changed) in self.of.haplotypes.items():
            for _ in range(round(depth * len(self.of.contigs[name]) / (2 * READ_BP))):
                haplotype = self.of.haplotypes[name][self._rng.randrange(2)]
                insert = max(READ_BP, round(self._rng.gauss(INSERT_BP, 25)))
                start = self._rng.randrange(min(len(haplotype), len(changed)) - insert)
                fragments.append(haplotype[start : start + insert])
        fragments += [self.of.contigs[name][start : start + INSERT_BP] for name, start in again]
        paths = folder / f"{self.flowcell}-L{lane}-R1.fastq.gz", folder / f"{self.flowcell}-L{lane}-R2.fastq.gz"
        with gzip.open(paths[0], "wt", compresslevel=1) as r1, gzip.open(paths[1], "wt", compresslevel=1) as r2:
            for fragment in fragments:
                if self._rng.random() < 0.5:
                    fragment = _reverse(fragment)
                self._clusters += 1
                name = f"M1:1:{self.flowcell}:{lane}:1101:{self._clusters * 5000}:{self._clusters * 5000}"
                for mate, (stream, bases) in enumerate(((r1, fragment), (r2, _reverse(fragment))), start=1):
                    read = bases[:READ_BP]
                    wrong = [self._rng.random() < 0.002 for _ in read]
                    bases = "".join(self._rng.choice("ACGT") if w else b for w, b in zip(wrong, read, strict=True))
                    qualities = "".join("," if w else "F" for w in wrong)
                    stream.write(f"@{name} {mate}:N:0:ACGT\n{bases}\n+\n{qualities}\n")
        group = ReadGroup(id=f"{self.flowcell}.{lane}.ACGT", sample=self.sample, library=library)
        return LaneInput(r1=paths[0], r2=paths[1], read_group=group)


def _reverse(bases: str) -> str:
    return bases.translate(_COMPLEMENT)[::-1]
