"""What tools, libraries and people quote does not travel: attempts, logs of handlers, reasons, run ids."""

from __future__ import annotations

import io
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chassis.errors import Rejected, reject
from chassis.ledger.ledger import Ledger
from chassis.ledger.quarantine import Delivery
from chassis.ledger.tasks import TaskState
from chassis.messaging.receive import Receipt, receive
from chassis.service import Subscriptions
from chassis.telemetry.logs import Places
from chassis.withheld import Withheld
from contracts.envelope import encode
from contracts.events import SampleTagRequested
from services.ingest.observation import RunState
from services.ingest.observe import observe
from services.ingest.personal import suspicion_in_words, suspicion_of_name
from tests.conftest import until
from tests.phi import telltale
from tests.phi.searched import leaks, told
from tests.services.ingest.bench import rules, run_info
from tests.support.messages import tag
from tests.support.site import Site, sample_key, state_of, task_row
from tests.support.working import enqueue, worker_of

WORDS = (telltale.LABEL, "QZXLABEL", "Zyxwvutquist")


async def test_how_an_attempt_failed_is_told_with_keys(site: Site, ledger: Ledger) -> None:
    samples = {how: sample_key() for how in ("tool", "rejection", "file", "bug")}
    await enqueue(ledger, *(telltale.telling(sample, how) for how, sample in samples.items()))

    async def failed() -> bool:
        return {await state_of(ledger, f"tell:{one}") for one in samples.values()} == {TaskState.failed}

    async with worker_of(site, ledger, builder=telltale.BUILDER):
        await until(failed)
    errors = {how: (await task_row(ledger, f"tell:{one}"))["error"]["message"] for how, one in samples.items()}
    assert f"Sample {samples['tool']} is not in the header" in errors["tool"]
    assert errors["rejection"] == f"bad {samples['rejection']}"
    assert "Permission denied" in errors["file"]
    assert "KeyError in telltale" in errors["bug"]
    async with ledger.connection() as conn:
        kept = [str(dict(row)) for row in await conn.fetch("select * from status_task")]
        kept += [str(dict(row)) for row in await conn.fetch("select * from status_attempt")]
        kept += [bytes(row["body"]).decode() for row in await conn.fetch("select body from outbox")]
    assert len(kept) == 3 * len(samples)
    assert told(found for text in kept for found in leaks(text, WORDS, "the ledger")) == []
    logs = sorted((site.folder / "logs" / "attempts").rglob("*.log"))
    assert len(logs) == len(samples)
    for path in logs:
        text = path.read_text(encoding="utf-8")
        assert "reading smp_" in text
        assert told(leaks(text, ("QZXLABEL",), path.name)) == []


def test_a_name_is_replaced_as_a_word_the_longest_first() -> None:
    withheld = Withheld()
    assert withheld.cleaned("S1") == "S1"
    withheld.add("S1", key="smp_1")
    withheld.add("S1-LIB", key="lib_1")
    withheld.add("smp_2", key="smp_2")
    assert withheld.cleaned("S1-LIB of S1, S1_R1.fastq.gz, not S12 or GS1; smp_2") == (
        "lib_1 of smp_1, smp_1_R1.fastq.gz, not S12 or GS1; smp_2"
    )
    said = {
        "say": "outcome",
        "outcome": {"is": "failed", "rejection": {"message": "S1"}, "events": [{"uri": "s3://b/S1"}]},
    }
    assert withheld.clean(said)["outcome"] == {
        "is": "failed",
        "rejection": {"message": "smp_1"},
        "events": [{"uri": "s3://b/S1"}],
    }


