"""Searching all that a site keeps or sends: topics, ledgers, logs, spans, what a collector gets, the store."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from chassis.storage.store import Store
from console.supervisor import SERVICES
from tests.support.flow.records import Record, read_all

OF_INGEST = frozenset(
    {"run", "run_copy", "run_sample", "sample", "library", "status_sample_label", "status_sample_file"}
)
"""Ingest's ledger maps keys to labels and knows the files that it watches; nobody else's does."""
RELATIONS = """
select table_name from information_schema.tables where table_schema = $1
union select table_name from information_schema.views where table_schema = $1 order by 1
"""
MOST_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    word: str
    place: str

    def __str__(self) -> str:
        return f"{self.word} in {self.place}"


def leaks(content: bytes | str, words: Sequence[str], place: str) -> Iterator[Found]:
    """Words that stand in the content, whatever their case."""
    held = (content.encode() if isinstance(content, str) else content).lower()
    for word in words:
        if word.lower().encode() in held:
            yield Found(word=word, place=place)


async def topics(bootstrap: str) -> list[Record]:
    return await read_all(bootstrap)


def of_record(record: Record, words: Sequence[str]) -> Iterator[Found]:
    place = f"{record.topic}@{record.offset}"
    yield from leaks(record.key, words, f"{place}, key")
    yield from leaks(json.dumps(record.headers), words, f"{place}, headers")
    yield from leaks(record.body, words, f"{place}, body")


async def ledgers(dsn: str, words: Sequence[str]) -> AsyncIterator[Found]:
    """Every row of every table and view of every service, but for what is ingest's own knowledge and the bodies of
    quarantined events."""
    conn = await asyncpg.connect(dsn)
    try:
        for service in SERVICES:
            for [name] in await conn.fetch(RELATIONS, service):
                if service == "ingest" and name in OF_INGEST:
                    continue
                rows = await conn.fetch(f'select to_jsonb(r) as row from {service}."{name}" r')
                for row in rows:
                    document = json.loads(row["row"])
                    for column in _kept(service, name):
                        document.pop(column, None)
                    for found in leaks(json.dumps(document, ensure_ascii=False), words, f"{service}.{name}"):
                        yield found
    finally:
        await conn.close()


def _kept(service: str, table: str) -> Sequence[str]:
    if table == "quarantine":
        return ("key", "headers", "body")
    return ("payload",) if (service, table) == ("ingest", "task") else ()


def files(folder: Path, words: Sequence[str]) -> Iterator[Found]:
    """Names and content of every file below the folder."""
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder.parent).as_posix()
        yield from leaks(place, words, f"the name of {place}")
        if path.is_file():
            yield from leaks(path.read_bytes(), words, place)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An object of the store, by what its tags say it is."""

    key: str
    kind: str
    tags: dict[str, str]
    content: bytes

    def named(self, words: Sequence[str]) -> Iterator[Found]:
        yield from leaks(self.key, words, f"the key {self.key}")
        yield from leaks(json.dumps(self.tags), words, f"the tags of {self.key}")

    def holds(self, words: Sequence[str], *, fasta: Path) -> Iterator[Found]:
        for part in unpacked(self.content, fasta=fasta):
            yield from leaks(part, words, f"{self.kind} {self.key}")


async def objects(store: Store) -> AsyncIterator[Kept]:
    for zone in ("landing", "working", "released", "archive"):
        async for facts in store.list(zone):
            tags = await store.read_tags(facts.key)
            content = await store.get_bytes(facts.key, limit=MOST_BYTES)
            yield Kept(key=facts.key, kind=tags.get("kind", "?"), tags=tags, content=content)


def unpacked(content: bytes, *, fasta: Path) -> Iterator[bytes]:
    """The content, and what it holds once unpacked: gzip and bgzip, zip, tar, BAM and CRAM, Parquet, zlib."""
    yield content
    if content.startswith(b"\x1f\x8b"):
        inner = gzip.decompress(content)
        yield inner
        if inner.startswith(b"BAM\x01"):
            yield from _alignments(content, fasta=fasta)
    elif content.startswith(b"CRAM"):
        yield from _alignments(content, fasta=fasta)
    elif content.startswith(b"PAR1"):
        yield from _parquet(content)
    elif content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for name in packed.namelist():
                yield name.encode()
                yield from unpacked(packed.read(name), fasta=fasta)
    elif content[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(content)) as packed_tar:
            for member in packed_tar:
                yield member.name.encode()
                if (file := packed_tar.extractfile(member)) is not None:
                    yield from unpacked(file.read(), fasta=fasta)
    elif content[:2] in (b"\x78\x01", b"\x78\x9c", b"\x78\xda"):
        yield zlib.decompress(content)


def _alignments(content: bytes, *, fasta: Path) -> Iterator[bytes]:
    import pysam

    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        with pysam.AlignmentFile(file.name, reference_filename=str(fasta), check_sq=False) as records:
            yield str(records.header).encode()
            yield "\n".join(record.to_string() for record in records.fetch(until_eof=True)).encode()


def _parquet(content: bytes) -> Iterator[bytes]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(io.BytesIO(content))
    yield repr(table.schema.metadata).encode()
    yield str(table.schema).encode()
    yield json.dumps(table.to_pylist(), default=str).encode()


def told(found: Iterable[Found]) -> list[str]:
    return sorted({str(one) for one in found})
