"""Whose reads are whose: SampleSheet.csv in Illumina's formats v1 (IEM, bcl2fastq) and v2 (BCL Convert).

Version 2: `[BCLConvert_Data]` with `Sample_ID`, `Index`, `Index2`, `Sample_Project`, and `Lane` (without it a row holds
for all lanes); `[Cloud_Data]` may give `ProjectName` and `LibraryName` by `Sample_ID`. Version 1: `[Data]` with
`Sample_ID`, `Sample_Name`, `index`, `index2`, `Sample_Project`, `Lane`; a column `Library` or else `Description` names
the library. In both, no library means that it is called as the sample is.

Our own section `[Cohortstream_Data]` with `Sample_ID,NewLibrary` declares a further library of a sample that is known
already (see arrivals.py); instruments and converters pass it over.

An error that concerns one sample refuses that sample; one that leaves open what the sheet means refuses the sheet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from chassis.errors import Rejected, Rejection, reject
from services.ingest.ids import check_id
from services.ingest.runfolder import MOST_LANES, SAMPLE_SHEET
from services.ingest.sheetchecks import Row, colliding, duplicated
from services.ingest.sheettext import Line, Sections, decode, sections

_INDEX = re.compile(r"[ACGTN]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetLane:
    """One row for one lane; `index` is `ACGT+ACGT`, `ACGT`, or `none` where the lane holds one sample alone."""

    lane: int
    index: str
    library: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetSample:
    """A sample that the sheet promises FASTQs for.

    `stem` begins its files' names (v1 names them by Sample_Name), `number` is its place in the sheet from 1, as the
    converter's `_S<number>`. `further` are libraries that the sheet declares as new ones of a known sample.
    """

    project: str
    sample: str
    stem: str
    number: int
    lanes: tuple[SheetLane, ...]
    further: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedSample:
    """A sample that the sheet names in a way that cannot be used; its names may be personal and are not shown."""

    project: str = field(repr=False)
    sample: str = field(repr=False)
    rejection: Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    version: int
    samples: tuple[SheetSample, ...]
    refused: tuple[RefusedSample, ...]


def parse_sheet(content: bytes, *, lanes: int | None = None, name: str = SAMPLE_SHEET) -> Sheet:
    """Parse a sheet of a flow cell with `lanes` lanes (None: unknown).

    Raises Rejected when the sheet as a whole cannot be used: SHEET_ENCODING, SHEET_COLUMN.
    """
    parts = sections(decode(content, name=name), name=name)
    version, section = _version(parts, name=name)
    table = _Table.read(parts[section], section=section, name=name)
    cloud = _cloud(parts, name=name)
    further = _further(parts, name=name)
    grouped: dict[tuple[str, str], list[Row]] = {}
    for line in table.lines:
        row = _row(table, line, version=version, cloud=cloud)
        grouped.setdefault((row.project, row.sample), []).append(row)
    every = [row for rows in grouped.values() for row in rows]
    collisions = colliding(every, lanes=lanes, name=name)
    good: list[SheetSample] = []
    refused: list[RefusedSample] = []
    for number, ((project, sample), rows) in enumerate(grouped.items(), start=1):
        try:
            _check(rows, lanes=lanes, name=name)
            if rejection := duplicated(rows, name=name) or collisions.get((project, sample)):
                raise Rejected(rejection)
        except Rejected as rejected:
            refused.append(RefusedSample(project=project, sample=sample, rejection=rejected.rejection))
            continue
        good.append(
            SheetSample(
                project=project,
                sample=sample,
                stem=rows[0].stem,
                number=number,
                lanes=_lanes(rows, lanes=lanes),
                further=further.get(sample, frozenset()),
            )
        )
    return Sheet(version=version, samples=tuple(good), refused=tuple(refused))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A section with a header row; columns are found whatever their case."""

    columns: Mapping[str, int]
    lines: tuple[Line, ...]
    header: int
    name: str

    @classmethod
    def read(cls, lines: tuple[Line, ...], *, section: str, name: str) -> _Table:
        if not lines:
            raise _column(f"the section [{section}] has no header row", where=name)
        header, *rows = lines
        names = [cell.lower() for cell in header.cells]
        for column in {column for column in names if column and names.count(column) > 1}:
            if column in _COLUMNS:
                raise _column(f"the column {column} is there twice", where=f"{name}, line {header.number}")
        columns = {column: place for place, column in enumerate(names) if column}
        return cls(columns=columns, lines=tuple(rows), header=header.number, name=name)

    def require(self, *columns: str) -> None:
        for column in columns:
            if column.lower() not in self.columns:
                raise _column(f"the column {column} is missing", where=f"{self.name}, line {self.header}")

    def cell(self, line: Line, *columns: str) -> str:
        """The first of the columns that the row fills, "" when none does."""
        for column in columns:
            place = self.columns.get(column.lower())
            if place is not None and place < len(line.cells) and line.cells[place]:
                return line.cells[place]
        return ""


_COLUMNS = frozenset(
    {"lane", "sample_id", "sample_name", "index", "index2", "sample_project", "library", "description"}
)


