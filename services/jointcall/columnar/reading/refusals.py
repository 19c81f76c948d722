"""What is said of a line that compiled code refused. The checks that any engine makes speak first, in their words."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.errors import Rejected, reject
from chassis.tools.vcf import Declared
from contracts.values import Interval
from services.jointcall.columnar.tables import Bytes
from services.jointcall.engines.records import NON_REF, Reading

_MOST_OF_A_PLACE = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """Of one file, `where`, read over `interval`, whose reference bases are `bases`."""

    where: str
    interval: Interval
    bases: Bytes
    declared: Declared

    def require_known(self, line: bytes, *, before: int) -> None:
        """The line passes every check that any engine makes. `before`: start of the record before it. Raises Rejected:
        FORMAT_MISMATCH, GVCF_ORDER, GVCF_NON_REF, VCF_UNDECLARED, PLOIDY, REF_ALLELE."""
        Reading(
            file=self.where,
            interval=self.interval,
            bases=self.bases.tobytes().decode("ascii", "replace").upper(),
            declared=self.declared,
            regions=(),
        ).read([line.decode("utf-8", "replace")], before=before)

    def of(self, line: bytes, *, before: int) -> Rejected:
        """Why a line was refused."""
        try:
            self.require_known(line, before=before)
        except Rejected as said:
            return said
        contig, position, _, ref, alt, *_ = line.decode("utf-8", "replace").split("\t")
        *alts, last = alt.split(",")
        where = f"{self.where}, record at {contig}:{position}"[: len(self.where) + _MOST_OF_A_PLACE]
        if last != NON_REF or NON_REF in alts:
            return reject(
                code="GVCF_NON_REF",
                message=f"{NON_REF} is not one allele, the last",
                where=where,
                rule=f"each record of a gVCF has {NON_REF} as its last allele, once",
                fix="call with -ERC GVCF, and keep the gVCF from tools that trim alleles",
            )
        if int(position) == before > 0:
            return reject(
                code="GVCF_ORDER",
                message="two records start at this base",
                where=where,
                rule="a sample has one record for each start",
                fix="join them with `bcftools norm -m +any`, or call the sample again",
            )
        if len(ref) > 1 and all(len(one) == len(ref) and not one.startswith("<") for one in alts):
            return reject(
                code="GVCF_MNP",
                message="the record's alleles are as long as REF, which has several bases",
                where=where,
                rule="substitutions of neighbouring bases stand in records of their own, phased by PGT and PID",
                fix="call the sample with --max-mnp-distance 0",
            )
        return reject(
            code="FORMAT_MISMATCH",
            message="a value is not what its key is for",
            where=where,
            rule="positions, depths, qualities and likelihoods are whole numbers from 0 on, END is not before POS, AD "
            "has one value per allele and SB four, GT names the record's alleles, no allele is empty, and no key "
            "stands twice in INFO",
            fix="call the sample again, and keep the gVCF from tools that rewrite its columns",
        )

    def of_contig(self, contig: bytes, *, known: bool) -> Rejected:
        """A line's contig is not in the header, or comes out of its order."""
        name = contig.decode("utf-8", "replace")[:_MOST_OF_A_PLACE]
        if known:
            return reject(
                code="GVCF_ORDER",
                message="a record stands behind a later one",
                where=f"{self.where}, contig {name}",
                rule="records are sorted by position, contigs in the header's order",
                fix="sort and index the gVCF",
            )
        return reject(
            code="FORMAT_MISMATCH",
            message="the first column names no contig of the header",
            where=f"{self.where}, a record of {name}",
            rule="the header declares each contig",
            fix="call the sample again, and keep the gVCF from tools that rewrite its columns",
        )
