"""One batch's files: written window by window, read window by window in any order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from chassis.errors import Rejected, reject
from chassis.storage.sums import sum_of
from services.jointcall.columnar.store import block_code, variant_code
from services.jointcall.columnar.store.schema import (
    BLOCK_COLUMNS,
    VARIANT_COLUMNS,
    BatchPlace,
    place_in,
    schema_of,
    together_in,
    windows_together,
)
from services.jointcall.columnar.tables import Blocks, Bytes, Variants, Window, empty_blocks

ZSTD_LEVEL = 1
"""On planes of differences the higher levels gain nothing (level 9: 1.5%, at a tenth of the speed)."""

KINDS = ("blocks", "variants")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    path: Path
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenBatch:
    """Both files, synced and summed; not in any store yet."""

    place: BatchPlace
    blocks: WrittenFile
    variants: WrittenFile
    block_rows: int
    variant_rows: int


class BatchWriter:
    """Writes `blocks.arrow` and `variants.arrow` into `folder`. Windows come in the order of `place.windows()`, all of
    them. Leaving the `with` without `finish` removes both files."""

    def __init__(self, *, place: BatchPlace, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._place = place
        self._due = place.windows()
        self._next = 0
        self._together = windows_together(place)
        self._waiting: dict[str, list[list[Any]]] = {kind: [] for kind in KINDS}
        self._rows = dict.fromkeys(KINDS, 0)
        self._paths = {kind: folder / f"{kind}.arrow" for kind in KINDS}
        self._schemas = {
            "blocks": schema_of(BLOCK_COLUMNS, place, kind="blocks", together=self._together),
            "variants": schema_of(VARIANT_COLUMNS, place, kind="variants", together=self._together),
        }
        self._sinks: dict[str, BinaryIO] = {}
        self._writers: dict[str, Any] = {}
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=ZSTD_LEVEL), use_threads=False)
        try:
            for kind in KINDS:
                self._sinks[kind] = self._paths[kind].open("wb")
                self._writers[kind] = pa.ipc.new_file(self._sinks[kind], self._schemas[kind], options=options)
        except BaseException:
            self.abandon()
            raise

    def __enter__(self) -> BatchWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sinks:
            self.abandon()

    def write(self, window: Window) -> None:
        """The next window. Raises ValueError for another one than is due, or of other samples than the batch's."""
        if self._next == len(self._due) or (window.first, window.last) != self._due[self._next]:
            due = self._due[self._next] if self._next < len(self._due) else None
            raise ValueError(f"window {window.first}-{window.last} is not the one that is due ({due})")
        samples = len(self._place.samples)
        if window.blocks.rows.size != samples + 1 or window.variants.rows.size != samples + 1:
            raise ValueError(f"the batch has {samples} samples, the window others")
        blocks = block_code.to_disk(window.blocks)
        variants = variant_code.to_disk(window.variants, first=window.first)
        place = [window.first, window.last]
        self._waiting["blocks"].append([*place, *(blocks[name] for name in BLOCK_COLUMNS)])
        self._waiting["variants"].append([*place, *(variants[name] for name in VARIANT_COLUMNS), window.strings])
        self._rows["blocks"] += window.blocks.gap.size
        self._rows["variants"] += window.variants.start.size
        self._next += 1
        if self._next == len(self._due) or self._next % self._together == 0:
            self._flush()

    def _flush(self) -> None:
        for kind in KINDS:
            schema = self._schemas[kind]
            arrays = [
                _column(rows, field) for rows, field in zip(zip(*self._waiting[kind], strict=True), schema, strict=True)
            ]
            self._writers[kind].write_batch(pa.record_batch(arrays, schema=schema))
            self._waiting[kind].clear()

    def finish(self) -> WrittenBatch:
        """Raises ValueError while windows are missing; OSError when the disk is full, and nothing stays."""
        if self._next != len(self._due):
            raise ValueError(f"{len(self._due) - self._next} windows of the shard are not written yet")
        try:
            for kind in KINDS:
                self._writers.pop(kind).close()
                sink = self._sinks[kind]
                sink.flush()
                os.fsync(sink.fileno())
            for sink in self._sinks.values():
                sink.close()
            self._sinks.clear()
        except BaseException:
            self.abandon()
            raise
        files = {}
        for kind, path in self._paths.items():
            sha256, size = sum_of(path)
            files[kind] = WrittenFile(path=path, sha256=sha256, size=size)
        return WrittenBatch(
            place=self._place,
            blocks=files["blocks"],
            variants=files["variants"],
            block_rows=self._rows["blocks"],
            variant_rows=self._rows["variants"],
        )

    def abandon(self) -> None:
        """Remove what is there of both files."""
        self._writers.clear()
        for sink in self._sinks.values():
            sink.close()
        self._sinks.clear()
        for path in self._paths.values():
            path.unlink(missing_ok=True)


