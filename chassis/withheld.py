"""Names that an attempt has met and that leave it in artifacts alone: what it says and logs has keys in their place.

Tools quote what they read. A laboratory's label in a read group or a column comes back in their errors, which travel
in events, and in their logs, which stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SPOKEN = frozenset({"reason", "rejection"})
"""Parts of an attempt's end that are text for people; the others are results and stay as they are."""


@dataclass(slots=True)
class Withheld:
    _keys: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, *, key: str) -> None:
        """From now on `key` stands for `name`. A name that is the key itself (confidential mode) is no secret."""
        if name and name != key:
            self._keys[name] = key

    def cleaned(self, text: str) -> str:
        """Each name as a whole word is replaced: `S1` in `S1_R1.fastq.gz`, not in `GS12`."""
        return self._pattern().sub(lambda met: self._keys[met[0]], text) if self._keys else text

    def clean(self, said: Mapping[str, Any], *, spoken: bool = False) -> dict[str, Any]:
        """What the attempt says of its end, cleaned where it is text for people."""
        return {name: self._clean(value, spoken=spoken or name in SPOKEN) for name, value in said.items()}

    def clean_file(self, path: Path) -> None:
        """Clean a log in place, if it is there; memory for twice its size is needed."""
        if not self._keys or not path.exists():
            return
        # latin-1 keeps whatever bytes tools print
        before = path.read_bytes().decode("latin-1")
        after = self.cleaned(before)
        if after != before:
            path.write_bytes(after.encode("latin-1"))

    def _clean(self, value: Any, *, spoken: bool) -> Any:
        match value:
            case dict():
                return self.clean(value, spoken=spoken)
            case str():
                return self.cleaned(value) if spoken else value
            case _:
                return value

    def _pattern(self) -> re.Pattern[str]:
        # the longest first: a library is often called as its sample with something behind
        names = sorted(self._keys, key=len, reverse=True)
        return re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, names))})(?![A-Za-z0-9])")
