"""The CPU engine: bwa mem, Picard's MarkDuplicates, CRAM 3.0, HaplotypeCaller; the reference for the others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from chassis.errors import ToolFailed
from chassis.reference.local import LocalReference
from chassis.tools import htslib, vcf
from chassis.tools.bwa import Aligner, Pair
from chassis.tools.cram_reference import require_reference
from chassis.tools.descriptors import told_on_failure
from chassis.tools.fastq import read_pairs
from chassis.tools.fingerprint import Fingerprint
from chassis.tools.gatk import Gatk
from chassis.tools.index_content import require_crai_of
from contracts.values import Interval, Provenance
from services.align.engines.gather import gather_gvcf, read_gvcf
from services.align.engines.header import lane_header, read_groups_together
from services.align.engines.intervals import write_bed
from services.align.engines.metrics import measure
from services.align.engines.protocol import CramMetrics, GvcfMetrics, LaneInput, LaneMetrics

if TYPE_CHECKING:
    from pysam import AlignedSegment


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuParameters:
    """What the records depend on. Changing one makes another pipeline, whose gVCFs join no cohort of this one's."""

    ploidy: int = 2
    min_base_quality: int = 10
    """HaplotypeCaller's own default, stated so that a change of the default does not pass unseen."""
    gvcf_bands: tuple[int, ...] = (*range(1, 61), 70, 80, 90, 99)
    """GQ bands of reference blocks, HaplotypeCaller's own."""


class CpuEngine:
    """A `ChunkedEngine`. Threads change the speed, not the records."""

    granularity: Literal["chunk"] = "chunk"

    def __init__(
        self,
        *,
        gatk: Gatk,
        aligner: Aligner,
        parameters: CpuParameters | None = None,
    ) -> None:
        self._gatk, self._aligner = gatk, aligner
        self._parameters = parameters or CpuParameters()

    def provenance(self) -> Provenance:
        return provenance_of(self._aligner, self._parameters, gatk_version=self._gatk.version)

    def align_lane(
        self, *, lane: LaneInput, reference: LocalReference, out_bam: Path, scratch: Path, threads: int
    ) -> LaneMetrics:
        log = scratch / "bwa.log"
        log.touch()
        group = lane.read_group
        header = lane_header(
            reference,
            group,
            aligner=self._aligner.name,
            version=self._aligner.version,
            command=" ".join(["bwa mem", *(f"{key}={value}" for key, value in self._aligner.parameters.items())]),
        )
        counted = _Counted(read_pairs(lane.r1, lane.r2))

        def tagged() -> Iterator[list[AlignedSegment]]:
            for records in self._aligner.align(counted, fasta=reference.fasta, threads=threads, log=log):
                for record in records:
                    record.set_tag("RG", group.id)
                yield records

        with told_on_failure(log):
            primary = htslib.write_sorted(tagged(), header=header, out_bam=out_bam, scratch=scratch)
        if primary != 2 * counted.pairs:
            raise ToolFailed(
                tool=self._aligner.name,
                status="incomplete",
                said=f"{2 * counted.pairs} reads went in, {primary} primary alignments came out",
            )
        return LaneMetrics(read_pairs=counted.pairs, fingerprint=counted.fingerprint.hexdigest())

    def merge(
        self,
        *,
        inputs: Sequence[Path],
        previous: Path | None,
        reference: LocalReference,
        optical_distance: int,
        out_cram: Path,
        scratch: Path,
        threads: int,
    ) -> CramMetrics:
        read_groups_together(inputs, previous, reference)
        sources = [*([previous] if previous is not None else []), *inputs]
        expected = sum(htslib.count_primary(path, fasta=reference.fasta) for path in sources)
        marked = scratch / "marked.bam"
        self._run(
            "MarkDuplicates",
            [
                *(word for path in sources for word in ("--INPUT", str(path))),
                *("--OUTPUT", str(marked), "--METRICS_FILE", str(scratch / "duplicates.txt")),
                *("--REFERENCE_SEQUENCE", str(reference.fasta), "--ASSUME_SORT_ORDER", "coordinate"),
                *("--OPTICAL_DUPLICATE_PIXEL_DISTANCE", f"{optical_distance}"),
                # bwa places reads over a contig's end now and then, which the strict check takes for an error
                *("--VALIDATION_STRINGENCY", "SILENT", "--COMPRESSION_LEVEL", "0", "--ADD_PG_TAG_TO_READS", "false"),
                # the header tells what was done, not in which folder
                *("--PROGRAM_GROUP_VERSION", self._gatk.version),
                "--PROGRAM_GROUP_COMMAND_LINE",
                f"MarkDuplicates --OPTICAL_DUPLICATE_PIXEL_DISTANCE {optical_distance}",
            ],
            scratch=scratch,
        )
        htslib.to_cram(marked, fasta=reference.fasta, out_cram=out_cram, threads=threads)
        marked.unlink()
        metrics = measure(out_cram, reference=reference, scratch=scratch, threads=threads)
        if metrics.reads != expected:
            raise ToolFailed(
                tool="GATK MarkDuplicates",
                status="incomplete",
                said=f"{expected} reads went in, {metrics.reads} came out",
            )
        return metrics

    def call(
        self,
        *,
        cram: Path,
        reference: LocalReference,
        intervals: Sequence[Interval],
        out_gvcf: Path,
        scratch: Path,
        threads: int = 1,
    ) -> GvcfMetrics:
        htslib.require_whole(cram)
        require_reference(cram, fasta=reference.fasta)
        require_crai_of(cram, cram.with_name(cram.name + ".crai"))
        parameters = self._parameters
        self._run(
            "HaplotypeCaller",
            [
                *("-R", str(reference.fasta), "-I", str(cram), "-O", str(out_gvcf)),
                *("-L", str(write_bed(intervals, scratch / "intervals.bed"))),
                *("-ERC", "GVCF", "-ploidy", f"{parameters.ploidy}"),
                *("--min-base-quality-score", f"{parameters.min_base_quality}"),
                *(word for band in parameters.gvcf_bands for word in ("-GQB", f"{band}")),
                *("--native-pair-hmm-threads", f"{threads}"),
                *("--create-output-variant-index", "false", "--add-output-vcf-command-line", "false"),
            ],
            scratch=scratch,
        )
        return _check_part(out_gvcf, intervals)

    def _run(self, tool: str, arguments: Sequence[str], *, scratch: Path) -> None:
        log = scratch / f"{tool}.log"
        with told_on_failure(log):
            self._gatk.run(tool, arguments, log=log)

    def gather(self, *, parts: Sequence[Path], out_gvcf: Path) -> GvcfMetrics:
        made_by = self.provenance()
        return gather_gvcf(
            parts, out_gvcf, header_lines=(f"##cohortstreamCaller={made_by.version} {made_by.parameters}",)
        )


