"""A seeded joint-calling engine: a generation is the gVCFs' lines, a joint record is every sample's word on a place.

The site's figures are drawn from all cells of the record, so that one sample more, less or other changes them.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pysam

from chassis.reference.local import LocalReference
from chassis.tools import vcf
from contracts.values import EngineName, Interval, Provenance
from services.jointcall.engines.gather import gather_all
from services.jointcall.engines.gvcf import check_batch, contigs_of
from services.jointcall.engines.protocol import CalledChunk, GvcfInput, IntervalCounts
from services.jointcall.engines.records import NON_REF
from services.jointcall.intervals import chunks
from tests.support.seeded import drawn

NAME = "seeded-jointcall"
ROWS = "rows.json"
HEADER = (
    "##fileformat=VCFv4.2",
    '##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads by allele">',
    '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Reads">',
    '##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Genotype quality">',
    '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
    '##INFO=<ID=AC,Number=A,Type=Integer,Description="Copies of each ALT">',
    '##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency of each ALT">',
    '##INFO=<ID=AN,Number=1,Type=Integer,Description="Called alleles">',
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="Reads">',
    '##INFO=<ID=FS,Number=1,Type=Float,Description="Strand bias">',
    '##INFO=<ID=MQ,Number=1,Type=Float,Description="Mapping quality">',
    '##INFO=<ID=MQRankSum,Number=1,Type=Float,Description="Mapping quality rank sum">',
    '##INFO=<ID=QD,Number=1,Type=Float,Description="Quality by depth">',
    '##INFO=<ID=ReadPosRankSum,Number=1,Type=Float,Description="Read position rank sum">',
    '##INFO=<ID=SOR,Number=1,Type=Float,Description="Strand odds ratio">',
)
BAD_SHARE = 0.1
"""Of sites, with figures that hard filters hold against them."""


@dataclass(frozen=True, slots=True)
class Word:
    """A gVCF record: bases `start` to `end` (1-based), ALTs without `<NON_REF>`, the sample's fields."""

    start: int
    end: int
    ref: str
    alts: tuple[str, ...]
    cell: Mapping[str, str]


class SeededJointcall:
    """See `protocol.Engine`. `chunk_bp` in bases."""

    incremental = False

    def __init__(self, *, chunk_bp: int) -> None:
        self._chunk_bp = chunk_bp

    @property
    def name(self) -> EngineName:
        return EngineName(name=NAME, version=drawn.VERSION)

    def provenance(self) -> Provenance:
        return Provenance(tool=NAME, version=drawn.VERSION, parameters=drawn.parameters(NAME))

    def chunks(self, interval: Interval) -> tuple[Interval, ...]:
        return chunks(interval, self._chunk_bp)

    def add_samples(
        self,
        *,
        generation: Path | None,
        batch: Sequence[GvcfInput],
        interval: Interval,
        reference: LocalReference,
        out: Path,
        scratch: Path,
    ) -> None:
        if generation is not None:
            raise ValueError("the seeded engine makes a generation from all of its samples, not from an earlier one")
        if out.exists():
            raise FileExistsError(f"{out} is there already; a generation is written once")
        check_batch(batch, interval=interval, reference=reference)
        out.mkdir(parents=True)
        rows = sorted(batch, key=lambda one: one.name)
        (out / ROWS).write_text(json.dumps([one.name for one in rows]), encoding="utf-8")
        for row, one in enumerate(rows):
            with pysam.TabixFile(str(one.path), index=str(one.index)) as tabix:
                known = interval.contig in tabix.contigs
                lines = tabix.fetch(interval.contig, interval.start - 1, interval.end) if known else ()
                (out / f"{row}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def genotype_chunk(
        self, *, generation: Path, chunk: Interval, reference: LocalReference, out: Path, scratch: Path
    ) -> CalledChunk:
        names = json.loads((generation / ROWS).read_text(encoding="utf-8"))
        rows = [_words(generation / f"{row}.txt") for row in range(len(names))]
        starts = [[one.start for one in row] for row in rows]
        places = sorted(
            {one.start for row in rows for one in row if one.alts and chunk.start <= one.start <= chunk.end}
        )
        columns = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *names)
        contigs = (f"##contig=<ID={name},length={length}>" for name, length in contigs_of(reference))
        with vcf.writing(out) as sink:
            sink.write("".join(f"{line}\n" for line in (*HEADER, *contigs, "\t".join(columns))).encode())
            for position in places:
                said = [_said_at(position, row, at) for row, at in zip(rows, starts, strict=True)]
                line = _joint(chunk.contig, position, said)
                if line is not None:
                    sink.write(f"{line}\n".encode())
        return CalledChunk(interval=chunk, vcf=out)

    def genotype(
        self,
        *,
        generation: Path,
        interval: Interval,
        reference: LocalReference,
        out_vcf: Path,
        out_sites: Path,
        scratch: Path,
    ) -> IntervalCounts:
        return gather_all(
            self,
            generation=generation,
            interval=interval,
            reference=reference,
            out_vcf=out_vcf,
            out_sites=out_sites,
            scratch=scratch,
        )


def _words(path: Path) -> list[Word]:
    return list(_read(path.read_text(encoding="utf-8").splitlines()))


