"""A tool that ends well with half its work done is found out."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from chassis.errors import ToolFailed
from chassis.reference.local import LocalReference
from chassis.tools.bwa import Pybwa
from services.align.engines.cpu import CpuEngine
from tests.services.align.engines.conftest import Merged

pytestmark = pytest.mark.tools


@dataclasses.dataclass
class LazyGatk:
    """Copies a prepared file to where the tool's output belongs."""

    output: Path
    version: str = "0"

    def run(self, tool: str, arguments: Sequence[str], *, log: Path) -> None:
        log.write_text("all is well, says the tool\n")
        option = "--OUTPUT" if tool == "MarkDuplicates" else "-O"
        shutil.copy(self.output, arguments[arguments.index(option) + 1])


def test_lost_reads_are_found(cpu_merged: Merged, reference: LocalReference, tmp_path: Path) -> None:
    engine = CpuEngine(gatk=LazyGatk(cpu_merged.bams[0]), aligner=Pybwa())

    with pytest.raises(ToolFailed, match="reads went in"):
        engine.merge(
            inputs=cpu_merged.bams,
            previous=None,
            reference=reference,
            optical_distance=100,
            out_cram=tmp_path / "x.cram",
            scratch=tmp_path,
            threads=1,
        )


def test_a_gvcf_that_ends_early_is_found_on_either_contig(
    cpu: CpuEngine, cpu_merged: Merged, reference: LocalReference, tmp_path: Path
) -> None:
    early = tmp_path / "early.g.vcf.gz"
    cpu.call(
        cram=cpu_merged.cram, reference=reference, intervals=reference.intervals[:1], out_gvcf=early, scratch=tmp_path
    )
    lazy = CpuEngine(gatk=LazyGatk(early), aligner=Pybwa())

    for intervals in (reference.intervals[:2], (reference.intervals[0], reference.intervals[2])):
        with pytest.raises(ToolFailed, match="ends at base 1900 of contig 1"):
            lazy.call(
                cram=cpu_merged.cram,
                reference=reference,
                intervals=intervals,
                out_gvcf=tmp_path / "x.g.vcf.gz",
                scratch=tmp_path,
            )


def test_what_a_failing_tool_said_reaches_the_attempts_log(
    cpu: CpuEngine, cpu_merged: Merged, reference: LocalReference, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for path in (reference.fasta, reference.dictionary):
        shutil.copy(path, tmp_path / f"unindexed{path.suffix}")
    elsewhere = dataclasses.replace(reference, fasta=tmp_path / "unindexed.fa")

    with pytest.raises(Exception, match=r"unindexed\.fa"):
        cpu.call(
            cram=cpu_merged.cram,
            reference=elsewhere,
            intervals=reference.intervals[:1],
            out_gvcf=tmp_path / "x.g.vcf.gz",
            scratch=tmp_path,
        )

    assert "UserException" in capfd.readouterr().err
