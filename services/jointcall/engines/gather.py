"""Chunks into an interval's VCF and its sites-only companion, in one pass over the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from chassis.errors import ToolFailed
from chassis.reference.local import LocalReference
from chassis.tools import vcf
from contracts.values import Interval
from services.jointcall.engines.jitter import settle
from services.jointcall.engines.protocol import CalledChunk, Engine, IntervalCounts

INFO_COLUMN_END = 8  # CHROM POS ID REF ALT QUAL FILTER INFO


def gather(*, chunks: Sequence[CalledChunk], out_vcf: Path, out_sites: Path) -> IntervalCounts:
    """Write the records that start inside their chunk to `out_vcf`, their first eight columns to `out_sites`, and
    index both.

    `chunks` are in order and disjoint. Raises ToolFailed when a chunk is cut short, out of order, or has other
    columns than the first: an engine wrote it, so the input is not at fault."""
    for chunk in chunks:
        if not vcf.is_whole(chunk.vcf):
            raise _wrong(chunk, "has no end block")
    header = vcf.lasting(vcf.header_of(chunks[0].vcf))
    sites_columns = b"\t".join(header[-1].split(b"\t")[:INFO_COLUMN_END])
    variants = 0
    with vcf.writing(out_vcf) as full, vcf.writing(out_sites) as sites:
        full.write(b"\n".join(header) + b"\n")
        sites.write(b"\n".join((*header[:-1], sites_columns)) + b"\n")
        for chunk in chunks:
            if vcf.lasting(vcf.header_of(chunk.vcf)) != header:
                raise _wrong(chunk, "has another header than the first chunk")
            for record in _records(chunk):
                line = record if chunk.settled else settle(record)
                full.write(line + b"\n")
                sites.write(b"\t".join(line.split(b"\t", INFO_COLUMN_END)[:INFO_COLUMN_END]) + b"\n")
                variants += 1
    for written in (out_vcf, out_sites):
        vcf.index(written)
    return IntervalCounts(variants=variants, samples=len(vcf.samples_of(header)))


def gather_all(
    engine: Engine,
    *,
    generation: Path,
    interval: Interval,
    reference: LocalReference,
    out_vcf: Path,
    out_sites: Path,
    scratch: Path,
) -> IntervalCounts:
    """What `Engine.genotype` promises, by the engine's own chunks, one after the other."""
    called = [
        engine.genotype_chunk(
            generation=generation,
            chunk=chunk,
            reference=reference,
            out=scratch / f"{chunk.slug}.vcf.gz",
            scratch=scratch,
        )
        for chunk in engine.chunks(interval)
    ]
    return gather(chunks=called, out_vcf=out_vcf, out_sites=out_sites)


def _records(chunk: CalledChunk) -> Iterator[bytes]:
    before = 0
    for line in vcf.lines(chunk.vcf):
        if line.startswith(b"#"):
            continue
        contig, position, _ = line.split(b"\t", 2)
        at = int(position)
        if at < before or contig.decode() != chunk.interval.contig:
            raise _wrong(chunk, f"has a record out of order or place behind position {before}")
        before = at
        if chunk.interval.start <= at <= chunk.interval.end:
            yield line


def _wrong(chunk: CalledChunk, said: str) -> ToolFailed:
    return ToolFailed(tool="joint genotyping", status="incomplete", said=f"the chunk {chunk.interval} {said}")
