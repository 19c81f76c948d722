"""Consequences by `bcftools csq` against the bundle's gene model (Danecek and McCarthy 2017, Bioinformatics 33:2037).

Why `--local-csq`, each variant on its own, and not csq's haplotype-aware mode: our genotypes are unphased, and
`--phase a` would invent haplotypes; intervals are annotated one by one, so a transcript across an interval's edge would
be called differently than elsewhere; and what a variant does would depend on who else is in the cohort. The price is
that two SNPs within one codon are told as two changes.

csq sees one line per ALT without genotypes. Its BCSQ does not say which allele a non-coding entry is about, so that in
a record with several ALTs it could not be told; and its time would grow with the number of samples.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chassis.errors import Rejected, ToolFailed, reject
from chassis.reference.local import LocalReference
from chassis.tools import measured, vcf
from contracts.values import Provenance
from services.annotate import consequences
from services.annotate.engines.alleles import BASES, other_build, write_alleles
from services.annotate.engines.protocol import NO_GENE_MODEL, AnnotatedCounts

PROTEIN_CHANGE_AA = 1
"""Amino acids shown of a changed protein: a frameshift would otherwise spell out the whole tail."""
PARAMETERS = ("--local-csq", "--trim-protein-seq", str(PROTEIN_CHANGE_AA), "--force")
"""`--force`: a contig without genes is a warning, not an error."""
SAID_LIMIT = 500  # characters of the tool's last words in an error

_OURS = (b"##cohortstream_consequence", b"##INFO=<ID=BCSQ,", b"##INFO=<ID=BCSQ_ALLELE,")


@dataclass(frozen=True, slots=True)
class CsqEngine:
    """bcftools csq, as pysam brings it along."""

    def provenance(self, *, reference: LocalReference) -> Provenance:
        parameters = {
            "arguments": PARAMETERS,
            "gene_model": None if reference.gff is None else _sha256(reference.gff),
            "reference": reference.id.digest,
        }
        canonical = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
        return Provenance(
            tool="bcftools-csq", version=version(), parameters=hashlib.sha256(canonical.encode()).hexdigest()
        )

    def annotate(self, *, vcf: Path, reference: LocalReference, out: Path, scratch: Path, log: Path) -> AnnotatedCounts:
        header = _header(vcf, reference)
        header = (*header[:-1], *(line.encode() for line in _stamp(reference)), header[-1])
        sites, told = scratch / "alleles.vcf", scratch / "alleles.csq.vcf"
        found: Iterator[tuple[bytes, bytes]] = iter(())
        try:
            contigs = tuple(line for line in header if line.startswith(b"##contig="))
            asked = write_alleles(vcf, contigs=contigs, fasta=reference.fasta, out=sites)
            # a gene model takes seconds to load: nothing to ask is no reason to
            if asked and reference.gff is not None:
                _run_csq(sites, reference.fasta, reference.gff, out=told, log=log)
                found = _read_consequences(told)
            return _merge(source=vcf, found=found, header=header, out=out)
        finally:
            sites.unlink(missing_ok=True)
            told.unlink(missing_ok=True)


def version() -> str:
    """bcftools' version."""
    from pysam.version import __bcftools_version__

    return str(__bcftools_version__)


def _header(path: Path, reference: LocalReference) -> tuple[bytes, ...]:
    """The input's lasting header without an earlier annotation. Raises Rejected (BUILD_MISMATCH)."""
    if not vcf.is_whole(path):
        raise ToolFailed(tool="annotate", status="incomplete", said=f"{path.name} has no end block")
    header = tuple(line for line in vcf.lasting(vcf.header_of(path)) if not line.startswith(_OURS))
    lengths = _contigs(reference)
    for name, length in vcf.contigs_of(header):
        if lengths.get(name) != length:
            raise other_build(path.name, f"contig {name} of length {length} is not in the reference")
    return header


def _contigs(reference: LocalReference) -> dict[str, int]:
    lines = reference.fai.read_text(encoding="ascii").splitlines()
    return {name: int(length) for name, length, *_ in (line.split("\t") for line in lines)}


def _stamp(reference: LocalReference) -> tuple[str, ...]:
    """Header lines that say how the consequences were told."""
    if reference.gff is None:
        return (NO_GENE_MODEL,)
    made = f"bcftools csq {version()} {' '.join(PARAMETERS)} gene_model=sha256:{_sha256(reference.gff)}"
    return (*consequences.HEADER, f"##cohortstream_consequence={made}")


