"""What a joint VCF.gz holds, counted."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class VcfSites:
    """`digest` is of CHROM, POS, REF, ALT and each GT: sides with the same one called the same. `records` is of all
    that stands in the records."""

    sites: int
    text_bytes: int
    file_bytes: int
    digest: str
    records: str


def sites_of(vcf: Path) -> VcfSites:
    sites, size, digest, records = 0, 0, hashlib.sha256(), hashlib.sha256()
    with gzip.open(vcf, "rb") as lines:
        for line in lines:
            size += len(line)
            if line.startswith(b"#"):
                continue
            sites += 1
            records.update(line)
            columns = line.rstrip(b"\n").split(b"\t")
            digest.update(b"\t".join((columns[0], columns[1], columns[3], columns[4])))
            digest.update(b"\t".join(cell.partition(b":")[0] for cell in columns[9:]))
    return VcfSites(
        sites=sites,
        text_bytes=size,
        file_bytes=vcf.stat().st_size,
        digest=digest.hexdigest(),
        records=records.hexdigest(),
    )
