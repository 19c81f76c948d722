"""The whole of it in one call: gVCFs in, a joint VCF out, nothing kept."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contracts.values import Interval
from services.jointcall.columnar.genotype.panel import write_vcf
from services.jointcall.columnar.genotype.streaming import Member, stretches
from services.jointcall.columnar.importing import write_batch
from services.jointcall.columnar.reading.columns import Parsed
from services.jointcall.columnar.reading.parsing import Target, parse
from services.jointcall.columnar.store.batch import BatchReader
from services.jointcall.engines.gvcf import sample_name_of
from services.jointcall.engines.protocol import GvcfInput


def joint_call(
    *, gvcfs: Sequence[Path], fasta: Path, contig: str, first: int, last: int, out: Path, all_sites: bool = False
) -> None:
    """Joint genotypes of the records that start from `first` to `last` (1-based, inclusive), samples in the order of
    their names, to `out` (VCF in BGZF, no index). Each gVCF has its `.tbi` beside it, `fasta` its `.fai`.

    Raises Rejected for a gVCF that is not fit."""
    import pysam

    named = sorted((sample_name_of(path), path) for path in gvcfs)
    with pysam.FastaFile(str(fasta)) as reference:
        contigs = tuple(zip(reference.references, reference.lengths, strict=True))
        bases = reference.fetch(contig, first - 1, last)
    interval = Interval(contig=contig, start=first, end=last, contig_length=dict(contigs)[contig])
    target = Target(interval=interval, bases=np.frombuffer(bases.encode(), np.uint8), contigs=contigs)

    def parsed(at: int) -> Parsed:
        name, path = named[at]
        return parse(GvcfInput(name=name, path=path, index=path.with_name(path.name + ".tbi")), target=target)

    names = [name for name, _ in named]
    with tempfile.TemporaryDirectory(prefix="joint-") as scratch:
        folder = Path(scratch)
        write_batch(names=names, parse=parsed, contig=contig, first=first, last=last, folder=folder)
        with BatchReader(
            blocks=folder / "blocks.arrow", variants=folder / "variants.arrow", where="the batch"
        ) as reader:
            member = Member(
                reader=reader,
                columns=np.arange(len(names), dtype=np.int32),
                masked=np.zeros(len(names), np.uint8),
            )
            called = stretches(
                [member],
                first=first,
                last=last,
                samples=len(names),
                bases=(lambda begin, end: bases[begin - first : end - first + 1].encode()) if all_sites else None,
            )
            write_vcf(((contig, one) for one in called), contigs=contigs, samples=names, out=out)
