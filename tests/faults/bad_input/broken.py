"""gVCFs that are broken, each in one way, beside the good one that they are made from."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pysam

from services.jointcall.engines.protocol import GvcfInput
from tests.services.jointcall.engines.written import HEADER, bgzip, block, het, sequence, write_gvcf

LENGTH = 2000
BASES = sequence(LENGTH)
CONTIGS = [("c1", LENGTH)]
SNP = "ACGT"[("ACGT".index(BASES[499]) + 1) % 4]
GOOD = [block(BASES, 1, 499), het(BASES[499], SNP, 500), block(BASES, 501, LENGTH)]
NAME = "ada"

Make = Callable[[Path], GvcfInput]


def written(folder: Path, *records: str, name: str = NAME, contig: str = "c1", header: str = HEADER) -> GvcfInput:
    """A gVCF of these records, indexed. A broken header is given whole."""
    columns = f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{name}"
    lines = (
        f"##contig=<ID={contig},length={LENGTH}>",
        columns,
        *(line.replace("c1\t", f"{contig}\t", 1) for line in records),
    )
    return bgzip(folder / f"{name}.g.vcf.gz", (header + "\n".join(lines) + "\n").encode(), name=name)


def good(folder: Path) -> GvcfInput:
    return write_gvcf(folder, NAME, GOOD, contigs=CONTIGS)


def truncated(folder: Path) -> GvcfInput:
    gvcf = good(folder)
    gvcf.path.write_bytes(gvcf.path.read_bytes()[:-28])
    return gvcf


def damaged(folder: Path) -> GvcfInput:
    gvcf = good(folder)
    content = bytearray(gvcf.path.read_bytes())
    content[60] ^= 0xFF
    gvcf.path.write_bytes(content)
    return gvcf


def without_header(folder: Path) -> GvcfInput:
    return bgzip(folder / f"{NAME}.g.vcf.gz", ("\n".join(GOOD) + "\n").encode(), name=NAME)


def without_columns(folder: Path) -> GvcfInput:
    gvcf = bgzip(folder / f"{NAME}.g.vcf.gz", (HEADER + "\n".join(GOOD) + "\n").encode(), name=NAME)
    return gvcf


def of_two_samples(folder: Path) -> GvcfInput:
    both = [f"{line}\t{line.rsplit(chr(9), 1)[1]}" for line in GOOD]
    return write_gvcf(folder, NAME, both, contigs=CONTIGS, columns=[NAME, "bea"])


def with_undeclared_info(folder: Path) -> GvcfInput:
    return written(folder, GOOD[0], GOOD[1].replace("\tDP=30\t", "\tDP=30;QX=7\t"), GOOD[2])


def with_undeclared_format(folder: Path) -> GvcfInput:
    return written(folder, GOOD[0], GOOD[1].replace("GT:AD:DP", "GT:AX:DP"), GOOD[2])


def with_an_undeclared_end(folder: Path) -> GvcfInput:
    header = "".join(line for line in HEADER.splitlines(keepends=True) if "ID=END" not in line)
    return written(folder, *GOOD, header=header)


def of_someone_else(folder: Path) -> GvcfInput:
    return replace(write_gvcf(folder, "bea", GOOD, contigs=CONTIGS), name=NAME)


def with_an_unsafe_name(folder: Path) -> GvcfInput:
    return replace(write_gvcf(folder, NAME, GOOD, contigs=CONTIGS, columns=["-ada"]), name="-ada")


def of_another_build(folder: Path) -> GvcfInput:
    return write_gvcf(folder, NAME, GOOD, contigs=[("c1", 2001)])


def with_more_contigs(folder: Path) -> GvcfInput:
    return write_gvcf(folder, NAME, GOOD, contigs=[*CONTIGS, ("c2", 100)])


def of_another_sequence(folder: Path) -> GvcfInput:
    return write_gvcf(folder, NAME, [GOOD[0], het(SNP, BASES[499], 500), GOOD[2]], contigs=CONTIGS)


def with_a_gap(folder: Path) -> GvcfInput:
    """Of 100 bases."""
    gvcf = write_gvcf(folder, NAME, [*GOOD[:2], block(BASES, 501, 700), block(BASES, 801, LENGTH)], contigs=CONTIGS)
    return replace(gvcf, must_cover=True)


def without_a_record(folder: Path) -> GvcfInput:
    return replace(write_gvcf(folder, NAME, [], contigs=CONTIGS), must_cover=True)


def without_non_ref(folder: Path) -> GvcfInput:
    genotyped = f"c1\t500\t.\t{BASES[499]}\t{SNP}\t500\t.\tDP=30\tGT:AD:DP:GQ:PL\t0/1:15,15:30:99:600,0,600"
    return write_gvcf(folder, NAME, [GOOD[0], genotyped, GOOD[2]], contigs=CONTIGS)


def out_of_order(folder: Path) -> GvcfInput:
    """The blocks behind the variant are swapped, under an index that finds them: htslib refuses to make one."""
    return _indexed_by_hand(folder, *GOOD[:2], block(BASES, 601, 700), block(BASES, 501, 600), skipped=0)


def with_an_index_into_a_record(folder: Path) -> GvcfInput:
    """It ends where the file ends, and begins within a line."""
    return _indexed_by_hand(folder, *GOOD, skipped=7)


def _indexed_by_hand(folder: Path, *records: str, skipped: int) -> GvcfInput:
    """One chunk of one bin: from so many bytes behind the first record's start to the end."""
    columns = f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{NAME}\n"
    head = HEADER + f"##contig=<ID=c1,length={LENGTH}>\n" + columns
    text = (head + "\n".join(records) + "\n").encode()
    gvcf = bgzip(folder / f"{NAME}.g.vcf.gz", text, name=NAME, index=False)
    begin, end = len(head) + skipped, gvcf.path.stat().st_size - 28
    leaf = struct.pack("<iIiQQ", 1, 4681, 1, begin, end << 16) + struct.pack("<iQ", 1, begin)
    names = b"c1\0"
    with pysam.BGZFile(str(gvcf.index), "w", None) as sink:
        sink.write(struct.pack("<4siiiiiiii", b"TBI\x01", 1, 2, 1, 2, 0, ord("#"), 0, len(names)) + names + leaf)
    return gvcf


