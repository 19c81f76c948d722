"""Artifacts named anywhere inside a manifest's entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from chassis.errors import reject
from contracts.values import Artifact

_FIELDS = frozenset({"kind", "id", "uri", "size"})
"""What makes a JSON object an artifact; `version` is there where the store has versions."""


def artifacts_in(entries: Iterable[Any], *, where: str) -> tuple[Artifact, ...]:
    """Every artifact in the entries, at any depth, each (id, URI) once, in the order in which they stand there.

    Raises Rejected MANIFEST_ENTRY for an object that has an artifact's fields and is none.
    """
    found: dict[tuple[str, str], Artifact] = {}
    for number, entry in enumerate(entries):
        for candidate in _objects(entry):
            if candidate.keys() >= _FIELDS:
                try:
                    artifact = Artifact.model_validate(candidate)
                except ValidationError as error:
                    place = ".".join(str(step) for step in error.errors(include_input=False)[0]["loc"])
                    raise reject(
                        code="MANIFEST_ENTRY",
                        message=f"{place} of an artifact is not what it should be",
                        where=f"{where}, entry {number}",
                        rule="an entry names artifacts as {kind, id, uri, size, version}",
                        fix="mend the service that wrote the manifest",
                    ) from None
                found.setdefault((artifact.id, artifact.uri), artifact)
    return tuple(found.values())


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    match value:
        case Mapping():
            yield value
            for inner in value.values():
                yield from _objects(inner)
        case list() | tuple():
            for inner in value:
                yield from _objects(inner)
        case _:
            return
