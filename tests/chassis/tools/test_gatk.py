"""GATK warm and per call: the same records, the same errors, and a process that stays its own."""

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import pysam
import pytest
from pybwa import BwaIndex

from chassis.errors import Rejected, ToolFailed
from chassis.tools.gatk import Gatk, gatk_for, pinned_version, with_scratch
from chassis.tools.gatk_said import failure, last_lines, without_folders
from tests.support.told import ATTRIBUTES, attributes_of, exit_codes, tools_told

pytestmark = pytest.mark.tools

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def gatk() -> Gatk:
    # as the services' tests have it: all of them share the JVM of this process
    return gatk_for(memory_mb=1500, heap_fraction=0.6)


@pytest.fixture(scope="module")
def per_call() -> Gatk:
    return gatk_for(memory_mb=1500, heap_fraction=0.6, mode="per-call")


@pytest.fixture(scope="module")
def pile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 reads that start at one base, every third with another base in the middle: far more than are kept."""
    folder = tmp_path_factory.mktemp("pile")
    bases = "".join("ACGT"[(n * n + n // 7) % 4] for n in range(600))
    (folder / "ref.fa").write_text(f">one\n{bases}\n")
    pysam.faidx(str(folder / "ref.fa"))
    BwaIndex.index(folder / "ref.fa")
    header = pysam.AlignmentHeader.from_dict(
        {
            "HD": {"VN": "1.6", "SO": "coordinate"},
            "SQ": [{"SN": "one", "LN": 600}],
            "RG": [{"ID": "g", "SM": "s", "PL": "ILLUMINA", "LB": "l"}],
        }
    )
    with pysam.AlignmentFile(str(folder / "x.bam"), "wb", header=header) as out:
        for n in range(300):
            read = bases[200:300]
            if n % 3 == 0:
                read = read[:50] + ("A" if read[50] != "A" else "C") + read[51:]
            out.write(
                pysam.AlignedSegment.fromstring(
                    f"r{n}\t0\tone\t201\t60\t100M\t*\t0\t0\t{read}\t{chr(60 + n % 12) * 100}\tRG:Z:g", header
                )
            )
    pysam.index(str(folder / "x.bam"))
    return folder


def _call(gatk: Gatk, pile: Path, out: Path) -> list[str]:
    """Variants from five reads of the 300, drawn at random."""
    gatk.run(
        "HaplotypeCaller",
        [
            *("-R", str(pile / "ref.fa"), "-I", str(pile / "x.bam"), "-O", str(out), "-ERC", "GVCF"),
            *("--max-reads-per-alignment-start", "5", "--dont-use-soft-clipped-bases", "true"),
        ],
        log=out.with_suffix(".log"),
    )
    with gzip.open(out, "rt") as stream:
        return [line for line in stream if not line.startswith("#")]


def test_what_ran_before_in_a_warm_jvm_changes_nothing(gatk: Gatk, per_call: Gatk, pile: Path, tmp_path: Path) -> None:
    with tools_told() as told:
        first = _call(gatk, pile, tmp_path / "1.g.vcf.gz")
        second = _call(gatk, pile, tmp_path / "2.g.vcf.gz")

        assert second == first
        assert _call(per_call, pile, tmp_path / "3.g.vcf.gz") == first
    assert exit_codes(told) == [("tool HaplotypeCaller", 0)] * 3
    for span in told.get_finished_spans():
        assert set(attributes_of(span)) == ATTRIBUTES, "and none of its arguments"
        assert attributes_of(span)["process.executable.name"] == "gatk"
        assert attributes_of(span)["cohortstream.cpu_seconds"] > 0.05
        assert attributes_of(span)["cohortstream.peak_memory_bytes"] > 100_000_000


def test_gatks_words_go_to_the_calls_log_and_ours_do_not(
    gatk: Gatk, pile: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    print("before")
    _call(gatk, pile, tmp_path / "x.g.vcf.gz")
    print("after")

    assert capfd.readouterr().out.split() == ["before", "after"]
    assert "HaplotypeCaller" in (tmp_path / "x.g.vcf.log").read_text()
    assert not list(tmp_path.glob("gatk-*"))


@pytest.mark.parametrize("mode", ["warm", "per-call"])
def test_a_user_error_is_a_rejection_that_names_no_folder(
    gatk: Gatk, per_call: Gatk, mode: str, tmp_path: Path
) -> None:
    with tools_told() as told, pytest.raises(Rejected) as refused:
        (gatk if mode == "warm" else per_call).run(
            "HaplotypeCaller",
            ["-R", "/secret/place/ref.fa", "-I", "x.bam", "-O", "x.vcf"],
            log=tmp_path / "log",
        )

    assert refused.value.rejection.code == "TOOL_INPUT"
    assert refused.value.rejection.message == "The specified fasta file (ref.fa) does not exist."
    assert exit_codes(told) == [("tool HaplotypeCaller", 2)]


@pytest.mark.parametrize("mode", ["warm", "per-call"])
def test_any_other_end_is_a_tool_failure(gatk: Gatk, per_call: Gatk, mode: str, tmp_path: Path) -> None:
    chosen = gatk if mode == "warm" else per_call

    with pytest.raises(ToolFailed, match="bogus is not a recognized option") as failed:
        chosen.run("HaplotypeCaller", ["--bogus"], log=tmp_path / "log")
    assert not failed.value.out_of_memory
    with pytest.raises(ToolFailed, match="Can't parse option name"):
        chosen.run("MarkDuplicates", ["--INPUT=x.bam"], log=tmp_path / "log")


OUT_OF_MEMORY = """
import sys
from pathlib import Path
from chassis.errors import ToolFailed
from chassis.tools.gatk import gatk_for
gatk = gatk_for(memory_mb=300, mode=sys.argv[1])
pile = Path(sys.argv[2])
arguments = ["--INPUT", str(pile / "x.bam"), "--OUTPUT", sys.argv[3] + "/y.bam", "--SORT_ORDER", "queryname"]
arguments += ["--MAX_RECORDS_IN_RAM", "2147483647"]
for _ in range(2):
    try:
        gatk.run("SortSam", arguments, log=Path(sys.argv[3], "log"))
    except ToolFailed as failed:
        print(failed.out_of_memory, failed)
