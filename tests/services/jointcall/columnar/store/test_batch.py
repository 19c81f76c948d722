"""A batch's files give back what was written, bit for bit, and say so in words where they cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import Rejected
from services.jointcall.columnar.store import batch as batches
from services.jointcall.columnar.store import block_code, schema
from services.jointcall.columnar.store.batch import BatchReader, BatchWriter, WrittenBatch
from services.jointcall.columnar.store.schema import WIDEST_BP, BatchPlace, window_bases
from services.jointcall.columnar.tables import Window, empty_blocks
from tests.services.jointcall.columnar.store.made import made_window, same


def place_of(samples: int, *, first: int = 1, last: int = 2048, window_bp: int = 1024) -> BatchPlace:
    names = tuple(f"smp_{i}" for i in range(samples))
    return BatchPlace(contig="chr20", first=first, last=last, window_bp=window_bp, samples=names)


def written(folder: Path, place: BatchPlace, windows: list[Window]) -> WrittenBatch:
    with BatchWriter(place=place, folder=folder) as writer:
        for window in windows:
            writer.write(window)
        return writer.finish()


def opened(batch: WrittenBatch) -> BatchReader:
    return BatchReader(blocks=batch.blocks.path, variants=batch.variants.path, where="the batch")


def made(place: BatchPlace, *, seed: int = 1, wild: bool = False, records: int = 12) -> list[Window]:
    return [
        made_window(seed=seed + i, samples=len(place.samples), first=first, last=last, wild=wild, records=records)
        for i, (first, last) in enumerate(place.windows())
    ]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    samples=st.integers(0, 5),
    wild=st.booleans(),
    records=st.sampled_from([0, 1, 12, 300]),
    together=st.sampled_from([1, 500, 1500]),
)
def test_windows_come_back_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, seed: int, samples: int, wild: bool, records: int, together: int
) -> None:
    place = place_of(samples, last=3500)
    windows = made(place, seed=seed, wild=wild, records=records)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "ROWS_TOGETHER", together)
        batch = written(tmp_path_factory.mktemp("batch"), place, windows)
    with opened(batch) as reader:
        assert reader.samples == place.samples and reader.window_bp == 1024
        # in any order, each for itself
        for index in reversed(range(len(windows))):
            assert same(reader.read(index), windows[index])
    assert batch.block_rows == sum(window.blocks.gap.size for window in windows)


def test_explicit_records_are_read_without_the_blocks(tmp_path: Path) -> None:
    place = place_of(3)
    windows = made(place)
    with opened(written(tmp_path, place, windows)) as reader:
        read = reader.read(1, variants_only=True)
        assert same(read, windows[1]._replace(blocks=empty_blocks(3)))
        assert windows[1].blocks.gap.size > 0


def test_windows_begin_at_multiples_and_the_outer_ones_are_cut(tmp_path: Path) -> None:
    place = place_of(1, first=1000, last=3100)
    assert place.windows() == [(1000, 1024), (1025, 2048), (2049, 3072), (3073, 3100)]
    with opened(written(tmp_path, place, made(place))) as reader:
        assert [reader.index_of(base) for base in (1000, 1024, 1025, 3072, 3073, 3100)] == [0, 0, 1, 2, 3, 3]
        with pytest.raises(IndexError):
            reader.index_of(999)


def test_plain_pyarrow_reads_a_batch_by_the_documented_rules(tmp_path: Path) -> None:
    """With nothing of ours: the recipe of schema.py's docstring."""
    place = place_of(4)
    windows = made(place, records=200)
    batch = written(tmp_path, place, windows)
    file = pa.ipc.open_file(str(batch.blocks.path))
    assert file.schema.metadata[b"schema_version"] == b"1"
    assert file.schema.metadata[b"windows_per_record_batch"] == str(schema.windows_together(place)).encode()
    assert (file.num_record_batches, file.get_batch(0).num_rows) == (1, 2)
    row = file.get_batch(0).to_pylist()[1]

    def values(name: str, n: int) -> list[int]:
        planes = row[name]
        return [sum(planes[p * n + i] << (8 * p) for p in range(len(planes) // n)) for i in range(n)]

    def signed(code: int) -> int:
        return (code >> 1) ^ -(code & 1)

    per_sample = values("rows", 4)
    n = sum(per_sample)
    min_dp: list[int] = []
    codes = iter(values("min_dp", n))
    for rows in per_sample:
        running = 0
        for _ in range(rows):
            running += signed(next(codes))
            min_dp.append(running)
    blocks = windows[1].blocks
    assert per_sample == np.diff(blocks.rows).tolist()
    assert min_dp == blocks.min_dp.tolist()
    assert [signed(c) + m for c, m in zip(values("dp", n), min_dp, strict=True)] == blocks.dp.tolist()
    assert [length + 1 for length in values("length", n)] == blocks.length.tolist()
    told = [form ^ 120 for form in values("form", n)]
    assert told == blocks.form.tolist()
    explicit = pa.ipc.open_file(str(batch.variants.path)).get_batch(0).to_pylist()[1]
    assert tuple(explicit["strings"]) == windows[1].strings


def test_a_batch_of_another_schema_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of(1)
    monkeypatch.setattr("services.jointcall.columnar.store.schema.SCHEMA_VERSION", 2)
    batch = written(tmp_path, place, made(place))
    monkeypatch.undo()
    with pytest.raises(Rejected) as refused:
        opened(batch)
    assert refused.value.rejection.code == "SCHEMA_VERSION"
    assert "version 2" in refused.value.rejection.message and "version 1" in refused.value.rejection.rule


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    one = written(tmp_path / "one", place_of(1), made(place_of(1)))
    two = written(tmp_path / "two", place_of(2), made(place_of(2)))
    with pytest.raises(Rejected, match=r"CONTENT_CHANGED.*different batches"):
        BatchReader(blocks=one.blocks.path, variants=two.variants.path, where="the batch")
    with pytest.raises(Rejected, match="FORMAT_MISMATCH"):
        BatchReader(blocks=one.variants.path, variants=one.blocks.path, where="the batch")


def test_cut_and_overwritten_files_are_refused(tmp_path: Path) -> None:
    place = place_of(3)
    batch = written(tmp_path, place, made(place, records=300))
    whole = batch.blocks.path.read_bytes()
    batch.blocks.path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Rejected, match="CONTENT_CHANGED"):
        opened(batch)
    holed = bytearray(whole)
    middle = len(whole) // 4
    holed[middle : middle + 400] = bytes(400)
    batch.blocks.path.write_bytes(holed)
    with pytest.raises(Rejected, match="CONTENT_CHANGED"), opened(batch) as reader:
        for index in range(2):
            reader.read(index)


def test_windows_in_each_others_place_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of(2)
    with monkeypatch.context() as patch:
        patch.setattr(BatchPlace, "windows", lambda _: [(1025, 2048), (1, 1024)])
        batch = written(tmp_path, place, made(place))
    with opened(batch) as reader, pytest.raises(Rejected, match=r"CONTENT_CHANGED.*another window"):
        reader.read(0)


def test_a_code_that_names_no_string_is_refused(tmp_path: Path) -> None:
    place = place_of(2)
    windows = made(place, records=300)
    cut = [window._replace(strings=window.strings[:1]) for window in windows]
    with opened(written(tmp_path, place, cut)) as reader, pytest.raises(Rejected, match="names a string that is not"):
        reader.read(0)


def test_gaps_and_lengths_have_two_bytes() -> None:
    (window,) = made(place_of(2, last=1024), records=300)
    n = window.blocks.gap.size
    wide = window.blocks._replace(gap=np.arange(n, dtype=np.uint16) * 200, length=np.full(n, 65_535, np.uint16))
    again = block_code.from_disk(block_code.to_disk(wide), samples=2)
    assert (again.gap == wide.gap).all()
    assert (again.length == wide.length).all()


def test_blocks_that_reach_past_their_window_are_refused(tmp_path: Path) -> None:
    place = place_of(2)
    windows = made(place, records=300)
    for window in windows:
        window.blocks.length[window.blocks.rows[-1] - 1] += 2000
    said = r"CONTENT_CHANGED.*sample 1 reach past the window"
    with opened(written(tmp_path, place, windows)) as reader, pytest.raises(Rejected, match=said):
        reader.read(0)


def test_windows_come_whole_and_in_their_order(tmp_path: Path) -> None:
    place = place_of(2)
    windows = made(place)
    with BatchWriter(place=place, folder=tmp_path) as writer:
        with pytest.raises(ValueError, match="not the one that is due"):
            writer.write(windows[1])
        with pytest.raises(ValueError, match="2 samples"):
            writer.write(made_window(seed=1, samples=3))
        writer.write(windows[0])
        with pytest.raises(ValueError, match="1 windows"):
            writer.finish()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of(2)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(batches.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        written(tmp_path, place, made(place))
    assert list(tmp_path.iterdir()) == []


def test_a_sample_twice_and_odd_windows_are_refused() -> None:
    with pytest.raises(Rejected, match="COHORT_DUPLICATE"):
        BatchPlace(contig="chr20", first=1, last=9, window_bp=1024, samples=("a", "a"))
    for width in (1000, 3072, WIDEST_BP * 2):
        with pytest.raises(ValueError, match="power of two"):
            place_of(1, window_bp=width)


@pytest.mark.parametrize(
    ("samples", "records_per_base", "width"),
    [(1, 0.1, WIDEST_BP), (24, 0.107, WIDEST_BP), (100, 0.107, 16384), (1000, 0.107, 2048), (10_000, 0.107, 1024)],
)
def test_windows_are_a_few_megabytes_decoded(samples: int, records_per_base: float, width: int) -> None:
    assert window_bases(samples=samples, records_per_base=records_per_base) == width


def test_columns_stay_small_where_numbers_follow_the_callers_models() -> None:
    """What HaplotypeCaller's models imply costs nothing: form, GQ and PL0 of usual blocks."""
    window = made_window(seed=3, samples=4, last=WIDEST_BP, records=800)
    usual = window.blocks.form == 120
    assert usual.mean() > 0.7
    blocks = window.blocks
    implied = blocks._replace(
        form=np.full_like(blocks.form, 120),
        gq=np.minimum(99, np.minimum(blocks.pl1, blocks.pl2)).astype(np.uint8),
    )
    columns = batches.columns_of(window._replace(blocks=implied))["blocks"]
    assert {name: columns[name].size for name in ("form", "gq", "pl0")} == {"form": 0, "gq": 0, "pl0": 0}
