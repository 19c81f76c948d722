"""The header of a joint VCF: what its fields mean, and the contigs of the reference."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

FILTERS = (("LowQual", "QUAL below 30"),)
FORMATS = (
    ("AD", "R", "Integer", "Reads that support each allele"),
    ("DP", "1", "Integer", "Reads; the least of its reference block where a block covers the site"),
    ("GQ", "1", "Integer", "Phred-scaled confidence in the genotype, 99 at most"),
    ("GT", "1", "String", "Genotype"),
    ("PGT", "1", "String", "How the alternate allele lies in its phase set"),
    ("PID", "1", "String", "Phase set: position, REF and ALT of its first variant"),
    ("PL", "G", "Integer", "Phred-scaled likelihoods of the genotypes, the best one 0"),
    ("PS", "1", "Integer", "Phase set: position of its first variant"),
    ("RGQ", "1", "Integer", "Phred-scaled confidence that the sample has the reference only"),
)
INFOS = (
    ("AC", "A", "Integer", "Called copies of each alternate allele"),
    ("AF", "A", "Float", "AC by AN"),
    ("AN", "1", "Integer", "Called alleles"),
    ("BaseQRankSum", "1", "Float", "Median over samples: base qualities of alternate against reference reads"),
    ("ClippingRankSum", "1", "Float", "Median over samples: hard-clipped bases of alternate against reference reads"),
    ("DP", "1", "Integer", "Reads of all samples"),
    ("ExcessHet", "1", "Float", "Phred-scaled probability of so many heterozygotes in equilibrium"),
    ("FS", "1", "Float", "Phred-scaled Fisher's exact test of the strands of reference and alternate reads"),
    ("InbreedingCoeff", "1", "Float", "1 less observed by expected heterozygotes, from likelihoods"),
    ("MLEAC", "A", "Integer", "Likeliest count of each alternate allele"),
    ("MLEAF", "A", "Float", "MLEAC by the number of alleles"),
    ("MQ", "1", "Float", "Root mean square of mapping qualities"),
    ("MQ0", "1", "Integer", "Median over samples: reads of mapping quality 0"),
    ("MQRankSum", "1", "Float", "Median over samples: mapping qualities of alternate against reference reads"),
    ("QD", "1", "Float", "QUAL by the reads of samples with an alternate allele"),
    ("ReadPosRankSum", "1", "Float", "Median over samples: positions in reads of alternate against reference bases"),
    ("SOR", "1", "Float", "Symmetric odds ratio of the strands of reference and alternate reads"),
)


def header(*, contigs: Iterable[tuple[str, int]], samples: Sequence[str]) -> list[bytes]:
    """Lines without their ends, `#CHROM` last; without samples also without FORMAT."""
    lines = ["##fileformat=VCFv4.2"]
    lines += [f'##FILTER=<ID={name},Description="{said}">' for name, said in FILTERS]
    if samples:
        lines += [
            f'##FORMAT=<ID={name},Number={number},Type={kind},Description="{said}">'
            for name, number, kind, said in FORMATS
        ]
    lines += [
        f'##INFO=<ID={name},Number={number},Type={kind},Description="{said}">' for name, number, kind, said in INFOS
    ]
    lines += [f"##contig=<ID={name},length={length}>" for name, length in contigs]
    lines.append("##source=cohortstream columnar")
    columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
    lines.append("\t".join([*columns, *(["FORMAT", *samples] if samples else [])]))
    return [line.encode() for line in lines]
