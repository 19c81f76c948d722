"""Only adding optional fields is allowed: every other change of a schema is caught, against every release."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from contracts.compatibility import ChangeKind, breaking_changes, breaking_changes_since
from contracts.generate import __main__ as generate
from contracts.generate import schemas

Schema = dict[str, Any]
RELEASES = schemas.released()


@pytest.mark.parametrize("release", sorted(RELEASES))
def test_the_models_break_no_released_schema(release: int) -> None:
    assert breaking_changes_since({release: RELEASES[release]}, schemas.current()) == []


def test_releases_break_no_earlier_release() -> None:
    for release, names in RELEASES.items():
        assert breaking_changes_since({r: s for r, s in RELEASES.items() if r < release}, names) == []


def test_there_is_a_release() -> None:
    assert RELEASES[1].keys() >= {"run.completed", "panel.released"}


def field(schema: Schema, *path: str) -> Schema:
    """The schema of a field: a step is a property's name, or `$Name` for a shared value."""
    node = schema
    for step in path:
        node = schema["$defs"][step[1:]] if step.startswith("$") else node["properties"][step]
    return node


def change(**keywords: Any) -> Callable[[Schema], None]:
    return lambda node: node.update(keywords)


def drop(keyword: str) -> Callable[[Schema], None]:
    def without(node: Schema) -> None:
        del node[keyword]

    return without


def require(name: str) -> Callable[[Schema], None]:
    return lambda node: node["required"].append(name)


def add(name: str, *, required: bool) -> Callable[[Schema], None]:
    def added(node: Schema) -> None:
        node["properties"][name] = {"type": "string"}
        if required:
            node["required"].append(name)

    return added


def remove(name: str) -> Callable[[Schema], None]:
    def removed(node: Schema) -> None:
        del node["properties"][name]
        node["required"] = [other for other in node["required"] if other != name]

    return removed


def relax(name: str) -> Callable[[Schema], None]:
    return lambda node: node["required"].remove(name)


BREAKING = [
    ("cram.ready", (), add("site", required=True), ChangeKind.required_added, "site"),
    ("cram.ready", ("$Sample",), add("site", required=True), ChangeKind.required_added, "sample.site"),
    ("cram.ready", (), remove("fingerprint"), ChangeKind.field_removed, "fingerprint"),
    ("run.completed", (), remove("rejected"), ChangeKind.field_removed, "rejected"),
    ("run.completed", (), require("part"), ChangeKind.became_required, "part"),
    ("cram.ready", (), relax("mapped"), ChangeKind.became_optional, "mapped"),
    ("cram.ready", ("reads",), change(type="string"), ChangeKind.type_changed, "reads"),
    ("cram.ready", ("reads",), change(type="number"), ChangeKind.type_changed, "reads"),
    ("cram.ready", ("mapped",), change(maximum=0.5), ChangeKind.narrowed, "mapped"),
    ("cram.ready", ("mapped",), change(maximum=100), ChangeKind.widened, "mapped"),
    ("cram.ready", ("mapped",), change(minimum=0.5), ChangeKind.narrowed, "mapped"),
    ("cram.ready", ("mapped",), drop("maximum"), ChangeKind.widened, "mapped"),
    ("cram.ready", ("reads",), change(maximum=5), ChangeKind.narrowed, "reads"),
    ("cram.ready", ("run",), change(pattern="^[a-z]+$"), ChangeKind.rule_changed, "run"),
    ("cram.ready", ("run",), drop("pattern"), ChangeKind.widened, "run"),
    ("cram.ready", ("run",), change(maxLength=10), ChangeKind.narrowed, "run"),
    ("cram.ready", ("libraries",), change(minItems=2), ChangeKind.narrowed, "libraries"),
    ("cram.ready", ("libraries",), change(minItems=0), ChangeKind.widened, "libraries"),
    ("cram.ready", ("libraries", ), change(items={"type": "integer"}), ChangeKind.type_changed, "libraries[]"),
    ("cram.ready", ("$ArtifactKind",), change(enum=["cram", "crai"]), ChangeKind.narrowed, "cram.kind"),
    ("run.completed", ("$Arrival",), change(enum=["new", "top-up", "rerun", "lost"]), ChangeKind.widened,
     "samples[].arrival"),
    ("run.completed", ("$LaneReads", "lane"), change(maximum=8), ChangeKind.narrowed, "samples[].lanes[].lane"),
    ("run.completed", ("part",), change(default=2), ChangeKind.default_changed, "part"),
    ("sample.verdict.requested", ("verdict",), drop("enum"), ChangeKind.widened, "verdict"),
    ("sample.verdict.requested", ("verdict",), change(const="hold"), ChangeKind.constant_changed, "verdict"),
    ("cohort.frozen", ("previous",), change(anyOf=[{"type": "string"}]), ChangeKind.narrowed, "previous"),
    ("artifact.condemned", ("not_before",), change(format="date"), ChangeKind.rule_changed, "not_before"),
    ("artifact.tiered", ("uri",), drop("not"), ChangeKind.widened, "uri"),
    ("cram.ready", (), change(additionalProperties=False), ChangeKind.narrowed, "event"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("event_type", "path", "alter", "kind", "place"),
    BREAKING,
    ids=lambda v: v.name if isinstance(v, ChangeKind) else "",
)
def test_a_breaking_change_is_caught(
    event_type: str, path: tuple[str, ...], alter: Callable[[Schema], None], kind: ChangeKind, place: str
) -> None:
    old = RELEASES[1][event_type]
    new = copy.deepcopy(old)
    alter(field(new, *path))
    found = breaking_changes(old, new)
    assert (kind, place) in {(change.kind, change.place) for change in found}
    if (event_type, place) != ("run.completed", "rejected"):
        # full compatibility: undoing it breaks too, except that an optional field may come (back)
        assert breaking_changes(new, old)


def test_every_kind_of_change_is_shown_to_be_caught() -> None:
    shown = {kind for _, _, _, kind, _ in BREAKING} | {ChangeKind.event_removed}
    assert shown == set(ChangeKind)


@pytest.mark.parametrize("path", [(), ("$Sample",), ("$Artifact",)])
def test_adding_an_optional_field_is_allowed(path: tuple[str, ...]) -> None:
    new = copy.deepcopy(RELEASES[1]["cram.ready"])
    add("site", required=False)(field(new, *path))
    assert breaking_changes(RELEASES[1]["cram.ready"], new) == []


def test_better_words_are_allowed() -> None:
    new = copy.deepcopy(RELEASES[1]["cram.ready"])
    field(new, "reads")["description"] = "Reads, said better."
    new["description"] = "Said better."
    assert breaking_changes(RELEASES[1]["cram.ready"], new) == []


def test_moving_a_value_out_of_line_changes_nothing() -> None:
    old = {"type": "object", "properties": {"a": {"type": "integer"}}}
    new = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "integer"}}}
    assert breaking_changes(old, new) == []


