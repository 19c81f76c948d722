"""What a bundle is: the sequences' identity, the calling intervals, and files with their sums."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from chassis.reference.local import LocalReference
from contracts.values import Contig, Interval, Name, ReferenceId, Sha256, Value


class Role(StrEnum):
    fasta = "fasta"
    fai = "fai"
    dictionary = "dict"
    bwa = "bwa"
    gff = "gff"
    known_sites = "known_sites"
    known_sites_index = "known_sites_index"


class BundleFile(Value):
    """`path` is below `reference/<digest>/` in the store and below `<digest>/` in a cache or mount: `<set>/<name>`.
    Files of one set belong beside each other; a set's name holds the hash of its content, so it never changes."""

    role: Role
    path: str
    sha256: Sha256
    size: Annotated[int, Field(ge=0)]

    @property
    def set_name(self) -> str:
        return self.path.partition("/")[0]


class ContigFacts(Value):
    name: Contig
    length: Annotated[int, Field(ge=1)]
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class BundleDocument(Value):
    """What is stored, under `reference/<digest>/bundle-<revision>.json`. The name is not in it: names point at it.

    `recipe` is the hash of what was given, so that giving it again is recognised before any work is done."""

    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    recipe: Sha256
    contigs: tuple[ContigFacts, ...]
    intervals: tuple[Interval, ...]
    files: tuple[BundleFile, ...]

    def canonical(self) -> bytes:
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()

    @property
    def revision(self) -> str:
        """SHA-256 of the canonical document: the same sequences with other known sites are another revision."""
        return hashlib.sha256(self.canonical()).hexdigest()


class Pointer(Value):
    """What stands under a name."""

    name: Name
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    revision: Sha256


class Bundle(Value):
    """A registered reference."""

    id: ReferenceId
    document: BundleDocument

    @property
    def revision(self) -> str:
        return self.document.revision

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.document.files)

    @property
    def contigs(self) -> tuple[ContigFacts, ...]:
        return self.document.contigs

    @property
    def intervals(self) -> tuple[Interval, ...]:
        return self.document.intervals

    @property
    def files(self) -> tuple[BundleFile, ...]:
        return self.document.files

    def of(self, role: Role) -> tuple[BundleFile, ...]:
        return tuple(file for file in self.document.files if file.role is role)

    def local(self, folder: Path) -> LocalReference:
        """As it lies in `folder`, which holds the bundle's sets."""
        (fasta,) = self.of(Role.fasta)
        gff = self.of(Role.gff)
        return LocalReference(
            id=self.id,
            fasta=folder / fasta.path,
            intervals=self.intervals,
            gff=folder / gff[0].path if gff else None,
            known_sites=tuple(folder / file.path for file in self.of(Role.known_sites)),
        )
