"""Chunks that an engine left: gathered when whole, refused when not; and the tar that carries a generation."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from chassis.errors import ToolFailed
from contracts.values import Interval
from services.jointcall.engines.gather import gather
from services.jointcall.engines.generation import pack, unpack
from services.jointcall.engines.jitter import settle, variant_depth
from services.jointcall.engines.protocol import CalledChunk, IntervalCounts
from tests.services.jointcall.engines.written import bgzip

HEADER = """##fileformat=VCFv4.2
##contig=<ID=c1,length=1000>
{extra}#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO	FORMAT	ada
"""


def chunk(folder: Path, start: int, end: int, positions: list[int], *, extra: str = "") -> CalledChunk:
    text = HEADER.format(extra=extra) + "".join(f"c1\t{at}\t.\tA\tC\t50\t.\tAC=1\tGT\t0/1\n" for at in positions)
    made = bgzip(folder / f"{start}.vcf.gz", text.encode(), name="ada", index=False)
    return CalledChunk(interval=Interval(contig="c1", start=start, end=end, contig_length=1000), vcf=made.path)


def collect(folder: Path, *chunks: CalledChunk) -> IntervalCounts:
    return gather(chunks=chunks, out_vcf=folder / "out.vcf.gz", out_sites=folder / "sites.vcf.gz")


def test_a_record_counts_in_the_chunk_that_it_starts_in(tmp_path: Path) -> None:
    first, second = chunk(tmp_path, 1, 500, [10, 500]), chunk(tmp_path, 501, 1000, [500, 501, 999])
    assert collect(tmp_path, first, second) == IntervalCounts(variants=4, samples=1)


def test_lines_that_tell_of_a_run_do_not_tell_chunks_apart(tmp_path: Path) -> None:
    first = chunk(tmp_path, 1, 500, [10], extra="##GATKCommandLine=<ID=x,Date=today>\n")
    assert collect(tmp_path, first, chunk(tmp_path, 501, 1000, [600])).variants == 2


def test_a_chunk_that_was_cut_is_refused(tmp_path: Path) -> None:
    whole = chunk(tmp_path, 1, 500, [10])
    whole.vcf.write_bytes(whole.vcf.read_bytes()[:-28])
    with pytest.raises(ToolFailed, match="no end block"):
        collect(tmp_path, whole)


def test_chunks_of_different_headers_are_refused(tmp_path: Path) -> None:
    other = chunk(tmp_path, 501, 1000, [600], extra='##FILTER=<ID=x,Description="x">\n')
    with pytest.raises(ToolFailed, match="another header"):
        collect(tmp_path, chunk(tmp_path, 1, 500, [10]), other)


def test_records_out_of_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="out of order"):
        collect(tmp_path, chunk(tmp_path, 1, 500, [20, 10]))


def test_the_same_folder_packs_to_the_same_bytes_and_comes_back(tmp_path: Path) -> None:
    folder = tmp_path / "workspace"
    (folder / "c1$1$10" / "fragment").mkdir(parents=True)
    (folder / "callset.json").write_text("{}")
    (folder / "c1$1$10" / "fragment" / "PL.tdb").write_bytes(b"\0" * 100)
    pack(folder, tmp_path / "one.tar")
    (folder / "callset.json").touch()
    pack(folder, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()

    unpack(tmp_path / "one.tar", tmp_path / "back")
    found = {one.relative_to(tmp_path / "back").as_posix(): one for one in (tmp_path / "back").rglob("*")}
    assert found.keys() == {"callset.json", "c1$1$10", "c1$1$10/fragment", "c1$1$10/fragment/PL.tdb"}
    assert found["c1$1$10/fragment/PL.tdb"].read_bytes() == b"\0" * 100


def test_a_tar_that_reaches_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        entry = tarfile.TarInfo("../outside")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(ToolFailed):
        unpack(tmp_path / "bad.tar", tmp_path / "back")
    assert not (tmp_path / "outside").exists()


LAYOUT = b"GT:AD:DP:PL"


@pytest.mark.parametrize(
    ("cells", "depth"),
    [
        ([b"0/1:5,5:10:99,0,99", b"0/0:30,0:30:0,9,9"], 10),
        ([b"0/1:5,5:10:99,0,99", b"0/1:9,1:10:9,0,99"], 10),  # one read of an ALT is passed over beside better ones
        ([b"0/1:9,1:10:9,0,99"], 10),  # and taken when there is no better one
        ([b"1/1:0,0:7:99,9,0"], 7),
        ([b"1|1:0,4:4"], 4),
        ([b"1:0,4:4"], 4),
        ([b"./.:0,0:0", b"0/0"], 0),
        ([b"0/1"], 0),
    ],
)
def test_the_depth_that_qd_divides_by(cells: list[bytes], depth: int) -> None:
    assert variant_depth(LAYOUT, cells) == depth


def record(qual: str, qd: str, *, at: int = 10) -> bytes:
    return f"c1\t{at}\t.\tA\tC\t{qual}\t.\tAC=1;QD={qd};SOR=1\tGT:AD\t0/1:5,5".encode()


def test_a_computed_qd_is_left_alone() -> None:
    assert settle(record("300", "30.00")) == record("300", "30.00")


def test_a_drawn_qd_depends_on_the_allele_alone() -> None:
    settled = settle(record("400", "28.11"))
    assert settled == settle(record("400", "31.90"))
    assert settled.split(b"QD=")[1] != settle(record("400", "28.11", at=11)).split(b"QD=")[1]
    assert settled.startswith(b"c1\t10\t.\tA\tC\t400\t.\tAC=1;QD=")
    assert settled.endswith(b";SOR=1\tGT:AD\t0/1:5,5")


def test_drawn_values_spread_as_gatks_do() -> None:
    drawn = [float(settle(record("400", "0", at=at)).split(b"QD=")[1].split(b";")[0]) for at in range(1, 2001)]
    mean = sum(drawn) / len(drawn)
    assert mean == pytest.approx(30, abs=0.3)
    assert (sum((one - mean) ** 2 for one in drawn) / len(drawn)) ** 0.5 == pytest.approx(3, abs=0.2)