def without_index(folder: Path) -> GvcfInput:
    gvcf = good(folder)
    gvcf.index.unlink()
    return gvcf


def with_a_broken_index(folder: Path) -> GvcfInput:
    gvcf = good(folder)
    gvcf.index.write_bytes(b"no index at all")
    return gvcf


def _indexed_as(folder: Path, records: Sequence[str]) -> GvcfInput:
    """The good gVCF beside a sound index of another: same contigs, same name, younger than its file."""
    other = folder / "other"
    other.mkdir()
    index = write_gvcf(other, NAME, records, contigs=CONTIGS).index.read_bytes()
    gvcf = good(folder)
    gvcf.index.write_bytes(index)
    return gvcf


def with_an_index_of_more_records(folder: Path) -> GvcfInput:
    return _indexed_as(folder, [*GOOD[:2], *(block(BASES, at, at) for at in range(501, LENGTH + 1))])


def with_an_index_of_the_version_before(folder: Path) -> GvcfInput:
    """As many records at the same places; one of them has another genotype."""
    return _indexed_as(folder, [GOOD[0], GOOD[1].replace("0/1:15,15,0:30:99", "0/1:9,21,0:30:77"), GOOD[2]])


def on(contig: str, genotype: str, likelihoods: str) -> Make:
    """A gVCF of one contig with one variant, its genotype and likelihoods as given."""
    about = f"c1\t500\t.\t{BASES[499]}\t{SNP},<NON_REF>\t500\t.\tDP=30\tGT:AD:DP:GQ:PL"
    record = f"{about}\t{genotype}:15,15,0:30:99:{likelihoods}"

    def make(folder: Path) -> GvcfInput:
        return written(folder, GOOD[0], record, GOOD[2], contig=contig)

    return make