def provenance_of(aligner: Aligner, parameters: CpuParameters, *, gatk_version: str) -> Provenance:
    """What an engine of these parts puts into its artifacts' provenance; starts nothing."""
    from pysam.version import __htslib_version__ as htslib_version

    canonical = json.dumps(
        {
            "aligner": {"name": aligner.name, **aligner.parameters},
            "cram": htslib.CRAM_VERSION,
            "caller": asdict(parameters),
        },
        sort_keys=True,
        separators=(",", ":"),
    )
    return Provenance(
        tool="bwa-gatk",
        version=f"{aligner.name} {aligner.version}; GATK {gatk_version}; htslib {htslib_version}",
        parameters=hashlib.sha256(canonical.encode()).hexdigest(),
    )


class _Counted:
    """Counts and fingerprints pairs on their way to the aligner."""

    def __init__(self, pairs: Iterator[Pair]) -> None:
        self._pairs = pairs
        self.pairs = 0
        self.fingerprint = Fingerprint()

    def __iter__(self) -> Iterator[Pair]:
        for pair in self._pairs:
            self.pairs += 1
            self.fingerprint.add(pair[0], 1)
            self.fingerprint.add(pair[1], 2)
            yield pair


def _check_part(part: Path, intervals: Sequence[Interval]) -> GvcfMetrics:
    """GATK may stop early and still exit 0: a part's records must reach the end of its last interval."""
    records = variants = covered = 0
    reached = (-1, 0)
    for record in read_gvcf(part):
        records += 1
        variants += record.variant
        covered += record.end - record.start + 1
        reached = record.contig, record.end
    names = [name for name, _ in vcf.contigs_of(vcf.header_of(part))]
    # blocks are written over bases without reads, and over N, too
    if reached < (names.index(intervals[-1].contig), intervals[-1].end):
        raise ToolFailed(
            tool="GATK HaplotypeCaller",
            status="incomplete",
            said=f"the gVCF ends at base {reached[1]} of contig {reached[0] + 1}, the last interval is {intervals[-1]}",
        )
    return GvcfMetrics(records=records, variants=variants, covered=covered)
