"""References and reads as small as the services take them."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pysam

from chassis.reference.local import LocalReference
from contracts.values import Interval, ReferenceId

CONTIGS = {"chrA": 1600, "chrB": 1200, "chrC": 800}
READ_BP, INSERT_BP = 80, 200
_COMPLEMENT = str.maketrans("ACGT", "TGCA")


def write_fasta(path: Path, *, seed: int = 1) -> Path:
    """Random bases: three contigs, 3.6 kb."""
    draw = random.Random(seed)
    path.write_text("".join(f">{name}\n{''.join(draw.choices('ACGT', k=n))}\n" for name, n in CONTIGS.items()))
    return path


def write_gff(path: Path) -> Path:
    """A gene on each of the first two contigs, in Ensembl's style."""
    lines = ["##gff-version 3"]
    for number, contig in enumerate(("chrA", "chrB"), start=1):
        head = f"{contig}\ttest"
        lines += [
            f"{head}\tgene\t101\t900\t.\t+\t.\tID=gene:G{number};Name=GENE{number};biotype=protein_coding;gene_id=G{number}",
            f"{head}\tmRNA\t101\t900\t.\t+\t.\tID=transcript:T{number};Parent=gene:G{number};biotype=protein_coding",
            f"{head}\texon\t101\t900\t.\t+\t.\tParent=transcript:T{number};rank=1",
            f"{head}\tCDS\t101\t900\t.\t+\t0\tID=CDS:P{number};Parent=transcript:T{number}",
        ]
    path.write_text("\n".join(lines) + "\n")
    return path


def local_reference(folder: Path, *, interval_bp: int = 500) -> LocalReference:
    """As a worker has it on its disk, with all files but bwa's."""
    fasta = write_fasta(folder / "reference.fa")
    pysam.faidx(str(fasta))
    pysam.samtools.dict("-o", str(fasta.with_suffix(".dict")), str(fasta), catch_stdout=False)
    intervals = tuple(
        Interval(contig=name, start=start, end=min(start + interval_bp - 1, length), contig_length=length)
        for name, length in CONTIGS.items()
        for start in range(1, length + 1, interval_bp)
    )
    return LocalReference(
        id=ReferenceId(name="people", digest="0" * 32),
        fasta=fasta,
        intervals=intervals,
        gff=write_gff(folder / "genes.gff3"),
    )


def fastq_pair(
    *, person: int, pairs: int = 60, flowcell: str = "FC1", lane: int = 1, contigs: dict[str, str]
) -> tuple[bytes, bytes]:
    """Gzipped R1 and R2 of so many fragments of `contigs` (name -> bases); other persons, flow cells and lanes have
    other reads. 60 pairs cover the 3.6 kb of `write_fasta` 2.6 times."""
    draw = random.Random(f"{person} {flowcell} {lane}")
    names = list(contigs)
    weights = [len(contigs[name]) for name in names]
    texts: tuple[list[str], list[str]] = ([], [])
    for number in range(1, pairs + 1):
        (name,) = draw.choices(names, weights)
        start = draw.randrange(len(contigs[name]) - INSERT_BP + 1)
        fragment = contigs[name][start : start + INSERT_BP]
        ends = fragment[:READ_BP], fragment.translate(_COMPLEMENT)[::-1][:READ_BP]
        if draw.random() < 0.5:
            ends = ends[1], ends[0]
        for mate, (text, bases) in enumerate(zip(texts, ends, strict=True), start=1):
            head = f"@M1:{person}:{flowcell}:{lane}:1101:{number * 5000}:{number * 5000} {mate}:N:0:ACGTACGT"
            text.append(f"{head}\n{bases}\n+\n{'F' * READ_BP}\n")
    r1, r2 = (gzip.compress("".join(text).encode(), compresslevel=1, mtime=0) for text in texts)
    return r1, r2


def bases_of(fasta: Path) -> dict[str, str]:
    with pysam.FastaFile(str(fasta)) as opened:
        return {name: opened.fetch(name) for name in opened.references}
