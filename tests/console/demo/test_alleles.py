"""One spelling for an allele, checked against bcftools."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.demo.alleles import Allele, decompose, normalise
from console.demo.genome import draw_bases

#            0123456789
REPETITIVE = "GCACACATTTG"


@pytest.mark.parametrize(
    ("position", "ref", "alt", "expected"),
    [
        (3, "C", "T", (3, "C", "T")),
        (5, "CA", "C", (5, "CA", "C")),
        (4, "ACA", "A", (0, "GCA", "G")),
        (6, "A", "ACA", (0, "G", "GCA")),
        (8, "TT", "T", (6, "AT", "A")),
        (2, "ACAC", "ACAG", (5, "C", "G")),
    ],
)
def test_an_allele_moves_to_its_leftmost_shortest_form(
    position: int, ref: str, alt: str, expected: tuple[int, str, str]
) -> None:
    assert normalise(REPETITIVE, position, ref, alt) == expected


def test_a_deletion_of_the_first_base_keeps_the_base_after_it() -> None:
    assert normalise("ACGT", 0, "AC", "C") == (0, "AC", "C")


def test_a_ref_unlike_the_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="not what the reference says"):
        normalise("ACGT", 1, "G", "T")


@given(
    sequence=st.text(alphabet="AC", min_size=2, max_size=30),
    where=st.integers(0, 29),
    length=st.integers(1, 6),
    alt=st.text(alphabet="AC", min_size=1, max_size=6),
)
def test_the_normal_form_makes_the_same_haplotype_and_is_its_own_normal_form(
    sequence: str, where: int, length: int, alt: str
) -> None:
    position = where % len(sequence)
    ref = sequence[position : position + length]
    if ref == alt:
        return
    start, short_ref, short_alt = normalise(sequence, position, ref, alt)
    changed = sequence[:position] + alt + sequence[position + len(ref) :]
    assert sequence[:start] + short_alt + sequence[start + len(short_ref) :] == changed
    assert normalise(sequence, start, short_ref, short_alt) == (start, short_ref, short_alt)


def test_decomposition_knows_substitutions_of_several_bases_and_what_is_no_allele() -> None:
    assert decompose("ACGTA", "c", 1, "CGT", "AGA") == [
        Allele(contig="c", position=1, ref="C", alt="A"),
        Allele(contig="c", position=3, ref="T", alt="A"),
    ]
    assert decompose("ACGTA", "c", 1, "C", "*") == []
    assert decompose("ACGTA", "c", 1, "C", "<NON_REF>") == []


def test_bcftools_norm_agrees(tmp_path: Path) -> None:
    import pysam
    import pysam.bcftools

    rng = np.random.default_rng(5)
    sequence = draw_bases(rng, 400).tobytes().decode()[:200] + "CA" * 12 + "T" * 9 + "ACGACGACGACG" + "GATTACA" * 5
    fasta = tmp_path / "r.fa"
    fasta.write_text(f">c\n{sequence}\n")
    lines = [
        "##fileformat=VCFv4.2",
        f"##contig=<ID=c,length={len(sequence)}>",
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO",
    ]
    ours = {}
    for number in range(300):
        at = int(rng.integers(0, len(sequence) - 12))
        ref = sequence[at : at + int(rng.integers(1, 9))]
        # parts of the reference itself as ALT make the alleles that can move
        end = int(rng.integers(at + 1, min(at + 12, len(sequence))))
        alt = ref[0] + sequence[at + 1 : end]
        if alt == ref or len(alt) == len(ref):
            continue
        lines.append(f"c\t{at + 1}\tv{number}\t{ref}\t{alt}\t.\t.\t.")
        ours[f"v{number}"] = normalise(sequence, at, ref, alt)
    raw = tmp_path / "raw.vcf"
    raw.write_text("\n".join(lines) + "\n")
    normal = tmp_path / "normal.vcf"
    pysam.bcftools.norm("-f", str(fasta), "-o", str(normal), str(raw), catch_stdout=False)
    with pysam.VariantFile(str(normal)) as vcf:
        theirs = {record.id: (record.start, record.ref, record.alts[0]) for record in vcf}
    assert len(ours) > 150
    assert ours == theirs
