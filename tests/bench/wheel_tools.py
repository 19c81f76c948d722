"""bwa, samtools, bcftools and tabix out of wheels, for machines without the programs: `wheel_tools.py TOOL ARGUMENTS`.

The bare script prefers the programs, which start sooner. What it asks of bwa is little: `mem -K N -R RG FASTA R1 R2`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main(argv: list[str]) -> int:
    tool, *arguments = argv
    if tool == "bwa":
        return _bwa(arguments)
    if tool == "tabix":
        import pysam

        pysam.tabix_index(arguments[-1], preset="vcf", force=True)
        return 0
    return _htslib(tool, arguments)


def _htslib(tool: str, arguments: list[str]) -> int:
    import pysam
    import pysam.bcftools
    from pysam.utils import SamtoolsError

    command, *rest = arguments
    writes_file = "-o" in rest or command == "index"
    try:
        said = getattr(pysam if tool == "samtools" else pysam.bcftools, command)(*rest, catch_stdout=not writes_file)
    except SamtoolsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(said or "")
    return 0


def _bwa(arguments: list[str]) -> int:
    """SAM to stdout, as the engine's own aligner makes it."""
    from pysam import AlignedSegment, AlignmentFile, AlignmentHeader

    from chassis.tools.bwa import Pybwa
    from chassis.tools.fastq import read_pairs

    batch, group, fasta, r1, r2 = int(arguments[2]), arguments[4], Path(arguments[5]), arguments[6], arguments[7]
    fields = dict(field.split(":", 1) for field in group.split("\\t")[1:])
    sequences = [line.split("\t") for line in fasta.with_name(fasta.name + ".fai").read_text().splitlines()]
    header: dict[str, Any] = {
        "HD": {"VN": "1.6", "SO": "unsorted"},
        "SQ": [{"SN": name, "LN": int(length)} for name, length, *_ in sequences],
        "RG": [fields],
    }

    def records(log: Path) -> Iterator[AlignedSegment]:
        for aligned in Pybwa(batch_bases=batch).align(read_pairs(Path(r1), Path(r2)), fasta=fasta, threads=1, log=log):
            yield from aligned

    with (
        tempfile.NamedTemporaryFile() as log,
        AlignmentFile("-", "w", header=AlignmentHeader.from_dict(header)) as out,
    ):
        for record in records(Path(log.name)):
            record.set_tag("RG", fields["ID"])
            out.write(record)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
