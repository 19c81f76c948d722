"""The tables of the Parquet lake, column by column. The contig is the partition: it stands in the path, not in the
files, as Hive, DuckDB and Spark have it."""

from __future__ import annotations

import pyarrow as pa

INFO_NUMBERS: tuple[tuple[str, str, pa.DataType, str], ...] = (
    ("DP", "depth", pa.int32(), "reads over all samples"),
    ("QD", "qual_by_depth", pa.float32(), "quality by depth"),
    ("FS", "fisher_strand", pa.float32(), "strand bias, Phred-scaled p-value of Fisher's exact test"),
    ("SOR", "strand_odds_ratio", pa.float32(), "strand bias, symmetric odds ratio"),
    ("MQ", "mapping_quality", pa.float32(), "root mean square of mapping qualities"),
    ("MQRankSum", "mapping_quality_rank_sum", pa.float32(), "Z-score of ALT against REF mapping qualities"),
    ("ReadPosRankSum", "read_pos_rank_sum", pa.float32(), "Z-score of ALT against REF positions in reads"),
    ("ExcessHet", "excess_het", pa.float32(), "Phred-scaled p-value of excess heterozygosity"),
    ("InbreedingCoeff", "inbreeding_coeff", pa.float32(), "inbreeding coefficient from genotype likelihoods"),
    ("VQSLOD", "vqslod", pa.float32(), "log odds of being true under the filter's model"),
)
"""INFO key, column, type, meaning. Numbers of the record: they repeat for each of its ALTs."""


def _column(name: str, kind: pa.DataType, says: str, *, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={"description": says})


_SITE = (
    _column("pos", pa.int32(), "position of REF's first base, counted from 1", nullable=False),
    _column("ref", pa.string(), "REF of the record", nullable=False),
    _column("alt", pa.string(), "one ALT of the record", nullable=False),
    _column("alt_index", pa.int16(), "the ALT's place in the record, from 1", nullable=False),
)

CONSEQUENCE = pa.struct(
    [
        _column("consequence", pa.string(), "what happens, in csq's words"),
        _column("gene", pa.string(), "gene name"),
        _column("transcript", pa.string(), "transcript id"),
        _column("biotype", pa.string(), "the transcript's biotype"),
        _column("amino_acid_change", pa.string(), "e.g. 34R>34W"),
        _column("dna_change", pa.string(), "e.g. 1051A>C"),
    ]
)

VARIANTS = pa.schema(
    [
        *_SITE,
        _column("id", pa.string(), "ID of the record"),
        _column("qual", pa.float32(), "Phred-scaled confidence that the site varies"),
        _column("filter", pa.string(), "PASS, or the filters that failed, joined by ;"),
        _column("type", pa.string(), "snp, mnp, indel, spanning_deletion or symbolic", nullable=False),
        _column("ac", pa.int32(), "copies of this ALT among called alleles, counted from the genotypes"),
        _column("an", pa.int32(), "called alleles, counted from the genotypes"),
        _column("af", pa.float32(), "ac / an; null where no allele is called"),
        _column("consequence", pa.string(), "the most severe consequence of this ALT"),
        _column("gene", pa.string(), "gene of the most severe consequence"),
        _column("transcript", pa.string(), "transcript of the most severe consequence"),
        _column("biotype", pa.string(), "biotype of the most severe consequence"),
        _column("amino_acid_change", pa.string(), "amino acid change of the most severe consequence"),
        _column("dna_change", pa.string(), "coding change of the most severe consequence"),
        _column("consequences", pa.list_(CONSEQUENCE), "every consequence of this ALT, in csq's order"),
        *(_column(name, kind, f"INFO/{key}: {says}") for key, name, kind, says in INFO_NUMBERS),
    ],
    metadata={"says": "one row per ALT of each record, sorted by position"},
)

GENOTYPES = pa.schema(
    [
        *_SITE,
        _column("sample", pa.string(), "the sample's name as in the VCF", nullable=False),
        _column("gt", pa.string(), "GT of the record, e.g. 0/1; . where the record has none", nullable=False),
        _column("dosage", pa.int8(), "copies of this ALT; null when any allele is missing"),
        _column("phased", pa.bool_(), "whether GT is phased", nullable=False),
        _column("dp", pa.int32(), "FORMAT/DP: reads"),
        _column("gq", pa.int32(), "FORMAT/GQ: Phred-scaled confidence in GT"),
        _column("ad_ref", pa.int32(), "FORMAT/AD: reads of REF"),
        _column("ad_alt", pa.int32(), "FORMAT/AD: reads of this ALT"),
    ],
    metadata={"says": "one row per ALT of each record and sample, sorted by position"},
)
