"""A batch whose samples do not fit into memory side by side is written group by group, and says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.jointcall.columnar import importing
from services.jointcall.columnar.importing import write_batch
from services.jointcall.columnar.store.batch import BatchReader, WrittenBatch
from services.jointcall.columnar.store.variant_code import CODES
from services.jointcall.engines.gvcf import sample_name_of
from tests.oracle.made import cohort
from tests.services.jointcall.columnar.genotype.batches import Made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    return Made(cohort(4, folder, people=12, sites=60), folder)


def written(made: Made, folder: Path, *, broken_at: int = -1) -> WrittenBatch:
    paths = made.cohort.gvcfs

    def parse(at: int) -> importing.Parsed:
        if at == broken_at:
            raise ValueError("broken")
        return made.parsed(paths[at])

    return write_batch(
        names=[sample_name_of(path) for path in paths],
        parse=parse,
        contig=made.cohort.contig,
        first=made.cohort.first,
        last=made.cohort.last,
        folder=folder,
    )


def records(batch: WrittenBatch) -> list[list[object]]:
    """What each window's explicit records say, whatever the numbers of their strings."""
    out: list[list[object]] = []
    with BatchReader(blocks=batch.blocks.path, variants=batch.variants.path, where="batch") as reader:
        for index in range(len(reader.windows())):
            window = reader.read(index)
            strings = (*window.strings, b"")
            for name, column in window.variants._asdict().items():
                values = column.tolist()
                out.append([name, [strings[code] for code in values] if name in CODES else repr(values)])
    return out


@pytest.mark.parametrize("samples", [1, 5, 11])
def test_groups_make_a_batch_that_says_the_same(
    made: Made, samples: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written(made, tmp_path / "whole")
    each = sum(column.nbytes for table in made.parsed(made.cohort.gvcfs[0])[2:4] for column in table)
    monkeypatch.setattr(importing, "GROUP_BYTES", each * samples)
    parts = written(made, tmp_path / "parts")
    assert parts.blocks.sha256 == whole.blocks.sha256
    assert records(parts) == records(whole)
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["blocks.arrow", "variants.arrow"]


@pytest.mark.parametrize("group_bytes", [1, 1 << 30])
def test_a_refused_gvcf_leaves_nothing(
    made: Made, group_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "GROUP_BYTES", group_bytes)
    with pytest.raises(ValueError, match="broken"):
        written(made, tmp_path / "batch", broken_at=9)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