class BatchReader:
    """A batch's windows in any order; what is held is one record batch of each file, so read on rather than to and fro.

    `blocks` and `variants` are sources that pyarrow reads from: a path, or a file object with ranged reads.
    """

    def __init__(self, *, blocks: Path | BinaryIO, variants: Path | BinaryIO, where: str) -> None:
        self._where = where
        self._files: dict[str, Any] = {}
        self._sources: list[Any] = []
        places: dict[str, BatchPlace] = {}
        try:
            for kind, source in (("blocks", blocks), ("variants", variants)):
                opened = pa.OSFile(str(source), "rb") if isinstance(source, Path) else pa.PythonFile(source, mode="r")
                self._sources.append(opened)
                options = pa.ipc.IpcReadOptions(use_threads=False)
                self._files[kind] = pa.ipc.open_file(opened, options=options)
                places[kind] = place_in(self._files[kind].schema, kind=kind, where=f"{where} ({kind})")
        except (pa.ArrowInvalid, KeyError) as error:
            self.close()
            raise self._broken(str(error)) from error
        except BaseException:
            self.close()
            raise
        self.place = places["blocks"]
        self._windows = self.place.windows()
        self._together = together_in(self._files["blocks"].schema)
        self._groups: dict[str, _Group] = {}
        due = -(-len(self._windows) // self._together)
        counts = {kind: file.num_record_batches for kind, file in self._files.items()}
        alike = places["variants"] == self.place and together_in(self._files["variants"].schema) == self._together
        if not alike or set(counts.values()) != {due}:
            self.close()
            raise self._broken(f"its two files are of different batches, or lack windows ({counts})")

    @property
    def samples(self) -> tuple[str, ...]:
        return self.place.samples

    @property
    def window_bp(self) -> int:
        return self.place.window_bp

    def windows(self) -> list[tuple[int, int]]:
        """(first, last) base of each."""
        return list(self._windows)

    def index_of(self, position: int) -> int:
        """Which window holds the base. Raises IndexError outside the shard."""
        if not self.place.first <= position <= self.place.last:
            raise IndexError(f"base {position} lies outside {self.place.first}-{self.place.last}")
        return (position - 1) // self.window_bp - (self.place.first - 1) // self.window_bp

    def read(self, index: int, *, variants_only: bool = False) -> Window:
        """Raises Rejected CONTENT_CHANGED where the bytes are not what was written."""
        first, last = self._windows[index]
        blocks = empty_blocks(len(self.samples)) if variants_only else self.read_blocks(index)
        with self._readable(index):
            group, row = self._group("variants", index)
            strings = group.strings(row)
            variants = variant_code.from_disk(group.columns(row), samples=len(self.samples), first=first)
            _check_codes(variants, len(strings))
        return Window(first, last, blocks, variants, strings)

    def read_blocks(self, index: int) -> Blocks:
        """Of one window, without its explicit records."""
        with self._readable(index):
            group, row = self._group("blocks", index)
            blocks = block_code.from_disk(group.columns(row), samples=len(self.samples))
            first, last = self._windows[index]
            block_code.require_within(blocks, bases=last - first + 1)
            return blocks

    def _group(self, kind: str, index: int) -> tuple[_Group, int]:
        """The record batch that holds the window, and its row there."""
        number, row = divmod(index, self._together)
        held = self._groups.get(kind)
        if held is None or held.number != number:
            # the old one goes before the new one comes
            self._groups.pop(kind, None)
            columns = BLOCK_COLUMNS if kind == "blocks" else VARIANT_COLUMNS
            held = self._groups[kind] = _Group(self._files[kind].get_batch(number), columns, number=number)
        if row >= len(held.places) or held.places[row] != self._windows[index]:
            raise ValueError("another window stands in its place")
        return held, row

    @contextmanager
    def _readable(self, index: int) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowInvalid, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise self._broken(f"window {index}: {error}") from error

    def _broken(self, said: str) -> Rejected:
        return reject(
            code="CONTENT_CHANGED",
            message=f"the batch cannot be read: {said}",
            where=self._where,
            rule="an object's bytes are those that its name, their SHA-256, stands for",
            fix="restore the object from its copy, or import the samples again",
        )

    def close(self) -> None:
        self._files.clear()
        self._groups = {}
        for source in self._sources:
            source.close()
        self._sources.clear()

    def __enter__(self) -> BatchReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _column(rows: Sequence[Any], field: Any) -> Any:
    """One column of a record batch: numbers, lists of bytes, or lists of strings, a row for each window."""
    if not pa.types.is_list(field.type):
        return pa.array(rows, field.type)
    offsets = np.zeros(len(rows) + 1, np.int32)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    if field.name == "strings":
        values = pa.array([string for row in rows for string in row], pa.binary())
    else:
        values = pa.array(np.concatenate(rows) if len(rows) > 1 else rows[0])
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=field.type)


