"""What every align engine does, from FASTQs to a gVCF: the seeded one, and the real bwa, MarkDuplicates and
HaplotypeCaller."""

import dataclasses
import gzip
import shutil
from pathlib import Path

import pysam
import pytest

from chassis.errors import Rejected
from chassis.reference.local import LocalReference
from chassis.tools import htslib
from chassis.tools.fingerprint import combine, reads_fingerprint_of_alignment, reads_fingerprint_of_fastq
from services.align.engines.protocol import ChunkedEngine, ReadGroup
from tests.services.align.engines.conftest import TWICE, Called, Merged, align, call
from tests.services.align.engines.simulated import INSERT_BP, Person, Sequencer

EDGE_BP = 300  # an active region and its padding: further from a joint, cutting the intervals changes nothing


@pytest.fixture(params=["seeded", pytest.param("cpu", marks=pytest.mark.tools)])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(name: str, request: pytest.FixtureRequest) -> ChunkedEngine:
    found: ChunkedEngine = request.getfixturevalue(name)
    return found


@pytest.fixture
def merged(name: str, request: pytest.FixtureRequest) -> Merged:
    found: Merged = request.getfixturevalue(f"{name}_merged")
    return found


@pytest.fixture
def called(name: str, request: pytest.FixtureRequest) -> Called:
    found: Called = request.getfixturevalue(f"{name}_called")
    return found


def _lines(gvcf: Path) -> list[str]:
    with gzip.open(gvcf, "rt") as stream:
        return [line for line in stream if not line.startswith("#")]


def _records(path: Path, reference: LocalReference) -> list[pysam.AlignedSegment]:
    with pysam.AlignmentFile(str(path), reference_filename=str(reference.fasta)) as records:
        return list(records.fetch(until_eof=True))


def _marked(cram: Path, reference: LocalReference, contig: str, start: int) -> list[str]:
    """Read groups of the marked fragments that begin and end where the planted one does."""
    return sorted(
        record.get_tag("RG")
        for record in _records(cram, reference)
        if record.is_duplicate
        and record.reference_name == contig
        and record.reference_start == start
        and record.template_length == INSERT_BP
    )


def test_a_lane_is_sorted_and_carries_its_read_group_and_nothing_of_this_machine(
    merged: Merged, reference: LocalReference
) -> None:
    with pysam.AlignmentFile(str(merged.bams[0])) as bam:
        header = bam.header.to_dict()
        records = list(bam)

    assert header["RG"] == [{"ID": "FC1.1.ACGT", "PU": "FC1.1.ACGT", "LB": "LIB1", "SM": "S1", "PL": "ILLUMINA"}]
    assert {record.get_tag("RG") for record in records} == {"FC1.1.ACGT"}
    placed = [(record.reference_id, record.reference_start) for record in records if record.reference_id >= 0]
    assert placed == sorted(placed)
    assert str(reference.fasta.parent) not in str(header)


def test_the_cram_holds_every_read_once_in_version_3_0_with_its_index(
    merged: Merged, reference: LocalReference
) -> None:
    records = _records(merged.cram, reference)
    primary = [record for record in records if not record.flag & 0x900]

    assert htslib.cram_version(merged.cram) == (3, 0)
    assert htslib.has_eof(merged.cram)
    assert merged.cram.with_name("sample.cram.crai").stat().st_size > 0
    assert merged.metrics.reads == len(primary) == 2 * len({record.query_name for record in primary})
    with pysam.AlignmentFile(str(merged.cram)) as cram:
        assert "/" not in str(cram.header)
    assert str(reference.fasta.parent).encode() not in merged.cram.read_bytes()


def test_the_figures_are_those_of_what_was_simulated(merged: Merged) -> None:
    metrics = merged.metrics

    # 32x were drawn over all bases; the calling intervals leave out the run of N
    assert 28 < metrics.mean_coverage < 34
    assert metrics.mapped > 0.97
    assert abs(metrics.insert_median - INSERT_BP) < 10
    assert metrics.libraries == ("LIB1", "LIB2")
    assert metrics.read_groups == ("FC1.1.ACGT", "FC1.2.ACGT", "FC1.3.ACGT")


def test_duplicates_are_marked_over_lanes_within_a_library_and_kept(merged: Merged, reference: LocalReference) -> None:
    for contig, start in TWICE:
        marked = _marked(merged.cram, reference, contig, start)
        # one of the two lanes of LIB1, and never LIB2's, though it lies at the same place
        assert len(marked) == 1
        assert marked[0] in ("FC1.1.ACGT", "FC1.2.ACGT")


