"""GATK's side: GenomicsDBImport, then GenotypeGVCFs, each in a JVM of its own.

One thread, plainly: one core, `-XX:ActiveProcessorCount=1`, the serial collector, one reader thread, no asynchronous
writing. Both of the JVM's compilers run, as GATK's launcher has it. What starting takes is measured apart, on one
sample and one base.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chassis.tools import gatk, jars, java
from services.jointcall.engines.gatk import BATCH_SIZE
from tests.bench.joint import child
from tests.bench.joint.child import Ran
from tests.bench.joint.vcf_sites import VcfSites, sites_of

HEAP_MB = 3000
FLAGS = (
    "-XX:ActiveProcessorCount=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+DisableExplicitGC",
    "-Djava.awt.headless=true",
    "-Dsamjdk.use_async_io_read_samtools=false",
    "-Dsamjdk.use_async_io_write_samtools=false",
    "-Dsamjdk.use_async_io_write_tribble=false",
)
QUIETLY = ("--QUIET", "true", "--verbosity", "WARNING")


@dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """JVM start is in `imported` and `genotyped`; `import_start` and `genotype_start` are what it took by itself.
    `half` is a run over the first half of the stretch: what the second half takes more is GATK warmed up."""

    imported: Ran
    genotyped: Ran
    import_start: Ran
    genotype_start: Ran
    half: Ran
    workspace_bytes: int
    sites: VcfSites

    @property
    def warm_cpu_s(self) -> float:
        """Processor seconds that the whole stretch would take warmed up: twice what the second half took more. By
        bases, not by emitted sites: most of GATK's work is on candidates that are not emitted."""
        return 2 * max(self.genotyped.cpu_s - self.half.cpu_s, 1e-9)


def measure(
    *,
    gvcfs: Sequence[Path],
    reference: Path,
    region: str,
    half: str,
    one_base: str,
    level: int,
    scratch: Path,
) -> Theirs:
    """`gvcfs` in the order of names; `region`, its first `half` and its first base; `level` of compression."""
    scratch.mkdir(parents=True, exist_ok=True)
    first = _both(gvcfs=gvcfs[:1], reference=reference, region=one_base, level=level, scratch=scratch / "start")
    whole = _both(gvcfs=gvcfs, reference=reference, region=region, level=level, scratch=scratch / "whole")
    workspace = scratch / "whole" / "workspace"
    halved = _genotyped(
        workspace, reference=reference, region=half, out=scratch / "half.vcf.gz", level=level, scratch=scratch
    )
    held = sum(path.stat().st_size for path in workspace.rglob("*") if path.is_file())
    shutil.rmtree(workspace)
    return Theirs(
        imported=whole[0],
        genotyped=whole[1],
        import_start=first[0],
        genotype_start=first[1],
        half=halved,
        workspace_bytes=held,
        sites=sites_of(scratch / "whole" / "joint.vcf.gz"),
    )


def _both(*, gvcfs: Sequence[Path], reference: Path, region: str, level: int, scratch: Path) -> tuple[Ran, Ran]:
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    names = scratch / "names.tsv"
    names.write_text("".join(f"{path.name.removesuffix('.g.vcf.gz')}\t{path}\n" for path in gvcfs))
    workspace = scratch / "workspace"
    imported = _run(
        "GenomicsDBImport",
        "--genomicsdb-workspace-path", workspace,
        "--sample-name-map", names,
        "--intervals", region,
        "--batch-size", min(BATCH_SIZE, len(gvcfs)),
        "--reader-threads", 1,
        level=level,
        scratch=scratch,
    )  # fmt: skip
    genotyped = _genotyped(
        workspace, reference=reference, region=region, out=scratch / "joint.vcf.gz", level=level, scratch=scratch
    )
    return imported, genotyped


def _genotyped(workspace: Path, *, reference: Path, region: str, out: Path, level: int, scratch: Path) -> Ran:
    return _run(
        "GenotypeGVCFs",
        "--reference", reference,
        "--variant", f"gendb://{workspace}",
        "--intervals", region,
        "--output", out,
        "--only-output-calls-starting-in-intervals", "true",
        level=level,
        scratch=scratch,
    )  # fmt: skip


def _run(tool: str, *arguments: str | int | Path, level: int, scratch: Path) -> Ran:
    argv = [
        str(java.find_java()),
        f"-Xmx{HEAP_MB}m",
        *FLAGS,
        f"-Dsamjdk.compression_level={level}",
        f"-Djava.io.tmpdir={scratch}",
        "-cp",
        jars.classpath(jars.fetch(jars.load(gatk.PINS))),
        gatk.MAIN,
        tool,
        *map(str, arguments),
        *QUIETLY,
    ]
    return child.run(argv, log=scratch / f"{tool}.log")
