"""Identifiers planted in every field that comes in appear in no event, ledger, log, span, metric, key or tag, and
inside artifacts only where the site declares its ids pseudonymous."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.phi import planted, searched
from tests.phi.lived import ACTOR, Lived, live
from tests.support.flow import material

PLAIN = ("landing/",)
"""What came in lies there as it came, in the restricted zone."""
LABELLED = {"cram", "lane_bam", "gvcf", "vcf", "parquet", "workspace", "report"}
"""Kinds inside of which a sample is called by its label, where that is allowed."""
EVERYTHING = (*planted.NEVER, *planted.OF_SAMPLES)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("pseudonymous", id="pseudonymous, seeded engines"),
        pytest.param("confidential", id="confidential, real tools", marks=pytest.mark.tools),
    ],
)
def lived(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lived, bool]]:
    confidential = request.param == "confidential"
    yield live(tmp_path_factory.mktemp("phi"), seeded=not confidential, confidential=confidential), confidential


def test_the_site_did_what_was_asked(lived: tuple[Lived, bool]) -> None:
    """Or nothing below would say anything."""
    left, _ = lived
    for name in ("hold", "pass", "tag", "freeze", "cancel"):
        assert left.said[name].exit_code == 0, f"{name}: {left.said[name].output} {left.said[name].exception}"
    types = {record.topic for record in left.records}
    assert types >= {"run.completed", "run.rejected", "sample.failed", "gvcf.ready", "panel.released"}
    assert {one.kind for one in left.objects} >= {"fastq", "card", "cram", "gvcf", "vcf", "parquet", "report"}
    assert any(path == "/v1/metrics" for path, _ in left.sent)
    spans = [body for path, body in left.sent if path == "/v1/traces"]
    for name in (b"tool samtools view", b"publish gvcf.ready", b"process gvcf.ready", b"COMMIT align"):
        assert any(name in body for body in spans), name


def test_no_event_names_anyone(lived: tuple[Lived, bool]) -> None:
    left, _ = lived
    assert searched.told(found for record in left.records for found in searched.of_record(record, EVERYTHING)) == []


def test_no_ledger_but_ingests_names_anyone(lived: tuple[Lived, bool]) -> None:
    left, _ = lived
    assert searched.told(left.in_ledgers) == []


def test_no_log_and_no_span_names_anyone(lived: tuple[Lived, bool]) -> None:
    left, _ = lived
    words = (*EVERYTHING, ACTOR)
    for folder in ("logs", "spans"):
        assert any((left.state / folder).rglob("*.*"))
        assert searched.told(searched.files(left.state / folder, words)) == []
    assert searched.told(found for path, body in left.sent for found in searched.leaks(body, words, path)) == []


def test_no_key_and_no_tag_names_anyone(lived: tuple[Lived, bool]) -> None:
    left, _ = lived
    words = (*EVERYTHING, ACTOR)
    assert searched.told(found for one in left.objects for found in one.named(words)) == []


def test_artifacts_hold_labels_only_where_the_site_allows_them(lived: tuple[Lived, bool]) -> None:
    left, confidential = lived
    met: set[str] = set()
    wrong = []
    for one in left.objects:
        if one.kind == "fastq":
            continue
        wrong += one.holds((*planted.NEVER, ACTOR), fasta=material.REFERENCE)
        labels = list(one.holds(planted.OF_SAMPLES, fasta=material.REFERENCE))
        if labels:
            met.add(one.kind)
        if confidential or (one.kind not in LABELLED and not one.key.startswith(PLAIN)):
            wrong += labels
    assert searched.told(wrong) == []
    # where labels may stand they are found, so that the search is seen to see them
    assert confidential or met >= {"card", "cram", "gvcf", "vcf", "parquet"}


@pytest.mark.parametrize(
    "asked",
    [
        "hold, naming a person",
        "hold, with a record",
        "freeze, with a birth date",
        "freeze, for a person",
        "tag, for a person",
    ],
)
def test_a_command_that_names_a_person_is_refused_without_the_name(lived: tuple[Lived, bool], asked: str) -> None:
    left, _ = lived
    said = left.said[asked]
    output = f"{said.output}{said.stderr}{said.exception}"
    assert said.exit_code != 0
    assert "PHI_SUSPECTED" in output
    assert searched.told(searched.leaks(output, planted.NEVER, asked)) == []