def test_the_crams_fingerprint_is_that_of_all_its_fastqs(merged: Merged, reference: LocalReference) -> None:
    fastqs = [reads_fingerprint_of_fastq(lane.r1, lane.r2) for lane in merged.lanes]

    assert merged.metrics.fingerprint == combine(*fastqs)
    assert reads_fingerprint_of_alignment(merged.cram, reference.fasta) == combine(*reversed(fastqs))
    assert merged.metrics.fingerprint != combine(*fastqs[:2])


def test_a_top_up_raises_the_coverage_and_marks_duplicates_over_old_and_new_lanes(
    engine: ChunkedEngine, someone: Person, reference: LocalReference, merged: Merged, tmp_path: Path
) -> None:
    # given a second flow cell of LIB2, which holds a fragment again that LIB2 had once and LIB1 twice
    lane = Sequencer(of=someone, seed=2, flowcell="FC2").lane(
        tmp_path, lane=1, library="LIB2", depth=10, again=TWICE[:1]
    )
    bam = align(engine, lane, reference, tmp_path)

    # when it is merged with the earlier version
    cram = tmp_path / "topped.cram"
    metrics = engine.merge(
        inputs=[bam],
        previous=merged.cram,
        reference=reference,
        optical_distance=2500,
        out_cram=cram,
        scratch=tmp_path,
        threads=1,
    )

    # then LIB2's pair of them has one marked now, beside LIB1's as before
    libraries = {"FC1.1.ACGT": "LIB1", "FC1.2.ACGT": "LIB1", "FC1.3.ACGT": "LIB2", "FC2.1.ACGT": "LIB2"}
    assert sorted(libraries[group] for group in _marked(cram, reference, *TWICE[0])) == ["LIB1", "LIB2"]
    assert [libraries[group] for group in _marked(cram, reference, *TWICE[1])] == ["LIB1"]
    assert metrics.mean_coverage > merged.metrics.mean_coverage + 7
    assert metrics.read_groups == tuple(sorted(libraries))
    assert metrics.fingerprint == combine(merged.metrics.fingerprint, reads_fingerprint_of_fastq(lane.r1, lane.r2))


def test_a_merge_starts_its_marks_afresh(
    engine: ChunkedEngine, reference: LocalReference, merged: Merged, tmp_path: Path
) -> None:
    """Given an earlier version with every read marked, merging it again marks what the reads themselves say."""
    wrong = tmp_path / "wrong.cram"
    with (
        pysam.AlignmentFile(str(merged.cram), reference_filename=str(reference.fasta)) as source,
        pysam.AlignmentFile(
            str(wrong),
            "wc",
            template=source,
            reference_filename=str(reference.fasta),
            format_options=["version=3.0"],
        ) as out,
    ):
        for record in source.fetch(until_eof=True):
            record.is_duplicate = True
            out.write(record)

    metrics = engine.merge(
        inputs=[],
        previous=wrong,
        reference=reference,
        optical_distance=2500,
        out_cram=tmp_path / "again.cram",
        scratch=tmp_path,
        threads=1,
    )

    assert metrics.duplication == merged.metrics.duplication
    assert metrics.fingerprint == merged.metrics.fingerprint


def _code_of_merge(
    engine: ChunkedEngine, reference: LocalReference, folder: Path, *inputs: Path, previous: Path | None = None
) -> str:
    with pytest.raises(Rejected) as refused:
        engine.merge(
            inputs=inputs,
            previous=previous,
            reference=reference,
            optical_distance=2500,
            out_cram=folder / "never.cram",
            scratch=folder,
            threads=1,
        )
    assert not (folder / "never.cram").exists()
    return refused.value.rejection.code


