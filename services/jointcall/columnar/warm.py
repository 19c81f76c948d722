"""All that a task compiles, compiled once per installation: by whoever needs it first, while the others wait for it.

A tiny cohort is called. What its records have decides what is compiled, since code is compiled when it is first run:
blocks, an overlap, `*`, several ALTs, phase, haploids.

`python -m services.jointcall.columnar.warm` does it ahead of time.
"""

from __future__ import annotations

import fcntl
import platform
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

WHOLE = "whole"
"""Marks a folder that holds everything, for a processor."""

_BASES = "ACGTTGCATGCAACTG" * 64
_CONTIG = "chrX"  # haploids are in their place there
_HEADER = """##fileformat=VCFv4.2
##ALT=<ID=NON_REF,Description="Any other allele">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads by allele">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Reads">
##FORMAT=<ID=GQ,Number=1,Type=Integer,Description="Genotype quality">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=MIN_DP,Number=1,Type=Integer,Description="Fewest reads in the block">
##FORMAT=<ID=PGT,Number=1,Type=String,Description="Phase">
##FORMAT=<ID=PID,Number=1,Type=String,Description="Phase set">
##FORMAT=<ID=PL,Number=G,Type=Integer,Description="Likelihoods">
##FORMAT=<ID=PS,Number=1,Type=Integer,Description="Phase set">
##FORMAT=<ID=SB,Number=4,Type=Integer,Description="Reads by strand">
##INFO=<ID=BaseQRankSum,Number=1,Type=Float,Description="Base qualities">
##INFO=<ID=DP,Number=1,Type=Integer,Description="Reads">
##INFO=<ID=END,Number=1,Type=Integer,Description="End of the block">
##INFO=<ID=MQRankSum,Number=1,Type=Float,Description="Mapping qualities">
##INFO=<ID=RAW_MQandDP,Number=2,Type=Integer,Description="Squares of mapping qualities, and reads">
##INFO=<ID=ReadPosRankSum,Number=1,Type=Float,Description="Positions in reads">
"""


def warm() -> None:
    """Return when everything is compiled. At once where it is."""
    import numba

    import_module("services.jointcall.columnar.compiled")  # decides where
    folder = Path(vars(numba.config)["CACHE_DIR"])
    marker = folder / f"{WHOLE}-{platform.machine()}"
    if marker.exists():
        return
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not marker.exists():
            _call()
            marker.touch()


def _call() -> None:
    import pysam

    from services.jointcall.columnar.alone import joint_call

    with tempfile.TemporaryDirectory(prefix="warm-") as scratch:
        folder = Path(scratch)
        fasta = folder / "reference.fa"
        fasta.write_text(f">{_CONTIG}\n{_BASES}\n", encoding="ascii")
        pysam.faidx(str(fasta))
        gvcfs = [_written(folder, name, records) for name, records in _people().items()]
        joint_call(gvcfs=gvcfs, fasta=fasta, contig=_CONTIG, first=1, last=len(_BASES), out=folder / "called.vcf.gz")


def _people() -> dict[str, Sequence[str]]:
    strands, ranks = "8,7,9,6", "BaseQRankSum=0.5;DP=30;MQRankSum=0.1;RAW_MQandDP=108000,30;ReadPosRankSum=-0.3"
    layout, phased = "GT:AD:DP:GQ:PL:SB", "GT:AD:DP:GQ:PGT:PID:PL:PS:SB"
    deletion, inside = _BASES[200:204], _BASES[202]
    het = f"30:99:600,0,600,645,645,1290:{strands}"
    two = "600,300,300,300,0,300,645,645,645,1290"
    return {
        "p1": [
            _block(1, 200),
            _record(201, deletion, deletion[0], ranks, layout, f"0/1:15,15,0:{het}"),
            _record(203, inside, _other(inside), ranks, layout, f"0/1:15,15,0:{het}"),
            _block(205, len(_BASES)),
        ],
        "p2": [
            _block(1, 202),
            _record(203, inside, f"{_other(inside)},{inside}TT", ranks, layout, f"1/2:0,15,15,0:30:99:{two}:{strands}"),
            _block(204, 300),
            _record(301, _BASES[300], _other(_BASES[300]), ranks, phased,
                    f"0|1:15,15,0:30:99:0|1:301_A_C:600,0,600,645,645,1290:301:{strands}"),
            _block(302, len(_BASES)),
        ],
        "p3": [
            _block(1, 300, "GT:DP:GQ:MIN_DP:PL", "0:30:99:30:0,900"),
            _record(301, _BASES[300], _other(_BASES[300]), ranks, layout, f"1:0,30,0:30:99:900,0,900:{strands}"),
            _block(302, len(_BASES), "GT:DP:GQ:MIN_DP:PL", "0:30:99:30:0,900"),
        ],
    }  # fmt: skip


def _other(base: str) -> str:
    return "C" if base != "C" else "G"


def _block(first: int, last: int, layout: str = "GT:DP:GQ:MIN_DP:PL", cell: str = "0/0:30:90:30:0,90,1200") -> str:
    return f"{_CONTIG}\t{first}\t.\t{_BASES[first - 1]}\t<NON_REF>\t.\t.\tEND={last}\t{layout}\t{cell}"


def _record(start: int, ref: str, alts: str, about: str, layout: str, cell: str) -> str:
    return f"{_CONTIG}\t{start}\t.\t{ref}\t{alts},<NON_REF>\t500\t.\t{about}\t{layout}\t{cell}"


def _written(folder: Path, name: str, records: Sequence[str]) -> Path:
    from chassis.tools import vcf

    path = folder / f"{name}.g.vcf.gz"
    columns = "\t".join(("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", name))
    contig = f"##contig=<ID={_CONTIG},length={len(_BASES)}>"
    with vcf.writing(path) as sink:
        sink.write((_HEADER + "\n".join((contig, columns, *records)) + "\n").encode())
    vcf.index(path)
    return path


if __name__ == "__main__":
    warm()
