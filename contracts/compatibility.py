"""Which changes of a schema would break a reader: full and transitive compatibility, as schema registries call it.

New readers must read every event ever written, and old readers, who ignore fields they do not know, must read new
events. The rule that follows is narrow: **a change may only add optional fields.** So every difference between two
schemas is a breaking change unless it is an added optional field or a matter of words (descriptions, titles).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Schema = Mapping[str, Any]

WORDS = frozenset({"$schema", "$id", "$comment", "$defs", "title", "description", "examples"})
"""Keywords that no validator acts on. `$id` names the event, `$defs` is compared where it is referred to."""
_LOWER_BOUNDS = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})
_UPPER_BOUNDS = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})
_STRUCTURE = frozenset({"properties", "required", "items", "anyOf", "oneOf", "default", "enum", "const", "type"})


class ChangeKind(StrEnum):
    event_removed = "event removed"
    field_removed = "field removed"
    required_added = "required field added"
    became_required = "optional field became required"
    became_optional = "required field became optional"
    type_changed = "type changed"
    constant_changed = "constant changed"
    default_changed = "default changed"
    narrowed = "narrowed"
    widened = "widened"
    rule_changed = "rule changed"


_WHO = {
    ChangeKind.event_removed: "its readers and writers have nothing in common any more",
    ChangeKind.field_removed: "old readers miss it, and its name could come back with another meaning",
    ChangeKind.required_added: "new readers refuse old events",
    ChangeKind.became_required: "new readers refuse old events without it",
    ChangeKind.became_optional: "old readers refuse new events without it",
    ChangeKind.type_changed: "old and new readers refuse each other's events",
    ChangeKind.constant_changed: "old and new readers refuse each other's events",
    ChangeKind.default_changed: "old and new readers understand its absence differently",
    ChangeKind.narrowed: "new readers refuse old events",
    ChangeKind.widened: "old readers refuse new events",
    ChangeKind.rule_changed: "old or new readers may refuse the other's events",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A breaking change; `place` is the path of the field, e.g. `samples[].lanes[].lane`."""

    kind: ChangeKind
    place: str
    said: str

    def __str__(self) -> str:
        return f"{self.place}: {self.kind} ({self.said}): {_WHO[self.kind]}"


def breaking_changes(old_schema: Schema, new_schema: Schema) -> list[Change]:
    """What breaks between two JSON Schemas of one event, in both directions; empty when they are compatible."""
    return list(_Comparison(old=old_schema, new=new_schema).schema("", old_schema, new_schema, frozenset()))


