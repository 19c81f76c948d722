"""Making the files of a bundle in a scratch folder: index, dictionary, bwa index, checked resources."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chassis.errors import ToolFailed
from chassis.reference import resources
from chassis.reference.fasta import Sequence as FastaSequence
from chassis.reference.local import BWA_SUFFIXES
from chassis.reference.model import BundleFile, Role
from chassis.storage import keys
from chassis.storage.sums import sum_of

FASTA_NAME = "reference.fa"
GFF_NAME = "genes.gff3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file of the bundle and where it lies until it is stored."""

    file: BundleFile
    at: Path


def sequence_set(fasta: Path, sequences: Sequence[FastaSequence]) -> tuple[Made, ...]:
    """`fasta` (normal form) with its .fai, .dict and bwa index, made beside it. Raises ToolFailed."""
    import pysam

    pysam.faidx(str(fasta))
    dictionary = fasta.with_suffix(".dict")
    index_with_bwa(fasta)
    # after bwa, which may leave a dictionary of its own making
    dictionary.write_text(dictionary_of(sequences), encoding="ascii")
    return _named(
        "sequences",
        [
            (Role.fasta, fasta),
            (Role.fai, fasta.with_name(fasta.name + ".fai")),
            (Role.dictionary, dictionary),
            *((Role.bwa, fasta.with_name(fasta.name + suffix)) for suffix in BWA_SUFFIXES),
        ],
    )


def dictionary_of(sequences: Iterable[FastaSequence]) -> str:
    """A sequence dictionary: SAM header lines. Without UR, as the file has no one place."""
    lines = [f"@SQ\tSN:{sequence.name}\tLN:{sequence.length}\tM5:{sequence.md5}" for sequence in sequences]
    return "\n".join(["@HD\tVN:1.6\tSO:unsorted", *lines]) + "\n"


def index_with_bwa(fasta: Path) -> None:
    """bwa's index beside the FASTA, by pybwa. Raises ToolFailed with bwa's last words, or when a file is missing."""
    argv = [sys.executable, "-m", "chassis.reference.bwa_index", str(fasta)]
    ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if ended.returncode != 0:
        said = ended.stderr.decode(errors="replace").strip()[-300:]
        raise ToolFailed(tool="bwa index", status=ended.returncode, said=said)
    for suffix in BWA_SUFFIXES:
        part = fasta.with_name(fasta.name + suffix)
        if not part.is_file() or part.stat().st_size == 0:
            raise ToolFailed(tool="bwa index", status="ended", said=f"no {part.name} was written")


def known_sites_set(vcf: Path, *, fasta: Path, lengths: dict[str, int], folder: Path) -> tuple[Made, ...]:
    """Checked, bgzipped and indexed in `folder`; the name of the file stays, as training resources are told apart by
    it. Raises Rejected."""
    stem = vcf.name.removesuffix(".gz").removesuffix(".bgz").removesuffix(".vcf")
    out = folder / f"{keys.slug(stem)}.vcf.gz"
    index = resources.known_sites(vcf, fasta=fasta, lengths=lengths, out=out)
    return _named("sites", [(Role.known_sites, out), (Role.known_sites_index, index)])


def gene_model_set(gff: Path, *, lengths: dict[str, int], folder: Path) -> tuple[Made, ...]:
    out = folder / GFF_NAME
    resources.gene_model(gff, lengths=lengths, out=out)
    return _named("genes", [(Role.gff, out)])


def _named(kind: str, files: list[tuple[Role, Path]]) -> tuple[Made, ...]:
    """The set's name holds the hash of its files' names and sums: other content is another folder."""
    sums = [(role, path, *sum_of(path)) for role, path in files]
    listing = "\n".join(f"{path.name} {sha256}" for _, path, sha256, _ in sums)
    folder = f"{kind}-{hashlib.sha256(listing.encode()).hexdigest()[:16]}"
    return tuple(
        Made(file=BundleFile(role=role, path=f"{folder}/{path.name}", sha256=sha256, size=size), at=path)
        for role, path, sha256, size in sums
    )