def test_what_may_not_be_merged_is_refused_by_name(
    engine: ChunkedEngine, someone: Person, reference: LocalReference, merged: Merged, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.bam"
    cut.write_bytes(merged.bams[0].read_bytes()[:-28])
    assert _code_of_merge(engine, reference, tmp_path, cut) == "BAM_TRUNCATED"

    assert _code_of_merge(engine, reference, tmp_path, merged.bams[0], previous=merged.cram) == "READ_GROUP_DUPLICATE"

    other = Sequencer(of=someone, seed=3, flowcell="FC9", sample="S2").lane(tmp_path, lane=1, depth=1)
    stranger = align(engine, other, reference, tmp_path)
    assert _code_of_merge(engine, reference, tmp_path, merged.bams[0], stranger) == "SAMPLE_MISMATCH"

    new = tmp_path / "new.cram"
    pysam.view(
        "-C", "-O", "cram,version=3.1", "-T", str(reference.fasta), "-o", str(new), str(stranger), catch_stdout=False
    )
    assert _code_of_merge(engine, reference, tmp_path, previous=new) == "CRAM_VERSION"

    unsorted = tmp_path / "names.bam"
    pysam.sort("-n", "-o", str(unsorted), str(stranger))
    assert _code_of_merge(engine, reference, tmp_path, unsorted) == "NOT_SORTED"

    elsewhere = tmp_path / "elsewhere.fa"
    shutil.copy(reference.fasta, elsewhere)
    elsewhere.with_suffix(".dict").write_text(
        "".join(
            line.replace("M5:", "M5:f") if line.startswith("@SQ") else line
            for line in reference.dictionary.read_text().splitlines(keepends=True)
        )
    )
    other_build = dataclasses.replace(reference, fasta=elsewhere)
    assert _code_of_merge(engine, other_build, tmp_path, stranger) == "REFERENCE_MISMATCH"


def test_a_damaged_fastq_is_refused_and_leaves_no_bam(
    engine: ChunkedEngine, reference: LocalReference, merged: Merged, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.fastq.gz"
    cut.write_bytes(merged.lanes[0].r2.read_bytes()[:-200])

    with pytest.raises(Rejected) as refused:
        align(engine, dataclasses.replace(merged.lanes[0], r2=cut), reference, tmp_path)

    assert refused.value.rejection.code == "GZIP_TRUNCATED"
    assert "cut.fastq.gz" in refused.value.rejection.where
    assert not list(tmp_path.glob("FC1*.bam"))


def test_the_gvcf_is_indexed_covers_its_intervals_and_names_no_folder(
    called: Called, reference: LocalReference
) -> None:
    path, metrics = called.gvcf, called.metrics
    with pysam.VariantFile(str(path)) as records:
        header = str(records.header)
        assert list(records.header.samples) == ["S1"]
        assert next(records.fetch("two", 1199, 1300)).pos <= 1201

    assert metrics.records == len(_lines(path))
    assert metrics.covered >= sum(interval.length for interval in reference.intervals)
    assert "##cohortstreamCaller=" in header
    assert str(reference.fasta.parent) not in header


def test_calling_in_parts_changes_nothing_away_from_the_joints(
    engine: ChunkedEngine,
    merged: Merged,
    reference: LocalReference,
    called: Called,
    tmp_path: Path,
) -> None:
    two = reference.intervals[2].model_copy(update={"end": reference.intervals[3].end})
    whole = call(engine, merged, reference, (*reference.intervals[:2], two), tmp_path).gvcf
    joint = reference.intervals[3].start

    def away(path: Path) -> list[str]:
        return [
            line
            for line in _lines(path)
            for contig, position in [line.split("\t")[:2]]
            if contig != "two" or abs(int(position) - joint) > EDGE_BP
        ]

    assert len(away(whole)) > len(_lines(whole)) // 2
    # a block that is cut at the joint may begin outside the edge: only its END differs
    differing = set(away(whole)) ^ set(away(called.gvcf))
    assert all("END=" in line for line in differing)
    assert len(differing) <= 2


def test_the_same_parts_give_the_same_bytes(
    engine: ChunkedEngine, merged: Merged, reference: LocalReference, called: Called, tmp_path: Path
) -> None:
    again = call(engine, merged, reference, reference.intervals, tmp_path)

    assert again.gvcf.read_bytes() == called.gvcf.read_bytes()


def test_a_cram_that_breaks_off_is_refused(
    engine: ChunkedEngine, merged: Merged, reference: LocalReference, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.cram"
    cut.write_bytes(merged.cram.read_bytes()[:-38])

    with pytest.raises(Rejected) as refused:
        engine.call(
            cram=cut,
            reference=reference,
            intervals=reference.intervals[:1],
            out_gvcf=tmp_path / "x.g.vcf.gz",
            scratch=tmp_path,
        )

    assert refused.value.rejection.code == "BAM_TRUNCATED"


def test_a_read_group_cannot_break_out_of_its_header_line() -> None:
    with pytest.raises(ValueError, match="printable"):
        ReadGroup(id="FC1.1.ACGT", sample="S1\tLB:x", library="LIB1")