"""


@pytest.mark.parametrize("mode", ["warm", "per-call"])
def test_a_heap_that_is_too_small_asks_for_a_larger_memory_class(pile: Path, tmp_path: Path, mode: str) -> None:
    said = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, mode, str(pile), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert said[0].startswith("True GATK SortSam ended with")
    if mode == "warm":
        assert "spent after java.lang.OutOfMemoryError" in said[1]


RUNNING = """
import sys, time
from pathlib import Path
from chassis.errors import Rejected
from chassis.tools.gatk import gatk_for
try:
    gatk_for(memory_mb=500).run("HaplotypeCaller", ["-R", "x", "-I", "x", "-O", "x"], log=Path(sys.argv[1]))
except Rejected:
    print("warm", flush=True)
sys.stdin.read()
"""


def test_a_process_with_a_warm_jvm_ends_on_sigterm(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", RUNNING, str(tmp_path / "log")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "warm\n"
        os.kill(process.pid, signal.SIGTERM)

        assert process.wait(timeout=30) == -signal.SIGTERM


def test_a_larger_heap_than_the_running_one_is_refused(gatk: Gatk, tmp_path: Path) -> None:
    with pytest.raises(Rejected):
        gatk.run("HaplotypeCaller", ["-R", "x", "-I", "x", "-O", "x"], log=tmp_path / "log")

    with pytest.raises(ToolFailed, match="a process of its own"):
        gatk_for(memory_mb=500_000).run("HaplotypeCaller", [], log=tmp_path / "log")


def test_scratch_is_spelt_as_each_tool_spells_it() -> None:
    assert with_scratch("HaplotypeCaller", ["-O", "x"], Path("/s")) == ["-O", "x", "--tmp-dir", "/s"]
    assert with_scratch("MarkDuplicates", [], Path("/s")) == ["--TMP_DIR", "/s"]
    assert with_scratch("HaplotypeCaller", ["--tmp-dir", "/own"], Path("/s")) == ["--tmp-dir", "/own"]


def test_what_gatk_said_becomes_the_error_that_says_what_to_do() -> None:
    def of(said: str, user: bool = True, memory: bool = False) -> Rejected | ToolFailed:
        return failure(tool="X", status=2, said=said, is_user_error=user, out_of_memory=memory)

    contigs = of("Input files reference and reads have incompatible contigs: found in /a/b/x.bam")
    assert isinstance(contigs, Rejected)
    assert contigs.rejection.code == "BUILD_MISMATCH"
    assert "/a/b" not in contigs.rejection.message
    # a full disk is a user error in GATK's eyes; another machine may have room
    assert isinstance(of("Couldn't write file x because No space left on device"), ToolFailed)
    assert isinstance(of("java.lang.OutOfMemoryError", memory=True), ToolFailed)
    assert without_folders("file:///data/run/x.cram and (/scratch/a-b/y.vcf.gz)") == "x.cram and (y.vcf.gz)"
    assert last_lines("INFO a\nERROR b\n\tat c.d(E.java)\nINFO z\n") == "ERROR b"
    assert last_lines("") == "nothing"


def test_the_version_is_known_without_starting_anything(gatk: Gatk) -> None:
    assert gatk.version == pinned_version() == "4.6.2.0"
