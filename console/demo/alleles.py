"""One spelling for an allele: the left-aligned, parsimonious form against the reference."""

from dataclasses import dataclass

OVERLAPPING_DELETION = "*"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Allele:
    """An alternate allele at a place: 0-based position of REF's first base, upper-case REF and ALT."""

    contig: str
    position: int
    ref: str
    alt: str

    @property
    def is_snp(self) -> bool:
        return len(self.ref) == len(self.alt) == 1


def normalise(sequence: str, position: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Left-align and trim one REF/ALT pair; positions are 0-based.

    The method is that of Tan, Abecasis and Kang, "Unified representation of genetic variants" (Bioinformatics 2015):
    drop the common last base while both end alike, lengthening both to the left from the reference whenever one would
    become empty; then drop common first bases while both keep at least one. A pair with REF = ALT, or with REF unlike
    the reference, is a ValueError: it has no normal form.
    """
    if ref == alt:
        raise ValueError(f"REF and ALT are the same ({ref}) at 0-based position {position}")
    if sequence[position : position + len(ref)] != ref:
        raise ValueError(f"REF {ref} at 0-based position {position} is not what the reference says")
    while ref[-1:] == alt[-1:]:
        if min(len(ref), len(alt)) == 1:
            if position == 0:
                break
            position -= 1
            ref, alt = sequence[position] + ref, sequence[position] + alt
        ref, alt = ref[:-1], alt[:-1]
    shared = 0
    while shared < min(len(ref), len(alt)) - 1 and ref[shared] == alt[shared]:
        shared += 1
    return position + shared, ref[shared:], alt[shared:]


def decompose(sequence: str, contig: str, position: int, ref: str, alt: str) -> list[Allele]:
    """The normal alleles of one REF/ALT pair of a VCF record: one, several for an MNP, none for `*` and symbolic ALTs.

    A substitution of several bases is the same genome as its single-base differences, so it is told as those.
    """
    ref, alt = ref.upper(), alt.upper()
    if alt in (OVERLAPPING_DELETION, ".") or not set(alt) <= set("ACGTN") or ref == alt:
        return []
    if len(ref) == len(alt):
        return [
            Allele(contig=contig, position=position + i, ref=r, alt=a)
            for i, (r, a) in enumerate(zip(ref, alt, strict=True))
            if r != a
        ]
    start, short_ref, short_alt = normalise(sequence, position, ref, alt)
    return [Allele(contig=contig, position=start, ref=short_ref, alt=short_alt)]
