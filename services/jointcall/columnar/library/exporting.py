"""A generation's calls as files: joint VCFs of all or some samples and regions, and digests that tell two apart."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from services.jointcall.columnar.genotype.bgzf import LEVEL
from services.jointcall.columnar.genotype.calls import write_columns
from services.jointcall.columnar.genotype.header import header
from services.jointcall.columnar.genotype.left_out import LeftOut, Tally
from services.jointcall.columnar.genotype.records import lines
from services.jointcall.columnar.genotype.sidecar import COLUMNS, dropped
from services.jointcall.columnar.library.calling import Bases, Piece, called
from services.jointcall.columnar.library.operations import Workplace
from services.jointcall.columnar.library.shards import Region
from services.jointcall.columnar.library.sinks import Sink, packed_file, whole_file, written_to
from services.jointcall.columnar.library.subset import Subset
from services.jointcall.columnar.store.generation import Generation

FOLDER_ENDING = ".vcf.gz"
NAMED = COLUMNS.index("SAMPLE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of a generation. `bases` make every base a site; `sites_only` leaves the samples' columns out. `lost`: where
    carriers of alleles that are not shown are told (genotype.sidecar), of the samples that are written."""

    regions: Sequence[Region] = ()
    subset: Subset | None = None
    sites_only: bool = False
    bases: Bases | None = None
    lost: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """`left_out`: sites of the regions that are no records, for everybody, whoever's columns are written."""

    generation: str
    samples: int
    records: int
    left_out: LeftOut
    files: tuple[Path, ...]
    size: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InColumns:
    """`cells`: of a dense VCF; `explicit` of them are rows, the others are what reference blocks say. `left_out` as
    in Exported."""

    generation: str
    samples: int
    sites: int
    left_out: LeftOut
    explicit: int
    cells: int
    folder: Path
    size: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """Of the names of the columns and of all sites in order: equal where exports are equal, byte for byte. `left_out`
    as in Exported."""

    generation: str
    samples: int
    records: int
    left_out: LeftOut
    digest: str


def export(at: Workplace, generation: Generation, wanted: Wanted, *, out: Path, level: int = LEVEL) -> Exported:
    """One file with all of it, in the format that its name says. Raises Rejected FORMAT_MISMATCH, FILE_MISSING;
    OSError where it cannot be written, and then nothing of it is left."""
    began = monotonic()
    contigs = _contigs(generation)
    count = 0
    tally = Tally(samples=generation.samples)
    with _lost(wanted) as lost, written_to(out, contigs=contigs, level=level) as sink:
        _head(sink, generation, wanted)
        for _, record in records(at, generation, wanted, lost=lost, tally=tally):
            sink.write(record + b"\n")
            count += 1
    return _exported(generation, wanted, count, tally, (out,), began)


def export_shards(
    at: Workplace, generation: Generation, wanted: Wanted, *, folder: Path, level: int = LEVEL
) -> Exported:
    """A file for each shard, `contig_first-last.vcf.gz`, in a folder that is made where it is not there."""
    began = monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    contigs = _contigs(generation)
    count, files = 0, []
    tally = Tally(samples=generation.samples)
    with _lost(wanted) as lost, _pieces(at, generation, wanted, tally) as pieces:
        for piece in pieces:
            contig, first, last = piece.region
            out = folder / f"{contig.replace('/', '_')}_{first}-{last}{FOLDER_ENDING}"
            with written_to(out, contigs=contigs, level=level) as sink:
                _head(sink, generation, wanted)
                for record in _of_piece(piece, generation, wanted, lost):
                    sink.write(record + b"\n")
                    count += 1
            files.append(out)
    return _exported(generation, wanted, count, tally, tuple(files), began)


def export_columns(at: Workplace, generation: Generation, wanted: Wanted, *, folder: Path) -> InColumns:
    """All samples' genotypes as Parquet (the tables: genotype.calls); of `wanted`, regions count. Raises OSError, and
    then no file is left."""
    began = monotonic()
    tally = Tally(samples=generation.samples)
    with _pieces(at, generation, replace(wanted, sites_only=True), tally) as pieces:
        done = write_columns(
            ((piece.region.contig, stretch) for piece in pieces for stretch in piece.stretches),
            contigs=_contigs(generation),
            samples=generation.samples,
            folder=folder,
        )
    return InColumns(
        generation=generation.id,
        samples=len(generation.samples),
        sites=done.sites,
        left_out=tally.found,
        explicit=done.explicit,
        cells=done.dense,
        folder=folder,
        size=done.size,
        seconds=monotonic() - began,
    )


