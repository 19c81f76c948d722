"""A seeded align engine: reads placed by their words, genotypes drawn from all reads that lie at a site.

So a read lost, or there twice, changes the depth and most genotypes of the sites that it covers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Literal

import pysam

from chassis.errors import ToolFailed
from chassis.reference.local import LocalReference
from chassis.tools import htslib, vcf
from chassis.tools.fastq import read_pairs
from chassis.tools.fingerprint import Fingerprint
from contracts.values import Interval, Provenance
from services.align.engines.gather import gather_gvcf, read_gvcf
from services.align.engines.header import header_of, lane_header, read_groups_together
from services.align.engines.metrics import measure
from services.align.engines.protocol import CramMetrics, GvcfMetrics, LaneInput, LaneMetrics
from tests.support.seeded import drawn, reads
from tests.support.seeded.sites import Site, sites_of

NAME = "seeded-align"
HEADER = (
    "##fileformat=VCFv4.2",
    '##ALT=<ID=NON_REF,Description="Any other allele">',
    '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads by allele">',
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Reads">',
    '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Genotype quality">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
    '##FORMAT=<ID=MIN_DP,Number=1,Type=Integer,Description="Fewest reads in the block">',
    '##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Likelihoods">',
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="Reads">',
    '##INFO=<ID=END,Number=1,Type=Integer,Description="End of the block">',
)
NOT_COUNTED = reads.UNMAPPED | reads.NOT_PRIMARY


class SeededAlign:
    """A `ChunkedEngine`."""

    granularity: Literal["chunk"] = "chunk"

    def provenance(self) -> Provenance:
        return Provenance(tool=NAME, version=drawn.VERSION, parameters=drawn.parameters(NAME))

    def align_lane(
        self, *, lane: LaneInput, reference: LocalReference, out_bam: Path, scratch: Path, threads: int
    ) -> LaneMetrics:
        stamp = reads.stamp_of(reference.fasta)
        header = lane_header(reference, lane.read_group, aligner=NAME, version=drawn.VERSION, command=NAME)
        fingerprint = Fingerprint()
        records: list[pysam.AlignedSegment] = []
        for pair in read_pairs(lane.r1, lane.r2):
            for mate, line in enumerate(reads.as_sam(pair, stamp, lane.read_group.id), start=1):
                fingerprint.add(pair[mate - 1], mate)
                records.append(pysam.AlignedSegment.fromstring(line, header))
        htslib.write_sorted([records], header=header, out_bam=out_bam, scratch=scratch)
        return LaneMetrics(read_pairs=len(records) // 2, fingerprint=fingerprint.hexdigest())

    def merge(
        self,
        *,
        inputs: Sequence[Path],
        previous: Path | None,
        reference: LocalReference,
        optical_distance: int,
        out_cram: Path,
        scratch: Path,
        threads: int,
    ) -> CramMetrics:
        read_groups_together(inputs, previous, reference)
        records: list[pysam.AlignedSegment] = []
        groups: dict[str, dict[str, str]] = {}
        for path in (*inputs, *([previous] if previous is not None else [])):
            groups |= {group["ID"]: group for group in header_of(path)["RG"]}
            with pysam.AlignmentFile(str(path), reference_filename=str(reference.fasta)) as source:
                records += source.fetch(until_eof=True)
        for record in records:
            for derived in ("MD", "NM"):  # a CRAM's decoder adds them
                record.set_tag(derived, None)
        records.sort(key=lambda one: (one.query_name or "", one.flag & 0xC0, str(one.get_tag("RG"))))
        reads.mark_duplicates(records, {name: group["LB"] for name, group in groups.items()})
        template = header_of(inputs[0] if inputs else _given(previous))
        header = pysam.AlignmentHeader.from_dict(
            {
                "HD": template["HD"],
                "SQ": template["SQ"],
                "RG": [groups[name] for name in sorted(groups)],
                "PG": template["PG"],
            }
        )
        marked = scratch / "marked.bam"
        htslib.write_sorted([records], header=header, out_bam=marked, scratch=scratch)
        htslib.to_cram(marked, fasta=reference.fasta, out_cram=out_cram, threads=1)
        marked.unlink()
        return measure(out_cram, reference=reference, scratch=scratch, threads=1)

    def call(
        self,
        *,
        cram: Path,
        reference: LocalReference,
        intervals: Sequence[Interval],
        out_gvcf: Path,
        scratch: Path,
        threads: int = 1,
    ) -> GvcfMetrics:
        htslib.require_whole(cram)
        stamp = _stamp(reference)
        contigs = [f"##contig=<ID={name},length={len(bases)}>" for name, bases in reads.contigs_of(stamp)]
        sample = header_of(cram)["RG"][0]["SM"]
        columns = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", sample)
        lines = [*HEADER, *contigs, "\t".join(columns)]
        with pysam.AlignmentFile(str(cram), reference_filename=str(reference.fasta)) as source:
            for interval in intervals:
                lines += _Pile(interval, sites_of(stamp, interval.contig), source).lines(
                    dict(reads.contigs_of(stamp))[interval.contig]
                )
        with vcf.writing(out_gvcf) as sink:
            sink.write("".join(f"{line}\n" for line in lines).encode())
        found = list(read_gvcf(out_gvcf))
        return GvcfMetrics(
            records=len(found),
            variants=sum(one.variant for one in found),
            covered=sum(one.end - one.start + 1 for one in found),
        )

    def gather(self, *, parts: Sequence[Path], out_gvcf: Path) -> GvcfMetrics:
        return gather_gvcf(parts, out_gvcf, header_lines=(f"##cohortstreamCaller={NAME} {drawn.VERSION}",))


class _Pile:
    """The reads over one calling interval: depth by base, and by site the sum of what its reads are."""

    def __init__(self, interval: Interval, sites: Sequence[Site], source: pysam.AlignmentFile) -> None:
        self._interval = interval
        positions = [one.position for one in sites]
        first, last = bisect_left(positions, interval.start), bisect_left(positions, interval.end + 1)
        self._sites = sites[first:last]
        self._seeds = [0] * len(self._sites)
        steps = [0] * (interval.length + 1)
        positions = positions[first:last]
        for record in source.fetch(interval.contig, interval.start - 1, interval.end):
            if record.flag & NOT_COUNTED:
                continue
            start, end = record.reference_start, record.reference_end or 0
            own = Fingerprint()
            own.add_record(record)
            seed = int(own.hexdigest()[-16:], 16)
            for at in range(bisect_left(positions, start + 1), bisect_left(positions, end + 1)):
                self._seeds[at] += seed
            if not record.is_duplicate:
                steps[max(0, start - interval.start + 1)] += 1
                steps[min(interval.length, end - interval.start + 1)] -= 1
        self._depth = list(accumulate(steps))

    def lines(self, bases: str) -> Iterator[str]:
        at = self._interval.start
        for site, seed in zip(self._sites, self._seeds, strict=True):
            if at < site.position:
                yield self._block(at, site.position - 1, bases)
            depth = self._depth[site.position - self._interval.start]
            alleles = site.genotype(seed) if depth else (0, 0)
            if alleles == (0, 0):
                yield self._block(site.position, site.position, bases)
                at = site.position + 1
            else:
                yield self._variant(site, alleles, depth, seed)
                at = site.position + len(site.ref)
        if at <= self._interval.end:
            yield self._block(at, self._interval.end, bases)

    def _block(self, start: int, end: int, bases: str) -> str:
        depths = self._depth[start - self._interval.start : end - self._interval.start + 1]
        depth, least = sum(depths) // len(depths), min(depths)
        quality = min(99, 3 * depth)
        cell = f"0/0:{depth}:{quality}:{least}:0,{quality},{10 * quality}"
        return (
            f"{self._interval.contig}\t{start}\t.\t{bases[start - 1]}\t<NON_REF>\t.\t.\tEND={end}\t"
            f"GT:DP:GQ:MIN_DP:PL\t{cell}"
        )

    def _variant(self, site: Site, alleles: tuple[int, int], depth: int, seed: int) -> str:
        carried = sorted({one for one in alleles if one})
        index = {0: 0} | {one: place for place, one in enumerate(carried, start=1)}
        genotype = index[alleles[0]], index[alleles[1]]
        counts = [0] * (len(carried) + 2)
        for read in range(depth):
            counts[genotype[(seed >> (read % 60)) & 1]] += 1
        quality = min(99, 3 * depth + seed % 7)
        pairs = [(a, b) for b in range(len(counts)) for a in range(b + 1)]
        likelihoods = [0 if one == genotype else quality + 10 * rank for rank, one in enumerate(pairs)]
        alts = ",".join((*(site.alts[one - 1] for one in carried), "<NON_REF>"))
        cell = (
            f"{genotype[0]}/{genotype[1]}:{','.join(map(str, counts))}:{depth}:{quality}:"
            f"{','.join(map(str, likelihoods))}"
        )
        return (
            f"{self._interval.contig}\t{site.position}\t.\t{site.ref}\t{alts}\t{20 * depth}\t.\tDP={depth}\t"
            f"GT:AD:DP:GQ:PL\t{cell}"
        )


def _stamp(reference: LocalReference) -> reads.Stamp:
    try:
        return reads.stamp_of(reference.fasta)
    except FileNotFoundError as error:
        raise ToolFailed(tool=NAME, status="failed", said=f"{reference.fasta.name} is not there") from error


def _given(previous: Path | None) -> Path:
    assert previous is not None
    return previous