def test_values_that_hold_themselves_are_compared_and_end() -> None:
    class Node(BaseModel):
        weight: int
        children: list[Node] = []

    old = Node.model_json_schema()
    new = copy.deepcopy(old)
    new["$defs"]["Node"]["properties"]["weight"]["type"] = "string"
    assert breaking_changes(old, old) == []
    assert {change.kind for change in breaking_changes(old, new)} == {ChangeKind.type_changed}


def test_a_removed_event_is_a_breaking_change() -> None:
    without = {name: schema for name, schema in schemas.current().items() if name != "cram.ready"}
    (line,) = breaking_changes_since({1: RELEASES[1]}, without)
    assert "cram.ready against release 1" in line
    assert "event removed" in line


def test_a_name_that_came_back_with_another_meaning_is_caught_by_the_older_release() -> None:
    """Transitive: release 3 agrees with release 2, but not with the events of release 1."""
    one = {"type": "object", "properties": {"a": {"type": "integer"}}}
    two: Schema = {"type": "object", "properties": {}}
    three = {"type": "object", "properties": {"a": {"type": "string"}}}
    assert breaking_changes(two, three) == []
    lines = breaking_changes_since({1: {"e": one}, 2: {"e": two}}, {"e": three})
    assert [line for line in lines if "release 1" in line and "type changed" in line]


# -- the generated files ------------------------------------------------------------------------------------------


def test_generated_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0
    assert capsys.readouterr().err == ""


def test_a_stale_missing_or_stray_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "SCHEMAS", tmp_path)
    expected = {tmp_path / "a.json": "new", tmp_path / "b.json": "b"}
    (tmp_path / "a.json").write_text("old")
    (tmp_path / "gone.json").write_text("{}")
    why = {path.name: said for path, said in generate.out_of_date(expected)}
    assert why == {"a.json": "differs from the models", "b.json": "is missing", "gone.json": "belongs to no event"}
    generate.write(expected)
    assert generate.out_of_date(expected) == []


def test_check_fails_on_a_breaking_change(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    older = copy.deepcopy(RELEASES[1])
    add("site", required=True)(older["cram.ready"])
    monkeypatch.setattr(schemas, "released", lambda: {1: older})
    assert generate.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "cram.ready against release 1: site: field removed" in said