def digest(at: Workplace, generation: Generation, wanted: Wanted, *, out: Path | None = None) -> Digest:
    """One digest over all; `out` becomes a table of every site's. Raises OSError, and then there is no table."""
    total = hashlib.sha256("\t".join(columns_of(generation, wanted)).encode() + b"\n")
    tally = Tally(samples=generation.samples)
    count = 0
    with ExitStack() as stack:
        table = stack.enter_context(whole_file(out)) if out is not None else None
        if table is not None:
            table.write(b"#CHROM\tPOS\tREF\tALT\tSHA256\n")
        for _, record in records(at, generation, wanted, tally=tally):
            one = hashlib.sha256(record).hexdigest().encode()
            total.update(one + b"\n")
            count += 1
            if table is not None:
                contig, position, _, ref, alt, _ = record.split(b"\t", 5)
                table.write(b"\t".join((contig, position, ref, alt, one)) + b"\n")
    return Digest(
        generation=generation.id,
        samples=len(columns_of(generation, wanted)),
        records=count,
        left_out=tally.found,
        digest=total.hexdigest(),
    )


def columns_of(generation: Generation, wanted: Wanted) -> tuple[str, ...]:
    """Names of the samples' columns."""
    if wanted.sites_only:
        return ()
    return wanted.subset.samples if wanted.subset is not None else generation.samples


def records(
    at: Workplace, generation: Generation, wanted: Wanted, *, lost: Sink | None = None, tally: Tally | None = None
) -> Iterator[tuple[str, bytes]]:
    """(contig, record without its line end), in order: what the files hold behind their headers. `tally` counts what
    is left out."""
    with _pieces(at, generation, wanted, tally or Tally(samples=generation.samples)) as pieces:
        for piece in pieces:
            for record in _of_piece(piece, generation, wanted, lost):
                yield piece.region.contig, record


@contextmanager
def _pieces(at: Workplace, generation: Generation, wanted: Wanted, tally: Tally) -> Iterator[Iterator[Piece]]:
    with ExitStack() as stack:
        # whole shards of a store that lies far are copied, parts of them are read by ranges
        far = not at.depot.base.startswith("file:") and not wanted.regions
        copies = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="joint-", dir=at.scratch))) if far else None
        )
        yield _told(
            called(
                at.depot,
                generation,
                regions=wanted.regions,
                want_dense=not wanted.sites_only or wanted.bases is not None,
                bases=wanted.bases,
                copies=copies,
            ),
            at,
            tally,
        )


def _told(pieces: Iterator[Piece], at: Workplace, tally: Tally) -> Iterator[Piece]:
    for piece in pieces:
        at.told(f"genotyping {piece.region}")
        yield replace(piece, stretches=tally.passed(piece.region.contig, piece.stretches))


@contextmanager
def _lost(wanted: Wanted) -> Iterator[Sink | None]:
    if wanted.lost is None:
        yield None
        return
    with packed_file(wanted.lost) as sink:
        sink.write("\t".join(COLUMNS).encode() + b"\n")
        yield sink


def _of_piece(piece: Piece, generation: Generation, wanted: Wanted, lost: Sink | None) -> Iterator[bytes]:
    """Records that start in the piece, without their line ends."""
    subset = None if wanted.sites_only else wanted.subset
    told = {name.encode() for name in (subset.samples if subset is not None else generation.samples)}
    for stretch in piece.stretches:
        if lost is not None:
            for line in dropped(stretch, contig=piece.region.contig, samples=generation.samples):
                if line.split(b"\t", NAMED + 1)[NAMED] in told:
                    lost.write(line + b"\n")
        for record in lines(
            stretch,
            contig=piece.region.contig,
            samples=len(generation.samples),
            sites_only=wanted.sites_only,
        ):
            kept = record if subset is None else subset(record)
            if kept is not None:
                yield kept


def _head(sink: Sink, generation: Generation, wanted: Wanted) -> None:
    columns = columns_of(generation, wanted)
    sink.write(b"\n".join(header(contigs=_contigs(generation), samples=columns)) + b"\n")


def _contigs(generation: Generation) -> tuple[tuple[str, int], ...]:
    return tuple((contig.name, contig.length) for contig in generation.reference.contigs)


def _exported(
    generation: Generation, wanted: Wanted, records: int, tally: Tally, files: tuple[Path, ...], began: float
) -> Exported:
    return Exported(
        generation=generation.id,
        samples=len(columns_of(generation, wanted)),
        records=records,
        left_out=tally.found,
        files=files,
        size=sum(path.stat().st_size for path in files),
        seconds=monotonic() - began,
    )
