"""JSON Schemas (draft 2020-12) of the events, as a reader sees them: unknown fields are allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contracts.events import BY_TYPE, Event

CONTRACTS = Path(__file__).resolve().parents[1]
SCHEMAS = CONTRACTS / "schemas"
RELEASED = SCHEMAS / "released"
EXAMPLES = CONTRACTS / "examples"

Schema = dict[str, Any]


def schema_of(event: type[Event]) -> Schema:
    """The JSON Schema of an event's body."""
    schema = event.model_json_schema(mode="validation")
    # producers may not add fields, but readers ignore the ones that a newer producer knows, so the schema is open
    schema.pop("additionalProperties", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:cohortstream:schema:{event.ce_type()}",
        **_without_titles(schema),
    }


def current() -> dict[str, Schema]:
    """Event type -> schema, from the models as they are now."""
    return {name: schema_of(event) for name, event in BY_TYPE.items()}


def released() -> dict[int, dict[str, Schema]]:
    """Release number -> event type -> schema, from the folder of released schemas."""
    if not RELEASED.is_dir():
        return {}
    releases = sorted((int(folder.name), folder) for folder in RELEASED.iterdir() if folder.is_dir())
    return {
        number: {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
        for number, folder in releases
    }


def example(event_type: str, name: str = "valid") -> dict[str, Any]:
    """An example body of an event: `valid` or `invalid`."""
    document: dict[str, Any] = json.loads((EXAMPLES / event_type / f"{name}.json").read_text(encoding="utf-8"))
    return document


def render(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _without_titles(node: Any) -> Any:
    """pydantic's titles repeat the field names, which reads as noise in a schema."""
    match node:
        case dict():
            # a property may itself be called "title": then its value is a schema, not text
            return {k: _without_titles(v) for k, v in node.items() if not (k == "title" and isinstance(v, str))}
        case list():
            return [_without_titles(item) for item in node]
        case _:
            return node
