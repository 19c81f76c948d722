"""Operations publish one whole generation or none; bad input is said before hours of reading."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chassis.errors import Rejected
from chassis.settings import StoreSettings
from chassis.storage.store import StoreUnavailable
from services.jointcall.columnar.library import exporting, operations
from services.jointcall.columnar.library.facts import store_facts
from services.jointcall.columnar.library.opening import current, named, opened_store
from services.jointcall.columnar.library.operations import Workplace
from services.jointcall.columnar.store.collection import collected, planned
from services.jointcall.columnar.store.generation import ShardFiles
from tests.services.jointcall.columnar.library.algebra import DEADLINE, People, people, records, scratch_digest


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> People:
    return people(21, tmp_path_factory.mktemp("people"), number=6, sites=40)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Workplace]:
    settings = StoreSettings()
    with opened_store(str(tmp_path / "store"), settings, make=True) as depot:
        yield Workplace(depot=depot, settings=settings, scratch=tmp_path / "scratch")


def own(cohort: People, first: int, last: int) -> list[str]:
    return [str(path) for path in list(cohort.own.values())[first:last]]


def digest(at: Workplace) -> str:
    return exporting.digest(at, current(at.depot), exporting.Wanted()).digest


def test_what_is_there_is_used_again(cohort: People, at: Workplace) -> None:
    first = operations.import_first(at, own(cohort, 0, 3), reference=cohort.fasta)
    assert (first.operation, first.number, first.samples, first.changed, first.reused) == ("import", 1, 3, 3, 0)
    assert first.gvcf_bytes == sum(Path(path).stat().st_size for path in own(cohort, 0, 3))
    second = operations.add(at, own(cohort, 3, 4), reference=cohort.fasta)
    assert (second.number, second.samples, second.changed, second.batches) == (2, 4, 1, 2)
    assert second.reused == first.written and second.written > 0
    third = operations.withdraw(at, [next(iter(cohort.own))], deadline=DEADLINE)
    assert (third.samples, third.written, third.reused) == (3, 0, first.written + second.written)
    assert not list((at.scratch or Path()).iterdir())


def test_bad_input_is_refused_before_anything_is_read(cohort: People, at: Workplace, tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"FILE_MISSING.*joint import"):
        operations.add(at, own(cohort, 0, 1), reference=cohort.fasta)
    operations.import_first(at, own(cohort, 0, 2), reference=cohort.fasta)
    one = own(cohort, 0, 1)[0]
    twin = shutil.copy(one, tmp_path / "twin.g.vcf.gz")
    for code, work in {
        "COHORT_EXISTS": lambda: operations.import_first(at, own(cohort, 2, 3), reference=cohort.fasta),
        "COHORT_DUPLICATE: 1 of": lambda: operations.add(at, own(cohort, 1, 3), reference=cohort.fasta),
        "COHORT_DUPLICATE: .* hold the same": lambda: operations.add(at, [one, str(twin)], reference=cohort.fasta),
        "SAMPLE_UNKNOWN": lambda: operations.replace(at, own(cohort, 1, 3), reference=cohort.fasta, deadline=DEADLINE),
        "SAMPLE_UNKNOWN: 1": lambda: operations.withdraw(at, ["nobody"], deadline=DEADLINE),
        "EMPTY_INPUT": lambda: operations.add(at, [], reference=cohort.fasta),
        "FILE_MISSING": lambda: operations.add(at, ["no.g.vcf.gz"], reference=cohort.fasta),
    }.items():
        with pytest.raises(Rejected, match=code):
            work()
    assert len(list(at.depot.history())) == 1


def test_another_reference_is_refused(cohort: People, at: Workplace, tmp_path: Path) -> None:
    operations.import_first(at, own(cohort, 0, 1), reference=cohort.fasta)
    name, bases, *_ = cohort.fasta.read_text().split("\n")
    other = tmp_path / "other.fa"
    other.write_text(f"{name}\n{bases[:-1]}{'A' if bases[-1] != 'A' else 'C'}\n")
    with pytest.raises(Rejected, match="REFERENCE_MISMATCH"):
        operations.add(at, own(cohort, 1, 2), reference=other)
    # lower case and other lines are the same reference
    masked = tmp_path / "masked.fa"
    masked.write_text(f"{name}\n{bases[:60].lower()}\n{bases[60:120]}\n")
    with masked.open("a") as more:
        more.writelines(f"{bases[begin : begin + 60]}\n" for begin in range(120, len(bases), 60))
    assert operations.add(at, own(cohort, 1, 2), reference=masked).samples == 2


def test_of_two_adds_one_is_told_to_repeat(cohort: People, at: Workplace) -> None:
    operations.import_first(at, own(cohort, 0, 2), reference=cohort.fasta)
    others: list[str] = own(cohort, 4, 5)

    def meanwhile(_: str) -> None:
        if others:
            operations.add(Workplace(depot=at.depot, settings=at.settings), [others.pop()], reference=cohort.fasta)

    slow = Workplace(depot=at.depot, settings=at.settings, told=meanwhile)
    with pytest.raises(Rejected, match=r"GENERATION_MOVED.*repeat the operation on the current generation"):
        operations.add(slow, own(cohort, 2, 4), reference=cohort.fasta)
    assert len(current(at.depot).samples) == 3
    assert operations.add(slow, own(cohort, 2, 4), reference=cohort.fasta).samples == 5


@pytest.mark.parametrize("cut", [KeyboardInterrupt, OSError(errno.ENOSPC, "No space left on device")])
def test_what_is_cut_short_publishes_nothing(
    cohort: People, at: Workplace, cut: BaseException | type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    operations.import_first(at, own(cohort, 0, 2), reference=cohort.fasta, shard_bp=400)
    before, whole = current(at.depot), digest(at)
    put = at.depot.put
    calls: list[int] = []

    def cut_short(batch: Any) -> ShardFiles:
        calls.append(1)
        if len(calls) == 2:
            raise cut
        return put(batch)

    monkeypatch.setattr(at.depot, "put", cut_short)
    with pytest.raises((KeyboardInterrupt, OSError, StoreUnavailable)):
        operations.add(at, own(cohort, 2, 4), reference=cohort.fasta)
    monkeypatch.undo()
    assert current(at.depot) == before and digest(at) == whole
    assert not list((at.scratch or Path()).iterdir())
    # what was stored of it is found as garbage, and a repeated add needs none of it
    assert planned(at.depot, grace=timedelta(0), now=datetime.now(UTC) + timedelta(1)).objects
    operations.add(at, own(cohort, 2, 4), reference=cohort.fasta)
    assert digest(at) == scratch_digest(cohort, list(cohort.own.values())[:4]).digest


def test_a_withdrawn_samples_bytes_go(cohort: People, at: Workplace) -> None:
    operations.import_first(at, own(cohort, 0, 3), reference=cohort.fasta)
    gone = sorted(cohort.own)[0] if sorted(cohort.own)[0] in current(at.depot).samples else current(at.depot).samples[0]
    operations.withdraw(at, [gone], deadline=DEADLINE)
    now = datetime.now(UTC)
    assert operations.rewrite(at, now=now) is None
    assert [mask.sample for mask in store_facts(at.depot, current(at.depot), now=now).masks] == [gone]
    done = operations.rewrite(at, now=DEADLINE)
    assert done is not None and done.reused == 0
    later = now + timedelta(days=3)
    facts = store_facts(at.depot, current(at.depot), now=later)
    assert facts.masks == () and facts.garbage > 0
    collected(at.depot, planned(at.depot, now=later))
    assert store_facts(at.depot, current(at.depot), now=later).garbage == 0
    named_in = list(Path(at.depot.base.removeprefix("file://")).rglob("*.arrow"))
    assert named_in and not any(gone.encode() in path.read_bytes() for path in named_in)


def test_compaction_leaves_the_calls_and_one_batch(cohort: People, at: Workplace) -> None:
    operations.import_first(at, own(cohort, 0, 2), reference=cohort.fasta, shard_bp=400)
    operations.add(at, own(cohort, 2, 4), reference=cohort.fasta)
    before = digest(at)
    done = operations.compact(at)
    assert done is not None and done.batches == 1
    assert digest(at) == before
    assert operations.compact(at) is None


def test_generations_are_found_by_id_number_and_hold(cohort: People, at: Workplace) -> None:
    first = operations.import_first(at, own(cohort, 0, 1), reference=cohort.fasta)
    second = operations.add(at, own(cohort, 1, 2), reference=cohort.fasta)
    at.depot.hold(name="freeze-1", generation=first.generation, reason="released")
    for name in ("freeze-1", "1", "#1", first.generation, first.generation[:8]):
        assert named(at.depot, name).id == first.generation
    assert named(at.depot, None).id == second.generation
    for name in ("9", "nothing", "0" * 10, "", "../1"):
        with pytest.raises(Rejected, match="GENERATION_UNKNOWN"):
            named(at.depot, name)


def test_the_same_gvcf_comes_back(cohort: People, at: Workplace) -> None:
    """Its batch is there already, masked: it counts again, and nothing is stored twice."""
    operations.import_first(at, own(cohort, 0, 2), reference=cohort.fasta)
    operations.add(at, own(cohort, 2, 3), reference=cohort.fasta)
    whole, name = digest(at), list(cohort.own)[2]
    operations.withdraw(at, [name], deadline=DEADLINE)
    done = operations.add(at, own(cohort, 2, 3), reference=cohort.fasta)
    assert (done.samples, done.batches, done.written) == (3, 2, 0)
    assert digest(at) == whole and current(at.depot).masks == ()
    operations.replace(at, [str(cohort.other[name])], reference=cohort.fasta, deadline=DEADLINE)
    assert digest(at) != whole
    operations.replace(at, own(cohort, 2, 3), reference=cohort.fasta, deadline=DEADLINE)
    assert digest(at) == whole and len(current(at.depot).masks) == 1
    # the very gVCF that counts replaces nothing
    with pytest.raises(Rejected, match="COHORT_DUPLICATE"):
        operations.replace(at, own(cohort, 2, 3), reference=cohort.fasta, deadline=DEADLINE)


def test_all_may_be_withdrawn(cohort: People, at: Workplace) -> None:
    operations.import_first(at, own(cohort, 0, 2), reference=cohort.fasta)
    operations.withdraw(at, current(at.depot).samples, deadline=DEADLINE)
    assert records(at) == []
    done = operations.add(at, own(cohort, 2, 3), reference=cohort.fasta)
    assert done.samples == 1 and digest(at) == scratch_digest(cohort, list(cohort.own.values())[2:3]).digest
