"""Stubs: what stays at an object's key while its bytes lie in a cold place of their own.

A stub names the content it stands for and where that lies. Readers through a store meet `Archived` and ask for a
restore, as with Glacier; whoever opens the object without us reads a few lines that say so. Filled again, the object
keeps its mark: it is a readable copy of what lies in the cold place, and the archive takes it away again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

COLD = "COLD"
"""The storage class that an object with a mark is said to have."""
STUB_LIMIT = 4096
"""Bytes; a stub has fewer."""

MARK, STANDS_FOR = "cold", "stub-size"
"""Names of S3 metadata: where the cold copy lies, on stubs and on what was brought back; the real size, on stubs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """`sha256` and `size` (bytes) of the content, `place`: the URI of its verified copy."""

    sha256: str
    size: int
    place: str

    @property
    def body(self) -> bytes:
        """No two copies have one URI, so no two stubs have the same bytes: a store's condition on a sum tells them
        apart."""
        said = {
            "what": "this object lies in a cold place; `cohortstream archive restore` brings it back under this name",
            "sha256": self.sha256,
            "size": self.size,
            "place": self.place,
        }
        return json.dumps(said, indent=1, sort_keys=True).encode() + b"\n"

    @property
    def metadata(self) -> dict[str, str]:
        return {"sha256": self.sha256, MARK: self.place, STANDS_FOR: str(self.size)}


def is_stub(metadata: Mapping[str, str]) -> bool:
    """By the metadata of an S3 object."""
    return STANDS_FOR in metadata