class _Group:
    """A record batch that was read: its windows' rows."""

    def __init__(self, held: Any, columns: tuple[str, ...], *, number: int) -> None:
        self.number = number
        self.places = list(zip(held.column("first").to_pylist(), held.column("last").to_pylist(), strict=True))
        self._lists = {name: _parts(held.column(name)) for name in columns}
        self._strings = held.column("strings") if "strings" in held.schema.names else None

    def columns(self, row: int) -> dict[str, Bytes]:
        return {name: values[offsets[row] : offsets[row + 1]] for name, (values, offsets) in self._lists.items()}

    def strings(self, row: int) -> tuple[bytes, ...]:
        return () if self._strings is None else tuple(self._strings[row].values.to_pylist())


def _parts(column: Any) -> tuple[Bytes, list[int]]:
    return column.values.to_numpy(zero_copy_only=True), column.offsets.to_pylist()


def _check_codes(variants: Variants, strings: int) -> None:
    """A code that names no string would be read as another's memory later on."""
    for name in variant_code.CODES:
        codes = getattr(variants, name)
        if codes.size and (codes.max() >= strings or codes.min() < -1):
            raise ValueError(f"{name} names a string that is not there")


def compressed_bytes(columns: Mapping[str, Bytes]) -> dict[str, int]:
    """What each column takes on disk, by compressing it alone as Arrow does."""
    codec = pa.Codec("zstd", compression_level=ZSTD_LEVEL)
    return {name: len(codec.compress(planes.tobytes())) if planes.size else 0 for name, planes in columns.items()}


def columns_of(window: Window) -> dict[str, dict[str, Bytes]]:
    """By file, the columns as they lie on disk: what `inspect` weighs."""
    strings = np.frombuffer(b"".join(window.strings), np.uint8)
    variants = variant_code.to_disk(window.variants, first=window.first)
    return {"blocks": block_code.to_disk(window.blocks), "variants": variants | {"strings": strings}}