def breaking_changes_since(released: Mapping[int, Mapping[str, Schema]], current: Mapping[str, Schema]) -> list[str]:
    """Every breaking change of the current schemas against all released ones, a line each."""
    lines: list[str] = []
    for number, schemas in released.items():
        for name, old in schemas.items():
            changes = (
                breaking_changes(old, current[name])
                if name in current
                else [Change(kind=ChangeKind.event_removed, place="event", said="no model has this type")]
            )
            lines += [f"{name} against release {number}: {change}" for change in changes]
    return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    old: Schema
    new: Schema

    def schema(self, place: str, old: Schema, new: Schema, seen: frozenset[tuple[str, str]]) -> Iterator[Change]:
        pair = (str(old.get("$ref")), str(new.get("$ref")))
        if pair in seen:  # a value that holds itself: compared already, further up
            return
        if "$ref" in old or "$ref" in new:
            seen |= {pair}
        old, new = _resolved(old, self.old), _resolved(new, self.new)
        here = place or "event"
        if old.get("type") != new.get("type"):
            said = f"{old.get('type')} to {new.get('type')}"
            yield Change(kind=ChangeKind.type_changed, place=here, said=said)
            return
        yield from _constants(here, old, new)
        yield from _rules(here, old, new)
        yield from self._properties(place, old, new, seen)
        if "items" in old or "items" in new:
            yield from self.schema(f"{place}[]", old.get("items", {}), new.get("items", {}), seen)
        for choice in ("anyOf", "oneOf"):
            yield from self._choices(place, old.get(choice, []), new.get(choice, []), seen)

    def _properties(self, place: str, old: Schema, new: Schema, seen: frozenset[tuple[str, str]]) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed_before, needed_after = set(old.get("required", ())), set(new.get("required", ()))
        for name in before:
            at = f"{place}.{name}".lstrip(".")
            if name not in after:
                yield Change(kind=ChangeKind.field_removed, place=at, said="it was there")
                continue
            if name in needed_after - needed_before:
                yield Change(kind=ChangeKind.became_required, place=at, said="it may be absent in old events")
            if name in needed_before - needed_after:
                yield Change(kind=ChangeKind.became_optional, place=at, said="it may be absent in new events")
            yield from self.schema(at, before[name], after[name], seen)
        for name in after:
            if name not in before and name in needed_after:
                at = f"{place}.{name}".lstrip(".")
                yield Change(kind=ChangeKind.required_added, place=at, said="old events lack it")

    def _choices(
        self, place: str, old: list[Schema], new: list[Schema], seen: frozenset[tuple[str, str]]
    ) -> Iterator[Change]:
        if len(old) != len(new):
            kind = ChangeKind.widened if len(new) > len(old) else ChangeKind.narrowed
            yield Change(kind=kind, place=place or "event", said=f"{len(old)} choices to {len(new)}")
            return
        for before, after in zip(old, new, strict=True):
            yield from self.schema(place, before, after, seen)


def _resolved(schema: Schema, root: Schema) -> Schema:
    """The schema with its reference replaced by what it refers to; keywords beside the reference win."""
    while "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        schema = {**root["$defs"][name], **{k: v for k, v in schema.items() if k != "$ref"}}
    return schema


def _constants(place: str, old: Schema, new: Schema) -> Iterator[Change]:
    if ("const" in old, old.get("const")) != ("const" in new, new.get("const")):
        said = f"{json.dumps(old.get('const'))} to {json.dumps(new.get('const'))}"
        yield Change(kind=ChangeKind.constant_changed, place=place, said=said)
    if ("default" in old, old.get("default")) != ("default" in new, new.get("default")):
        said = f"{json.dumps(old.get('default'))} to {json.dumps(new.get('default'))}"
        yield Change(kind=ChangeKind.default_changed, place=place, said=said)
    if ("enum" in old) != ("enum" in new):
        kind = ChangeKind.narrowed if "enum" in new else ChangeKind.widened
        yield Change(kind=kind, place=place, said="an enumeration " + ("came" if "enum" in new else "went"))
        return
    before, after = set(old.get("enum", ())), set(new.get("enum", ()))
    if before - after:
        yield Change(kind=ChangeKind.narrowed, place=place, said=f"without {', '.join(sorted(before - after))}")
    if after - before:
        yield Change(kind=ChangeKind.widened, place=place, said=f"with {', '.join(sorted(after - before))}")


def _rules(place: str, old: Schema, new: Schema) -> Iterator[Change]:
    """Every other keyword that a validator acts on: bounds have a direction, all else is simply different."""
    for keyword in sorted((old.keys() | new.keys()) - WORDS - _STRUCTURE):
        before, after = old.get(keyword), new.get(keyword)
        if before == after:
            continue
        yield Change(kind=_direction(keyword, before, after), place=place, said=f"{keyword} {before} to {after}")


def _direction(keyword: str, before: Any, after: Any) -> ChangeKind:
    if keyword not in _LOWER_BOUNDS | _UPPER_BOUNDS:
        if before is None or after is None:
            return ChangeKind.narrowed if before is None else ChangeKind.widened
        return ChangeKind.rule_changed
    if before is None or after is None:
        return ChangeKind.narrowed if before is None else ChangeKind.widened
    rises = after > before
    return ChangeKind.narrowed if rises == (keyword in _LOWER_BOUNDS) else ChangeKind.widened