def _read(lines: Sequence[str]) -> Iterator[Word]:
    for line in lines:
        _, start, _, ref, alts, _, _, info, layout, cell = line.split("\t")
        ends = [int(entry[4:]) for entry in info.split(";") if entry.startswith("END=")]
        yield Word(
            start=int(start),
            end=ends[0] if ends else int(start) + len(ref) - 1,
            ref=ref,
            alts=tuple(alt for alt in alts.split(",") if alt != NON_REF),
            cell=dict(zip(layout.split(":"), cell.split(":"), strict=False)),
        )


def _said_at(position: int, row: Sequence[Word], starts: Sequence[int]) -> Word | None:
    """The last record that begins at or before `position` and reaches it."""
    at = bisect_right(starts, position) - 1
    return row[at] if at >= 0 and row[at].end >= position else None


def _joint(contig: str, position: int, said: Sequence[Word | None]) -> str | None:
    """The joint record; None where nobody carries an ALT. A variant that began earlier speaks as a reference block
    does: there is no `*`."""
    here = [one if one is not None and one.start == position and one.alts else None for one in said]
    ref = max((one.ref for one in here if one is not None), key=len)
    longer = [{alt: _lengthened(alt, one.ref, ref) for alt in one.alts} if one is not None else {} for one in here]
    carried = [_alleles(one) for one in here]
    alts = sorted(
        {
            longer[sample][one.alts[allele - 1]]
            for sample, one in enumerate(here)
            if one is not None
            for allele in carried[sample] or ()
            if 0 < allele <= len(one.alts)
        }
    )
    if not alts:
        return None
    index = {alt: place for place, alt in enumerate(alts, start=1)}
    cells = [
        _cell(block, own, alleles, [index.get(longer[sample][alt], 0) for alt in own.alts] if own else [], len(alts))
        for sample, (block, own, alleles) in enumerate(zip(said, here, carried, strict=True))
    ]
    called = [int(allele) for cell in cells for allele in cell.split(":")[0].split("/") if allele != "."]
    counts = [called.count(place) for place in index.values()]
    if not any(counts):
        return None
    seed = drawn.number(contig, position, ref, *alts, *cells)
    depth = sum(int(cell.split(":")[2]) for cell in cells if cell.split(":")[2] != ".")
    supporting = sum(
        int(cell.split(":")[2])
        for cell in cells
        if set(cell.split(":")[0].split("/")) - {"0", "."} and cell.split(":")[2] != "."
    )
    figures = _figures(seed, [cell.split(":")[0] for cell in cells])
    quality = max(30.0, figures["QD"] * supporting)
    info = ";".join(
        (
            f"AC={','.join(map(str, counts))}",
            f"AF={','.join(f'{count / len(called):.3f}' for count in counts)}",
            f"AN={len(called)}",
            f"DP={depth}",
            *(f"{name}={value:.2f}" for name, value in sorted(figures.items())),
        )
    )
    head = (contig, str(position), ".", ref, ",".join(alts), f"{quality:.2f}", ".", info, "GT:AD:DP:GQ")
    return "\t".join((*head, *cells))


def _lengthened(alt: str, ref: str, longest: str) -> str:
    """An ALT against a longer REF; `*` says nothing about bases."""
    return alt + longest[len(ref) :] if alt.isalpha() else alt


def _alleles(own: Word | None) -> tuple[int, ...] | None:
    genotype = own.cell.get("GT", ".").replace("|", "/").split("/") if own is not None else ["."]
    return None if "." in genotype else tuple(int(one) for one in genotype)


def _cell(
    block: Word | None, own: Word | None, alleles: tuple[int, ...] | None, places: Sequence[int], alts: int
) -> str:
    """GT:AD:DP:GQ. `places` are the joint indexes of the sample's own ALTs; `<NON_REF>` is told as REF."""
    if block is None:
        return f"./.:{','.join('0' * (alts + 1))}:.:."
    depth, quality = block.cell.get("DP", "0"), block.cell.get("GQ", "0")
    depths = [0] * (alts + 1)
    if own is None or alleles is None:
        depths[0] = int(depth) if depth.isdigit() else 0
        return f"{'0/0' if depths[0] else './.'}:{','.join(map(str, depths))}:{depth}:{quality}"
    joint = [0, *places, 0]
    for allele, count in enumerate(own.cell.get("AD", "").split(",")):
        if count.isdigit():
            depths[joint[allele]] += int(count)
    genotype = "/".join(str(one) for one in sorted(joint[allele] for allele in alleles))
    return f"{genotype}:{','.join(map(str, depths))}:{depth}:{quality}"


def _figures(seed: int, genotypes: Sequence[str]) -> dict[str, float]:
    """Annotations as plausible sites have them; rank sums where someone is heterozygous."""
    bad = drawn.share("bad", seed) < BAD_SHARE
    draw = {name: drawn.share(name, seed) for name in ("FS", "MQ", "MQRankSum", "QD", "ReadPosRankSum", "SOR")}
    figures = {
        "FS": 65 * draw["FS"] if bad else 10 * draw["FS"],
        "MQ": 60 - (25 if bad else 5) * draw["MQ"],
        "QD": 4 * draw["QD"] if bad else 5 + 25 * draw["QD"],
        "SOR": 2 + 3 * draw["SOR"] if bad else 0.3 + 1.5 * draw["SOR"],
    }
    if any(len(set(genotype.split("/"))) > 1 for genotype in genotypes):
        figures |= {name: 4 * draw[name] - 2 for name in ("MQRankSum", "ReadPosRankSum")}
    return figures