def _version(parts: Sections, *, name: str) -> tuple[int, str]:
    if "bclconvert_data" in parts:
        return 2, "bclconvert_data"
    if "data" in parts:
        return 1, "data"
    raise _column("neither the section [BCLConvert_Data] (v2) nor [Data] (v1) is there", where=name)


def _row(table: _Table, line: Line, *, version: int, cloud: _Cloud) -> Row:
    table.require("Sample_ID")
    sample = table.cell(line, "Sample_ID")
    if not sample:
        # nobody can say whom this row belongs to
        raise _column("the row names no sample", where=f"{table.name}, line {line.number}")
    project, cloud_library = cloud.of(sample, table.cell(line, "Sample_Project", "Project"))
    if not project:
        raise _column("the row names no project (Sample_Project)", where=f"{table.name}, line {line.number}")
    if version == 1:
        library = table.cell(line, "Library", "Library_ID", "Description")
        stem = table.cell(line, "Sample_Name") or sample
    else:
        library, stem = table.cell(line, "Library", "Library_ID") or cloud_library, sample
    index = "+".join(part for part in (table.cell(line, "index"), table.cell(line, "index2")) if part)
    return Row(
        line=line.number,
        lane=table.cell(line, "Lane"),
        sample=sample,
        stem=stem,
        project=project,
        library=library or sample,
        index=index.upper() or "none",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cloud:
    """Libraries by sample id and project, as `[Cloud_Data]` gives them."""

    libraries: Mapping[str, Mapping[str, str]]

    def of(self, sample: str, project: str) -> tuple[str, str]:
        """Project and library of a row. A row without a project has the one that the section gives, if it is one."""
        said = self.libraries.get(sample, {})
        if not project:
            return next(iter(said.items())) if len(said) == 1 else ("", "")
        return project, said.get(project, said.get("", ""))


def _cloud(parts: Sections, *, name: str) -> _Cloud:
    lines = parts.get("cloud_data", ())
    if not lines:
        return _Cloud(libraries={})
    table = _Table.read(lines, section="Cloud_Data", name=name)
    table.require("Sample_ID")
    found: dict[str, dict[str, str]] = {}
    for line in table.lines:
        library = table.cell(line, "LibraryName")
        said = found.setdefault(table.cell(line, "Sample_ID"), {})
        if said.setdefault(table.cell(line, "ProjectName"), library) != library:
            raise _column("a sample has two different rows in [Cloud_Data]", where=f"{name}, line {line.number}")
    return _Cloud(libraries=found)


def _further(parts: Sections, *, name: str) -> dict[str, frozenset[str]]:
    lines = parts.get("cohortstream_data", ())
    if not lines:
        return {}
    table = _Table.read(lines, section="Cohortstream_Data", name=name)
    table.require("Sample_ID", "NewLibrary")
    found: dict[str, set[str]] = {}
    for line in table.lines:
        found.setdefault(table.cell(line, "Sample_ID"), set()).add(table.cell(line, "NewLibrary"))
    return {sample: frozenset(libraries) for sample, libraries in found.items()}


def _check(rows: Iterable[Row], *, lanes: int | None, name: str) -> None:
    for row in rows:
        where = f"{name}, line {row.line}"
        check_id(row.sample, what="sample id (Sample_ID)", where=where, person=True)
        check_id(row.stem, what="sample name (Sample_Name)", where=where, person=True)
        check_id(row.project, what="project (Sample_Project)", where=where, person=True)
        check_id(
            row.library, what="library's name (LibraryName; in v1 Library or Description)", where=where, person=True
        )
        most = lanes or MOST_LANES
        if row.lane and (not re.fullmatch(r"[0-9]{1,2}", row.lane) or not 1 <= int(row.lane) <= most):
            raise reject(
                code="SHEET_COLUMN",
                message="the column Lane holds no lane of this flow cell",
                where=where,
                rule=f"lanes are numbered from 1 to {most}",
                fix="write the lane's number, or leave it out for all lanes",
            )
        if row.index != "none" and not all(_INDEX.fullmatch(part) for part in row.index.split("+")):
            raise reject(
                code="SHEET_INDEX",
                message="an index holds other letters than A, C, G, T and N",
                where=where,
                rule="an index is a sequence of bases",
                fix="write the index's bases",
            )


def _lanes(rows: Iterable[Row], *, lanes: int | None) -> tuple[SheetLane, ...]:
    found = [
        SheetLane(lane=lane, index=row.index, library=row.library) for row in rows for lane in row.lane_numbers(lanes)
    ]
    return tuple(sorted(found, key=lambda one: one.lane))


def _column(message: str, *, where: str) -> Rejected:
    return reject(
        code="SHEET_COLUMN",
        message=message,
        where=where,
        rule="[BCLConvert_Data] or [Data] has a header row with Sample_ID, Sample_Project, Lane, Index, Index2; "
        "each row names a sample and its project",
        fix="mend the sample sheet in the run folder; the run is offered again when it changes",
    )
