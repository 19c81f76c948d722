"""The fingerprint depends on the reads alone: not on their order, their files, or how they were aligned."""

import gzip
from pathlib import Path

import pysam
from hypothesis import given
from hypothesis import strategies as st

from chassis.tools.fastq import Read
from chassis.tools.fingerprint import (
    EMPTY,
    Fingerprint,
    combine,
    reads_fingerprint_of_alignment,
    reads_fingerprint_of_fastq,
)

reads = st.lists(
    st.tuples(
        st.text("abc:123", min_size=1, max_size=8),
        st.integers(1, 2),
        st.lists(st.tuples(st.sampled_from("ACGTN"), st.sampled_from("#,:F")), min_size=1, max_size=12),
    ),
    max_size=8,
)


def _of(items: list[tuple[str, int, list[tuple[str, str]]]]) -> str:
    total = Fingerprint()
    for name, mate, called in items:
        total.add(Read(name, "".join(b for b, _ in called), "".join(q for _, q in called)), mate)
    return total.hexdigest()


@given(reads, st.randoms(use_true_random=False), st.integers(0, 8))
def test_order_and_grouping_do_not_matter(items: list, random, cut: int) -> None:  # type: ignore[no-untyped-def, type-arg]
    shuffled = list(items)
    random.shuffle(shuffled)

    assert _of(shuffled) == _of(items) == combine(_of(items[cut:]), _of(items[:cut]), EMPTY)


@given(reads.filter(bool), st.integers(0, 7))
def test_a_read_more_or_less_matters(items: list, at: int) -> None:  # type: ignore[type-arg]
    assert _of([*items, items[at % len(items)]]) != _of(items)


@given(st.sampled_from(["name", "mate", "bases", "qualities"]))
def test_every_part_of_a_read_matters(part: str) -> None:
    def of(name: str, mate: int, bases: str, qualities: str) -> str:
        total = Fingerprint()
        total.add(Read(name, bases, qualities), mate)
        return total.hexdigest()

    changed = {"name": ("b", 1, "AC", "FF"), "mate": ("a", 2, "AC", "FF"), "bases": ("a", 1, "CA", "FF")}
    assert of(*changed.get(part, ("a", 1, "AC", "F#"))) != of("a", 1, "AC", "FF")


def test_an_alignment_counts_as_it_was_sequenced(tmp_path: Path) -> None:
    """Given a pair whose second mate lies on the reverse strand, with a supplementary record beside it."""
    for mate, (bases, qualities) in enumerate((("ACGTN", "FFF#,"), ("ttgCA", "#FF:F")), start=1):
        with gzip.open(tmp_path / f"r{mate}", "wt") as stream:
            stream.write(f"@q/{mate}\n{bases}\n+\n{qualities}\n")
    header = pysam.AlignmentHeader.from_dict({"HD": {"VN": "1.6"}, "SQ": [{"SN": "one", "LN": 99}]})
    with pysam.AlignmentFile(str(tmp_path / "x.bam"), "wb", header=header) as out:
        for text in (
            "q\t99\tone\t1\t60\t5M\t=\t11\t15\tACGTN\tFFF#,",
            "q\t2131\tone\t50\t60\t3M2H\t=\t1\t0\tTGC\tF:F",
            "q\t147\tone\t11\t60\t5M\t=\t1\t-15\tTGCAA\tF:FF#",
        ):
            out.write(pysam.AlignedSegment.fromstring(text, header))

    assert reads_fingerprint_of_alignment(tmp_path / "x.bam", None) == reads_fingerprint_of_fastq(
        tmp_path / "r1", tmp_path / "r2"
    )
