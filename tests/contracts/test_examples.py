"""Every event has a topic, its parties, a documented schema, and examples that mean what they say."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from contracts.envelope import canonical_json
from contracts.events import ALL, BY_TYPE, Event, EventKind
from contracts.generate import schemas
from contracts.generate.asyncapi import document
from contracts.parties import EVERYONE, PARTIES
from contracts.topics import BY_NAME, COMMAND_RETENTION_MS, FACT_RETENTION_MS, TOPICS

GOLDEN_IDS: dict[str, str] = json.loads((Path(__file__).parent / "golden_event_ids.json").read_text())
EACH = pytest.mark.parametrize("event", ALL, ids=lambda event: event.TYPE)


def parse(event: type[Event], document: object) -> Event:
    return event.model_validate_json(json.dumps(document), strict=True)


def matches(event: type[Event], document: object) -> bool:
    schema = schemas.schema_of(event)
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema.Draft202012Validator(schema, format_checker=checker).is_valid(document)


@EACH
def test_the_valid_example_parses_and_comes_back_the_same(event: type[Event]) -> None:
    body = schemas.example(event.TYPE)
    parsed = parse(event, body)
    again = parse(event, json.loads(canonical_json(parsed)))
    assert again == parsed
    assert body.items() <= json.loads(canonical_json(parsed)).items() or "selection" in body
    assert matches(event, body)
    assert matches(event, json.loads(canonical_json(parsed)))


@EACH
def test_the_invalid_example_is_refused_for_the_stated_reason(event: type[Event]) -> None:
    body, expected = schemas.example(event.TYPE, "invalid"), schemas.example(event.TYPE, "expected")
    with pytest.raises(ValidationError) as refused:
        parse(event, body)
    problems = [(".".join(str(step) for step in p["loc"]), p["type"]) for p in refused.value.errors()]
    assert problems == [(expected["place"], expected["code"])]


@EACH
def test_what_only_the_model_can_see_is_refused_under_a_code_of_ours(event: type[Event]) -> None:
    """A JSON Schema cannot compare two fields; whatever it lets pass must carry a code from our catalogue."""
    body, expected = schemas.example(event.TYPE, "invalid"), schemas.example(event.TYPE, "expected")
    if matches(event, body):
        assert expected["code"].isupper() or expected["code"] == "timezone_aware"


@EACH
def test_event_ids_never_change(event: type[Event]) -> None:
    parsed = parse(event, schemas.example(event.TYPE))
    assert str(parsed.event_id) == GOLDEN_IDS[event.TYPE]


@EACH
def test_every_field_says_what_it_means(event: type[Event]) -> None:
    schema = schemas.schema_of(event)
    for value in (schema, *schema.get("$defs", {}).values()):
        assert value.get("description")
        for name, field in value.get("properties", {}).items():
            assert field.get("description"), f"{event.TYPE}: {name} has no docstring"


@EACH
def test_a_sample_is_named_by_its_key_alone(event: type[Event]) -> None:
    """Any text that a producer could put a laboratory id into under the name of a sample is refused."""
    body = schemas.example(event.TYPE)
    if isinstance(body.get("sample"), str):
        with pytest.raises(ValidationError):
            parse(event, {**body, "sample": "NA12878"})
    if isinstance(body.get("sample"), dict):
        with pytest.raises(ValidationError):
            parse(event, {**body, "sample": {**body["sample"], "key": "NA12878"}})
    assert "NA12878" not in json.dumps(body)


@EACH
def test_every_event_has_a_topic_and_parties(event: type[Event]) -> None:
    topic, parties = BY_NAME[event.TYPE], PARTIES[event.TYPE]
    assert topic.event is event
    assert topic.retention_ms == (COMMAND_RETENTION_MS if event.KIND is EventKind.command else FACT_RETENTION_MS)
    # facts share keys, so compaction would forget all but the last of them
    assert dict(topic.config)["cleanup.policy"] == "delete"
    assert parties.producers
    assert parties.consumers
    assert {*parties.producers, *parties.consumers} <= set(EVERYONE)


def test_topics_parties_and_models_name_the_same_events() -> None:
    assert set(BY_TYPE) == set(BY_NAME) == set(PARTIES) == set(GOLDEN_IDS) == {topic.name for topic in TOPICS}
    assert len({event.ce_type() for event in ALL}) == len(ALL)
    assert {folder.name for folder in schemas.EXAMPLES.iterdir()} == set(BY_TYPE)


def test_the_keys_stand_for_what_the_topic_says() -> None:
    for topic in TOPICS:
        body = schemas.example(topic.name)
        named = body[topic.key]
        assert parse(topic.event, body).key == (named["key"] if isinstance(named, dict) else named)


def test_asyncapi_resolves_and_names_every_conversation() -> None:
    doc = document(version="1.1.0")
    assert doc["asyncapi"] == "3.0.0"
    said = {
        (name.split(".")[0], operation["action"], doc_at(doc, operation["channel"]["$ref"])["address"])
        for name, operation in doc["operations"].items()
    }
    assert said == {
        (party, action, name)
        for name, parties in PARTIES.items()
        for action, who in (("send", parties.producers), ("receive", parties.consumers))
        for party in who
    }
    for operation in doc["operations"].values():
        message = doc_at(doc, doc_at(doc, operation["messages"][0]["$ref"])["$ref"])
        assert (schemas.CONTRACTS / message["payload"]["schema"]["$ref"]).is_file()


def doc_at(doc: dict[str, object], pointer: str) -> dict[str, object]:
    node: object = doc
    for step in pointer.removeprefix("#/").split("/"):
        assert isinstance(node, dict)
        node = node[step]
    assert isinstance(node, dict)
    return node