def _run_csq(sites: Path, fasta: Path, gff: Path, *, out: Path, log: Path) -> None:
    """Raises Rejected when csq blames the input, ToolFailed when it just failed."""
    command = [sys.executable, "-m", "services.annotate.engines.csq_process"]
    arguments = [*PARAMETERS, "--fasta-ref", str(fasta), "--gff-annot", str(gff), "-O", "v", "-o", str(out), str(sites)]
    began = log.stat().st_size if log.exists() else 0
    with measured.tool("bcftools csq", executable="bcftools") as usage:
        status = measured.run([*command, *arguments], usage=usage, log=log)
        if status != 0:
            said = log.read_bytes()[began:].decode(errors="replace").replace("\\n", "\n").strip()
            raise _why(said, status, fasta=fasta, gff=gff)


def _why(said: str, status: int, *, fasta: Path, gff: Path) -> Rejected | ToolFailed:
    if "No usable transcripts" in said or "Could not parse the line" in said:
        return reject(
            code="GFF_FORMAT",
            message="csq finds no transcript that it can read",
            where=gff.name,
            rule="a gene model is GFF3 in Ensembl's style (ID=gene:..., ID=transcript:..., Parent=transcript:...)",
            fix="give Ensembl's GFF3 of this build, or a bundle without gene model",
        )
    # without this machine's folders
    said = said.replace(f"{fasta.parent}/", "").replace(f"{gff.parent}/", "")
    return ToolFailed(tool="bcftools csq", status=status, said=said[-SAID_LIMIT:], out_of_memory=status == -9)


def _read_consequences(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """(`<record>.<allele>`, BCSQ or empty) of each allele, in order."""
    with path.open("rb") as lines:
        for line in lines:
            if not line.startswith(b"#"):
                fields = line.rstrip(b"\n").split(b"\t")
                told = (item[5:] for item in fields[7].split(b";") if item.startswith(b"BCSQ="))
                yield fields[2], next(told, b"")


def _merge(
    *, source: Path, found: Iterator[tuple[bytes, bytes]], header: tuple[bytes, ...], out: Path
) -> AnnotatedCounts:
    """The records of `source` under the new header, each with the consequences of its alleles added to INFO."""
    asked = NO_GENE_MODEL.encode() not in header
    records = alleles = annotated = 0
    with vcf.writing(out) as sink:
        sink.write(b"\n".join(header) + b"\n")
        for line in vcf.lines(source):
            if line.startswith(b"#"):
                continue
            *head, info, rest = (*line.split(b"\t", 8), b"")[:9]
            entries: list[tuple[int, bytes]] = []
            for allele, alt in enumerate(head[4].split(b","), start=1):
                if alt == b".":
                    continue
                alleles += 1
                if asked and BASES.fullmatch(alt):
                    told = _answer(found, b"%d.%d" % (records, allele))
                    entries += [(allele, entry) for entry in told.split(b",") if entry]
                    annotated += bool(told)
            sink.write(b"\t".join((*head, _with_consequences(info, entries), *((rest,) if rest else ()))) + b"\n")
            records += 1
    if next(found, None) is not None:
        raise ToolFailed(
            tool="bcftools csq", status="incomplete", said="it told of alleles that it was not asked about"
        )
    vcf.index(out)
    return AnnotatedCounts(records=records, alleles=alleles, annotated=annotated)


def _answer(found: Iterator[tuple[bytes, bytes]], name: bytes) -> bytes:
    answer = next(found, None)
    if answer is None or answer[0] != name:
        raise ToolFailed(tool="bcftools csq", status="incomplete", said=f"no answer for allele {name.decode()}")
    return answer[1]


def _with_consequences(info: bytes, entries: list[tuple[int, bytes]]) -> bytes:
    kept = [item for item in info.split(b";") if item != b"." and not item.startswith((b"BCSQ=", b"BCSQ_ALLELE="))]
    if entries:
        kept.append(b"BCSQ=" + b",".join(entry for _, entry in entries))
        kept.append(b"BCSQ_ALLELE=" + b",".join(b"%d" % allele for allele, _ in entries))
    return b";".join(kept) or b"."


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