async def test_a_handlers_bug_is_logged_without_the_statements_values(ledger: Ledger) -> None:
    """asyncpg quotes a parameter that it cannot send, Postgres the row that breaks a constraint."""

    async def handler(tx: object, event: SampleTagRequested) -> None:
        await tx.conn.execute("select $1::integer", event.tag)  # type: ignore[attr-defined]

    subscriptions = Subscriptions()
    subscriptions.on(SampleTagRequested, handler)
    message = encode(tag(sample_key(), "Zyxwvutquist"), source="/cohortstream/test", time=datetime.now(UTC))
    delivery = Delivery(
        topic=message.topic, partition=0, offset=1, key=message.key, headers=message.headers, body=message.body
    )
    written = io.StringIO()
    shown = logging.StreamHandler(written)
    shown.setFormatter(Places("{message}", style="{"))
    logging.getLogger().addHandler(shown)
    try:
        assert await receive(ledger, subscriptions, delivery) is Receipt.quarantined
    finally:
        logging.getLogger().removeHandler(shown)
    assert "asyncpg.exceptions.DataError" in written.getvalue()
    assert told(leaks(written.getvalue(), WORDS, "the log")) == []
    async with ledger.connection() as conn:
        rows = [str(dict(row)) for row in await conn.fetch("select * from status_quarantine")]
    assert rows
    assert told(leaks(rows[0], WORDS, "the quarantine's status")) == []


def test_our_own_errors_keep_their_words_in_logs() -> None:
    shown = Places("{message}", style="{")
    try:
        try:
            int("Zyxwvutquist")
        except ValueError as error:
            raise reject(code="FORMAT_MISMATCH", message="no number", where="line 3", rule="r", fix="f") from error
    except Rejected as rejected:
        told_of = (Rejected, rejected, rejected.__traceback__)
        record = logging.getLogger("x").makeRecord("x", logging.ERROR, "f", 1, "failed", (), told_of)
    text = json.loads(shown.format(record))["exc_info"]
    assert "FORMAT_MISMATCH: no number" in text
    assert "builtins.ValueError" in text
    assert "Zyxwvutquist" not in text


@pytest.mark.parametrize(
    ("reason", "like"),
    [
        ("Mrs Miller withdrew", "a person's name"),
        ("asked by Katharina", "a person's name"),
        ("DOE^JOHN", "a person's name"),
        ("of MRN 0012345", "a record number"),
        ("see 123-45-6789.", "a record number"),
        ("born 12.03.1971", "a birth date"),
        ("of 1971-03-12", "a birth date"),
        ("lanes 1, 2 and 3 were swapped", None),
        ("contamination of 3.4%, seen by the PI", None),
        ("mixed up with QZXLABEL-0417", None),
        ("a frank word", None),
    ],
)
def test_reasons_that_may_point_at_a_person_are_suspected(reason: str, like: str | None) -> None:
    assert suspicion_in_words(reason) == like


@pytest.mark.parametrize(
    ("name", "suspected"),
    [
        ("240611_A01417_0218_AHK7YWDSX5", False),
        ("20240611_LH00123_0012_A22KVNKLT4", False),
        ("240611_M00123_0045_000000000-ABCDE", False),
        ("150513_SN7001234_0321_BC6GJUANXX", False),
        ("freeze-20240611", False),
        ("240611_JaneDoe_0001_AX", True),
        ("240611_MRN0012345_0001_AX", True),
        ("johanna", True),
    ],
)
def test_names_of_runs_and_cohorts_may_hold_a_date_and_nobody(name: str, suspected: bool) -> None:
    assert (suspicion_of_name(name) is not None) == suspected


@pytest.mark.parametrize(
    ("folder", "run"),
    [
        ("240611_JaneDoe_0001_AX", "240611_MRN0012345_0001_AX"),
        ("240611_JaneDoe_0001_AX", "240611_JaneDoe_0001_AX"),
        ("MRN0012345", "no id at all"),
    ],
)
def test_a_run_named_for_a_person_is_refused_under_another_name(folder: str, run: str, tmp_path: Path) -> None:
    path = tmp_path / folder
    path.mkdir()
    (path / "RunInfo.xml").write_text(run_info(run=run), encoding="utf-8")
    (path / "CopyComplete.txt").touch()
    first = datetime(2024, 6, 11, tzinfo=UTC)
    seen = observe(path, {}, root=tmp_path, rules=rules(), now=first)
    assert seen is not None
    seen = observe(path, seen.seen, root=tmp_path, rules=rules(), now=first.replace(day=12))
    assert seen is not None
    assert seen.state is RunState.rejected
    assert seen.run.startswith("run-")
    assert seen.rejection is not None
    assert told(leaks(f"{seen.run} {seen.rejection}", ("JaneDoe", "MRN0012345"), "the refusal")) == []
