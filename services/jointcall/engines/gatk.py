"""GATK as the joint-calling engine: GenomicsDBImport into a workspace that is always new, then GenotypeGVCFs.

Both tools also see a margin in front of the interval and of each chunk. GATK keeps a `*` allele only when it
emitted the deletion that spans the site in the same traversal, so a deletion just in front of an edge must be
traversed too; the records of the margin are dropped by the gather. So cutting changes no record (QD: see `jitter`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from chassis.errors import ToolFailed
from chassis.reference.local import LocalReference
from chassis.tools import vcf
from chassis.tools.gatk import Gatk
from contracts.values import EngineName, Interval, Provenance
from services.jointcall.engines.gather import gather_all
from services.jointcall.engines.gvcf import check_batch
from services.jointcall.engines.native_memory import keep_freed
from services.jointcall.engines.protocol import CalledChunk, GvcfInput, IntervalCounts
from services.jointcall.intervals import chunks

HEAP_FRACTION = 0.6
"""Of the task's memory: GenomicsDB allocates the rest natively, for import and for reading."""
MARGIN_BP = 1000
"""Longer than any deletion that HaplotypeCaller assembles (its regions have 300 bases and 100 of padding)."""
BATCH_SIZE = 50
"""gVCFs open at a time during import; each batch leaves one fragment in the workspace."""

# neither paths nor dates in headers, and no files that nobody asked for
QUIETLY = (
    "--QUIET", "true",
    "--verbosity", "WARNING",
    "--add-output-vcf-command-line", "false",
    "--create-output-variant-md5", "false",
)  # fmt: skip
CALLING = ("--only-output-calls-starting-in-intervals", "true")


class GatkEngine:
    """Files in, files out; see `protocol.Engine`. `chunk_bp` in bases."""

    incremental = False

    def __init__(self, *, gatk: Gatk, chunk_bp: int, margin_bp: int = MARGIN_BP, batch_size: int = BATCH_SIZE) -> None:
        self._gatk, self._chunk_bp, self._margin_bp, self._batch_size = gatk, chunk_bp, margin_bp, batch_size

    @property
    def name(self) -> EngineName:
        return EngineName(name="gatk", version=self._gatk.version)

    def provenance(self) -> Provenance:
        matter = {"calling": CALLING, "margin_bp": self._margin_bp, "qd": "drawn by allele", "rows": "sorted by name"}
        canonical = json.dumps(matter, sort_keys=True, separators=(",", ":"))
        return Provenance(
            tool="gatk", version=self._gatk.version, parameters=hashlib.sha256(canonical.encode()).hexdigest()
        )

    def chunks(self, interval: Interval) -> tuple[Interval, ...]:
        return chunks(interval, self._chunk_bp)

    def add_samples(
        self,
        *,
        generation: Path | None,
        batch: Sequence[GvcfInput],
        interval: Interval,
        reference: LocalReference,
        out: Path,
        scratch: Path,
    ) -> None:
        """See `protocol.Engine`. `generation` must be None: an in-place update that is interrupted corrupts a
        workspace, and rows added later would not stand in the order of names, on which ALT order depends."""
        if generation is not None:
            raise ValueError("the GATK engine makes a generation from all of its samples, not from an earlier one")
        if out.exists():
            raise FileExistsError(f"{out} is there already; a generation is written once")
        seen = self._with_margin(interval)
        check_batch(batch, interval=seen, reference=reference)
        names = sorted(one.name for one in batch)
        by_name = {one.name: one for one in batch}
        name_map = scratch / "sample-name-map.tsv"
        name_map.write_text(
            "".join(f"{name}\t{by_name[name].path}\t{by_name[name].index}\n" for name in names), encoding="utf-8"
        )
        self._gatk.run(
            "GenomicsDBImport",
            [
                "--genomicsdb-workspace-path", str(out),
                "--sample-name-map", str(name_map),
                "--intervals", str(seen),
                "--batch-size", str(min(self._batch_size, len(names))),
                *QUIETLY,
            ],
            log=scratch / "GenomicsDBImport.log",
        )  # fmt: skip
        self._check_rows(out, names)

    def genotype_chunk(
        self, *, generation: Path, chunk: Interval, reference: LocalReference, out: Path, scratch: Path
    ) -> CalledChunk:
        keep_freed()
        self._gatk.run(
            "GenotypeGVCFs",
            [
                "--reference", str(reference.fasta),
                "--variant", f"gendb://{generation}",
                "--intervals", str(self._with_margin(chunk)),
                "--output", str(out),
                "--create-output-variant-index", "false",
                *CALLING,
                *QUIETLY,
            ],
            log=scratch / "GenotypeGVCFs.log",
        )  # fmt: skip
        if not vcf.is_whole(out):
            raise ToolFailed(tool="GATK GenotypeGVCFs", status="incomplete", said=f"{out.name} has no end block")
        return CalledChunk(interval=chunk, vcf=out)

    def genotype(
        self,
        *,
        generation: Path,
        interval: Interval,
        reference: LocalReference,
        out_vcf: Path,
        out_sites: Path,
        scratch: Path,
    ) -> IntervalCounts:
        return gather_all(
            self,
            generation=generation,
            interval=interval,
            reference=reference,
            out_vcf=out_vcf,
            out_sites=out_sites,
            scratch=scratch,
        )

    def _with_margin(self, interval: Interval) -> Interval:
        return interval.model_copy(update={"start": max(1, interval.start - self._margin_bp)})

    def _check_rows(self, workspace: Path, names: Sequence[str]) -> None:
        callsets = json.loads((workspace / "callset.json").read_text(encoding="utf-8"))["callsets"]
        rows = [one["sample_name"] for one in sorted(callsets, key=lambda one: int(one["row_idx"]))]
        if rows != list(names):
            raise ToolFailed(
                tool="GATK GenomicsDBImport",
                status="incomplete",
                said=f"the workspace has {len(rows)} rows for {len(names)} samples, or not in the order of names",
            )
