"""BAMs and CRAMs at the doors of align and archive: refused before a tool is started, decoded from this disk alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pysam
import pytest

from chassis.errors import Rejected, Rejection, ToolFailed
from chassis.reference.local import LocalReference
from chassis.tools import htslib
from chassis.tools.bwa import Pair
from chassis.tools.cram_reference import require_reference
from chassis.tools.fingerprint import reads_fingerprint_of_alignment
from services.align.engines.cpu import CpuEngine
from tests.faults.bad_input.said import assert_says
from tests.services.jointcall.engines.written import sequence, write_reference

LENGTH, READ = 3000, 100
BASES, OTHER_BASES = sequence(LENGTH), sequence(LENGTH, seed=8)


class NoTool:
    """GATK and bwa that must not be needed."""

    name, version, parameters = "none", "0", {}

    def run(self, tool: str, arguments: Sequence[str], *, log: Path) -> None:
        raise AssertionError(f"{tool} was started on bad input")

    def align(self, pairs: Iterable[Pair], **_: Any) -> Iterator[list[pysam.AlignedSegment]]:
        raise AssertionError("the aligner was started on bad input")


ENGINE = CpuEngine(gatk=NoTool(), aligner=NoTool())


def write_reads(
    path: Path,
    reference: LocalReference,
    *,
    starts: Sequence[int] = (0, 500, 900),
    sample: str = "S1",
    lane: int = 1,
    order: str = "coordinate",
    contig: str = "c1",
) -> Path:
    """A BAM or CRAM of perfect reads, and the index of a CRAM."""
    lines = pysam.AlignmentFile(str(reference.dictionary), check_sq=False)
    header = lines.header.to_dict()
    for line in header["SQ"]:
        line.pop("UR", None)
    group = {"ID": f"FC1.{lane}.ACGT", "PU": f"FC1.{lane}.ACGT", "LB": "LIB1", "SM": sample, "PL": "ILLUMINA"}
    header |= {"HD": {"VN": "1.6", "SO": order}, "RG": [group]}
    cram = path.suffix == ".cram"
    options: dict[str, Any] = {"format_options": ["version=3.0"]} if cram else {}
    with (
        pysam.FastaFile(str(reference.fasta)) as fasta,
        pysam.AlignmentFile(
            str(path), "wc" if cram else "wb", header=header, reference_filename=str(reference.fasta), **options
        ) as out,
    ):
        for number, start in enumerate(starts):
            read = pysam.AlignedSegment(out.header)
            read.query_name, read.reference_name, read.reference_start = f"r{number}", contig, start
            read.query_sequence, read.cigarstring = fasta.fetch(contig, start, start + READ), f"{READ}M"
            read.query_qualities = pysam.qualitystring_to_array("F" * READ)
            read.mapping_quality = 60
            read.set_tag("RG", group["ID"])
            out.write(read)
    if cram:
        htslib.index(path)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    folder: Path
    reference: LocalReference
    other: LocalReference
    """The same contig's name and length with other bases."""
    elsewhere: LocalReference
    """Another contig alone."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folders = [tmp_path / name for name in ("reference", "other", "elsewhere")]
    for folder in folders:
        folder.mkdir()
    return Place(
        folder=tmp_path,
        reference=write_reference(folders[0], BASES),
        other=write_reference(folders[1], OTHER_BASES),
        elsewhere=write_reference(folders[2], OTHER_BASES, contig="c9"),
    )


def merge(place: Place, *inputs: Path, previous: Path | None = None, reference: LocalReference | None = None) -> None:
    ENGINE.merge(
        inputs=inputs,
        previous=previous,
        reference=reference or place.reference,
        optical_distance=2500,
        out_cram=place.folder / "never.cram",
        scratch=place.folder,
        threads=1,
    )


def call(place: Place, cram: Path, reference: LocalReference | None = None) -> None:
    ENGINE.call(
        cram=cram,
        reference=reference or place.reference,
        intervals=place.reference.intervals,
        out_gvcf=place.folder / "never.g.vcf.gz",
        scratch=place.folder,
    )


def bam(place: Place, name: str = "a.bam", **more: Any) -> Path:
    return write_reads(place.folder / name, place.reference, **more)


def cram(place: Place, name: str = "a.cram", **more: Any) -> Path:
    return write_reads(place.folder / name, more.pop("reference", place.reference), **more)


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-28])
    return path


def with_the_index_of(path: Path, other: Path) -> Path:
    index = path.with_name(path.name + ".crai")
    index.write_bytes(other.with_name(other.name + ".crai").read_bytes())
    return path


def without_index(path: Path) -> Path:
    path.with_name(path.name + ".crai").unlink()
    return path


def gone(reference: LocalReference) -> LocalReference:
    return replace(reference, fasta=reference.fasta.with_name("gone.fa"))


MANY = tuple(range(0, 2800, 2))
SQ = "a.cram, @SQ lines"

ROWS: Mapping[str, tuple[Callable[[Place], None], str, str, str]] = {
    "BAM without its end block": (lambda p: merge(p, cut(bam(p))), "BAM_TRUNCATED", "a.bam", "copy or write"),
    "CRAM without its end block": (lambda p: call(p, cut(cram(p))), "BAM_TRUNCATED", "a.cram", "copy or write"),
    "no BAM at all": (lambda p: merge(p, junk(p)), "FORMAT_MISMATCH", "a.bam", "copy or write"),
    "unsorted, and says so": (lambda p: merge(p, bam(p, order="unsorted")), "NOT_SORTED", "a.bam", "samtools sort"),
    "unsorted, and says that it is": (
        lambda p: merge(p, bam(p, starts=(500, 900, 0))),
        "NOT_SORTED",
        "a.bam, record 3",
        "samtools sort",
    ),
    "another sample's lane": (
        lambda p: merge(p, bam(p), bam(p, "b.bam", sample="S2", lane=2)),
        "SAMPLE_MISMATCH",
        "a.bam, b.bam",
        "one sample only",
    ),
    "an earlier version of another sample": (
        lambda p: merge(p, bam(p), previous=cram(p, sample="S2", lane=2)),
        "SAMPLE_MISMATCH",
        "a.bam, a.cram",
        "one sample only",
    ),
    "a sequence that is not here, merging": (
        lambda p: merge(p, previous=cram(p, reference=p.elsewhere, contig="c9")),
        "CRAM_REFERENCE",
        SQ,
        "cohortstream reference add",
    ),
    "a sequence that is not here, calling": (
        lambda p: call(p, cram(p, reference=p.elsewhere, contig="c9")),
        "CRAM_REFERENCE",
        SQ,
        "cohortstream reference add",
    ),
    "no FASTA": (lambda p: call(p, cram(p), gone(p.reference)), "CRAM_REFERENCE", SQ, "cohortstream reference add"),
    "other bases, merging": (
        lambda p: merge(p, previous=cram(p, reference=p.other)),
        "REFERENCE_MISMATCH",
        "a.cram, @SQ line of c1",
        "align again",
    ),
    "other bases, calling": (
        lambda p: call(p, cram(p, reference=p.other)),
        "REFERENCE_MISMATCH",
        "a.cram, @SQ line of c1",
        "align again",
    ),
    "other bases, verifying": (
        lambda p: require_reference(cram(p, reference=p.other), fasta=p.reference.fasta),
        "REFERENCE_MISMATCH",
        "a.cram, @SQ line of c1",
        "align again",
    ),
    "a lane of another reference": (
        lambda p: merge(p, write_reads(p.folder / "a.bam", p.other)),
        "REFERENCE_MISMATCH",
        "a.bam",
        "align the sample's earlier lanes",
    ),
    "no index": (lambda p: call(p, without_index(cram(p))), "INDEX_STALE", "a.cram.crai", "index the file again"),
    "an index of another file": (
        lambda p: call(p, with_the_index_of(cram(p), cram(p, "b.cram", starts=MANY))),
        "INDEX_STALE",
        "a.cram.crai",
        "index the file again",
    ),
    "an index of the version before": (
        lambda p: call(p, with_the_index_of(cram(p, starts=MANY), cram(p, "b.cram", starts=MANY[:-1], sample="S2"))),
        "INDEX_STALE",
        "a.cram.crai",
        "index the file again",
    ),
}


def junk(place: Place) -> Path:
    """Whole by its end block, and no BAM within."""
    path = place.folder / "a.bam"
    with pysam.BGZFile(str(path), "w", None) as sink:
        sink.write(b"this is no BAM\n")
    return path


@pytest.mark.parametrize("name", ROWS)
def test_a_broken_alignment_is_refused_before_a_tool_is_started(name: str, place: Place) -> None:
    act, code, where, fix = ROWS[name]
    assert_says(refusal_of(lambda: act(place)), code, where=where, fix=fix, withheld=(str(place.folder),))
    assert not (place.folder / "never.cram").exists()


def test_a_sound_cram_reaches_the_tool(place: Place) -> None:
    """The checks of the rows above let it through: else they would prove nothing."""
    sound = cram(place, starts=MANY)
    with pytest.raises(AssertionError, match="HaplotypeCaller was started"):
        call(place, sound)
    with pytest.raises(AssertionError, match="MarkDuplicates was started"):
        merge(place, bam(place), previous=cram(place, "b.cram", lane=2))


@contextmanager
def a_reference_server() -> Iterator[tuple[str, list[str]]]:
    """Its URL as REF_PATH has it, and what was asked of it: the server knows every sequence."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(OTHER_BASES.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/%s", asked
        finally:
            server.shutdown()
            thread.join()


def test_a_sequence_that_is_not_here_is_never_fetched_from_a_network(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the environment says where it could be had."""
    needy = cram(place, reference=place.elsewhere, contig="c9")
    fasta = place.reference.fasta
    doors: tuple[Callable[[], object], ...] = (
        lambda: reads_fingerprint_of_alignment(needy, fasta),
        lambda: htslib.count_primary(needy, fasta=fasta),
        lambda: call(place, needy),
        lambda: merge(place, previous=needy),
    )
    with a_reference_server() as (url, asked):
        for door in doors:
            monkeypatch.setenv("REF_PATH", url)
            monkeypatch.setenv("REF_CACHE", str(place.folder / "cache" / "%s"))
            with suppress(Rejected, ToolFailed, OSError):
                door()
        assert asked == []
        assert not (place.folder / "cache").exists()

        # the control: htslib left to itself does ask
        monkeypatch.setenv("REF_PATH", url)
        with (
            suppress(OSError),
            pysam.AlignmentFile(str(needy), reference_filename=str(fasta)) as records,
        ):
            list(records.fetch(until_eof=True))
        assert asked != []


def refusal_of(act: Callable[[], object]) -> Rejection:
    with pytest.raises(Rejected) as refused:
        act()
    return refused.value.rejection
