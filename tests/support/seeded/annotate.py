"""A seeded annotation engine: which consequence an allele has in a transcript that it lies in is drawn for the two."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from chassis.errors import ToolFailed, reject
from chassis.reference.local import LocalReference
from chassis.tools import vcf as text
from contracts.values import Provenance
from services.annotate import consequences
from services.annotate.engines.alleles import BASES, other_build, write_alleles
from services.annotate.engines.protocol import NO_GENE_MODEL, AnnotatedCounts
from tests.support.seeded import drawn

NAME = "seeded-annotate"
STAMP = "##cohortstream_consequence="
_OURS = (STAMP.encode(), b"##INFO=<ID=BCSQ,", b"##INFO=<ID=BCSQ_ALLELE,")
_DRAWN_FROM = ("stop_gained", "missense", "missense", "synonymous", "synonymous", "intron", "intron", "3_prime_utr")

Transcript = tuple[str, int, int, str, str, str, str]
"""Contig, first and last base, gene, transcript, biotype, strand."""


class SeededAnnotate:
    """See `protocol.Engine`."""

    def provenance(self, *, reference: LocalReference) -> Provenance:
        matter = {
            "engine": drawn.parameters(NAME),
            "gene_model": None if reference.gff is None else _sha256(reference.gff),
            "reference": reference.id.digest,
        }
        canonical = json.dumps(matter, sort_keys=True)
        return Provenance(tool=NAME, version=drawn.VERSION, parameters=hashlib.sha256(canonical.encode()).hexdigest())

    def annotate(self, *, vcf: Path, reference: LocalReference, out: Path, scratch: Path, log: Path) -> AnnotatedCounts:
        if not text.is_whole(vcf):
            raise ToolFailed(tool=NAME, status="incomplete", said=f"{vcf.name} has no end block")
        header = [line for line in text.lasting(text.header_of(vcf)) if not line.startswith(_OURS)]
        _require_build(vcf, reference, header)
        asked = scratch / "alleles.vcf"
        try:
            contigs = tuple(line for line in header if line.startswith(b"##contig="))
            alleles_asked = write_alleles(vcf, contigs=contigs, fasta=reference.fasta, out=asked)
        finally:
            asked.unlink(missing_ok=True)
        header[-1:-1] = [line.encode() for line in _said(reference)]
        model = _transcripts(_stamp(reference.gff)) if reference.gff is not None and alleles_asked else ()
        records = alleles = annotated = 0
        with text.writing(out) as sink:
            sink.write(b"\n".join(header) + b"\n")
            for line in text.lines(vcf):
                if line.startswith(b"#"):
                    continue
                columns = line.decode().split("\t")
                entries: list[tuple[int, str]] = []
                for place, alt in enumerate(columns[4].split(","), start=1):
                    alleles += alt != "."
                    told = [_entry(one, columns, alt) for one in model if _in(one, columns)]
                    if BASES.fullmatch(alt.encode()):
                        entries += [(place, one) for one in told]
                        annotated += bool(told)
                columns[7] = _info(columns[7], entries)
                sink.write(("\t".join(columns) + "\n").encode())
                records += 1
        text.index(out)
        return AnnotatedCounts(records=records, alleles=alleles, annotated=annotated)


def _require_build(vcf: Path, reference: LocalReference, header: list[bytes]) -> None:
    rows = (line.split("\t") for line in reference.fai.read_text(encoding="ascii").splitlines())
    lengths = {name: int(length) for name, length, *_ in rows}
    for name, length in text.contigs_of(header):
        if lengths.get(name) != length:
            raise other_build(vcf.name, f"contig {name} of length {length} is not in the reference")


def _said(reference: LocalReference) -> tuple[str, ...]:
    if reference.gff is None:
        return (NO_GENE_MODEL,)
    return (
        *consequences.HEADER,
        f"{STAMP}{NAME} {drawn.VERSION} gene_model=sha256:{_sha256(reference.gff)}",
    )


def _in(transcript: Transcript, columns: list[str]) -> bool:
    contig, first, last, *_ = transcript
    return columns[0] == contig and first <= int(columns[1]) <= last


def _entry(transcript: Transcript, columns: list[str], alt: str) -> str:
    *_, gene, name, biotype, strand = transcript
    number = drawn.number("consequence", name, *columns[:2], columns[3], alt)
    change = f"{columns[1]}{columns[3]}>{alt}"
    return f"{_DRAWN_FROM[number % len(_DRAWN_FROM)]}|{gene}|{name}|{biotype}|{strand}|1A>1B|{change}"


def _info(info: str, entries: list[tuple[int, str]]) -> str:
    kept = [one for one in info.split(";") if one != "." and not one.startswith(("BCSQ=", "BCSQ_ALLELE="))]
    if entries:
        kept.append("BCSQ=" + ",".join(entry for _, entry in entries))
        kept.append("BCSQ_ALLELE=" + ",".join(str(allele) for allele, _ in entries))
    return ";".join(kept) or "."


def _stamp(path: Path) -> tuple[str, int, int]:
    facts = path.stat()
    return str(path), facts.st_mtime_ns, facts.st_size


@lru_cache(maxsize=4)
def _transcripts(stamp: tuple[str, int, int]) -> tuple[Transcript, ...]:
    """Ensembl-style: a line with `ID=transcript:...` and its `Parent=gene:...`."""
    path = Path(stamp[0])
    genes: dict[str, str] = {}
    found: list[Transcript] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        columns = line.split("\t")
        if len(columns) != 9 or line.startswith("#"):
            continue
        told = dict(one.split("=", 1) for one in columns[8].split(";") if "=" in one)
        if told.get("ID", "").startswith("gene:"):
            genes[told["ID"]] = told.get("Name", told["ID"][5:])
        elif told.get("ID", "").startswith("transcript:"):
            gene = genes.get(told.get("Parent", ""), "")
            biotype = told.get("biotype", "protein_coding")
            found.append((columns[0], int(columns[3]), int(columns[4]), gene, told["ID"][11:], biotype, columns[6]))
    if not found:
        raise reject(
            code="GFF_FORMAT",
            message="there is no transcript that can be read",
            where=path.name,
            rule="a gene model is GFF3 in Ensembl's style (ID=gene:..., ID=transcript:..., Parent=gene:...)",
            fix="give Ensembl's GFF3 of this build, or a bundle without gene model",
        )
    return tuple(found)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
