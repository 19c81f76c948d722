"""`joint genotype|export|inspect|history|hold|release`: what a joint store gives, and what it holds."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.joint_words import SHORT, Scratch, StoreArgument, tell_left_out, working
from console.output import Json

if TYPE_CHECKING:
    from services.jointcall.columnar.library.exporting import Exported, InColumns, Wanted
    from services.jointcall.columnar.library.facts import StoreFacts
    from services.jointcall.columnar.library.operations import Workplace
    from services.jointcall.columnar.store.generation import Generation

Generations = Annotated[
    str | None,
    typer.Option(
        "--generation", metavar="ID", help="Its id, 6 digits of it or more, #number, or a hold; else the latest."
    ),
]
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", metavar="REGION", help="contig, contig:first-last or a BED file; may be given again."),
]
Samples = Annotated[
    str | None,
    typer.Option(
        "--samples",
        metavar="NAME,...|FILE",
        help="Only these columns. AC, AF and AN become theirs; other INFO and QUAL stay the whole cohort's.",
    ),
]
CohortInfo = Annotated[
    bool, typer.Option("--cohort-info", help="With --samples: leave AC, AF and AN the cohort's, too.")
]
Carried = Annotated[
    bool, typer.Option("--carried", help="With --samples: only sites where one of them carries an ALT.")
]
AllSites = Annotated[
    bool, typer.Option("--all-sites", help="A record for every base, as GATK's -all-sites; wants --reference.")
]
Reference = Annotated[
    Path | None, typer.Option("--reference", metavar="FASTA", help="The store's reference, for --all-sites.")
]
SitesOnly = Annotated[bool, typer.Option("--sites-only", help="The first eight columns alone.")]
Lost = Annotated[
    Path | None,
    typer.Option("--lost", metavar="X.tsv.gz", help="A table of carriers of alleles that the joint VCF does not show."),
]
Level = Annotated[int, typer.Option("--level", min=1, max=12, help="How hard BGZF compresses (libdeflate).")]


def register(group: typer.Typer) -> None:
    group.command("genotype")(genotype)
    group.command("export")(export)
    group.command("inspect")(inspect)
    group.command("history")(history)
    group.command("hold")(hold)
    group.command("release")(release)


def genotype(
    context: typer.Context,
    store: StoreArgument,
    out: Annotated[
        str,
        typer.Option(
            "--out", metavar="OUT", help="X.vcf.gz (with .tbi, .csi for long contigs), X.bcf, X.vcf; DIR/: one a shard."
        ),
    ],
    region: Regions = None,
    generation: Generations = None,
    all_sites: AllSites = False,
    reference: Reference = None,
    sites_only: SitesOnly = False,
    samples: Samples = None,
    cohort_info: CohortInfo = False,
    carried: Carried = False,
    lost: Lost = None,
    level: Level = 6,
    scratch: Scratch = None,
    as_json: Json = False,
) -> None:
    """Joint genotypes of a generation, as GATK's GenotypeGVCFs would make them of the same gVCFs.

    Each sample is always called with the whole cohort; --samples and --region choose what is written.
    """
    from services.jointcall.columnar.library import exporting

    with working(context, store, scratch=scratch, as_json=as_json, compiled=True) as at, ExitStack() as stack:
        chosen, wanted = _wanted(
            stack, at, generation, region, samples, not cohort_info, carried, sites_only, all_sites, reference, lost
        )
        if out.endswith("/") or Path(out).is_dir():
            done = exporting.export_shards(at, chosen, wanted, folder=Path(out), level=level)
        else:
            done = exporting.export(at, chosen, wanted, out=Path(out), level=level)
    _wrote(done, as_json)


def export(
    context: typer.Context,
    store: StoreArgument,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="OUT", help="As of `genotype`; with --digest a table, a line for each site."),
    ] = None,
    digest: Annotated[
        bool, typer.Option("--digest", help="SHA-256 over all records: equal where two exports are equal, bit for bit.")
    ] = False,
    columns: Annotated[
        Path | None,
        typer.Option("--columns", metavar="DIR", help="Genotypes of all samples left in columns: three Parquet files."),
    ] = None,
    region: Regions = None,
    generation: Generations = None,
    sites_only: SitesOnly = False,
    samples: Samples = None,
    cohort_info: CohortInfo = False,
    carried: Carried = False,
    level: Level = 6,
    scratch: Scratch = None,
    as_json: Json = False,
) -> None:
    """Subsets of samples or regions as files, genotypes in columns, or digests by which two stores are compared."""
    from services.jointcall.columnar.library import exporting

    if (columns is not None) + (digest or out is not None) != 1:
        raise typer.BadParameter("--out, --columns or --digest says what to make")
    if columns is not None and (samples is not None or sites_only):
        raise typer.BadParameter("--columns has all samples: choose among them when you read it")
    with working(context, store, scratch=scratch, as_json=as_json, compiled=True) as at, ExitStack() as stack:
        chosen, wanted = _wanted(
            stack, at, generation, region, samples, not cohort_info, carried, sites_only, False, None, None
        )
        if columns is not None:
            return _in_columns(exporting.export_columns(at, chosen, wanted, folder=columns), as_json)
        if digest:
            return _digest(at, chosen, wanted, out, as_json)
        assert out is not None
        if out.endswith("/") or Path(out).is_dir():
            done = exporting.export_shards(at, chosen, wanted, folder=Path(out), level=level)
        else:
            done = exporting.export(at, chosen, wanted, out=Path(out), level=level)
    _wrote(done, as_json)


def inspect(
    context: typer.Context,
    store: StoreArgument,
    generation: Generations = None,
    columns: Annotated[bool, typer.Option("--columns", help="What each column takes, of some windows.")] = False,
    as_json: Json = False,
) -> None:
    """What a generation holds and takes: samples, batches, bytes, masks, holds, and what could be freed."""
    from datetime import UTC, datetime

    from console.output import print_json
    from services.jointcall.columnar.library.facts import store_facts
    from services.jointcall.columnar.library.opening import named

    now = datetime.now(UTC)
    with working(context, store, as_json=as_json) as at:
        found = store_facts(at.depot, named(at.depot, generation), now=now, columns=columns)
    return print_json(_document(found, now)) if as_json else _show(found, now)


def history(context: typer.Context, store: StoreArgument, as_json: Json = False) -> None:
    """All generations that were ever published, the newest first."""
    from pathlib import PurePosixPath

    from console.output import ago, console, print_json, table

    with working(context, store, as_json=as_json) as at:
        there = {PurePosixPath(facts.key).stem for facts in at.depot.listed("generations")}
        rows = list(at.depot.history())
        holds = {hold.generation: hold.name for hold in at.depot.holds()}
    if as_json:
        return print_json(
            [
                {**row.model_dump(), "collected": row.generation not in there, "hold": holds.get(row.generation)}
                for row in rows
            ]
        )
    shown = [
        (
            f"#{row.number}",
            row.generation[:SHORT],
            row.operation,
            f"{row.samples:,}",
            ago(row.at),
            "collected"
            if row.generation not in there
            else f"held: {holds[row.generation]}"
            if row.generation in holds
            else "",
        )
        for row in rows
    ]
    console().print(table(("#", "!generation", "made by", "#samples", "#when", ""), shown))


def hold(
    context: typer.Context,
    store: StoreArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the hold: a-z 0-9 . _ -.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, in words.")],
    generation: Generations = None,
    as_json: Json = False,
) -> None:
    """Keep a generation, whatever `gc` is told, until the hold is released."""
    from console.output import print_json, say
    from services.jointcall.columnar.library.opening import named

    with working(context, store, as_json=as_json) as at:
        held = at.depot.hold(name=name, generation=named(at.depot, generation).id, reason=reason)
    if as_json:
        return print_json(held.model_dump())
    say(f"{held.name} keeps generation {held.generation[:SHORT]}")


def release(
    context: typer.Context,
    store: StoreArgument,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the hold.")],
    as_json: Json = False,
) -> None:
    """Release a hold."""
    from console.output import print_json, say

    with working(context, store, as_json=as_json) as at:
        released = at.depot.release(name)
    if as_json:
        return print_json({"hold": name, "released": released})
    say(f"{name} is released" if released else f"there is no hold {name}; nothing was done")


def _wanted(
    stack: ExitStack,
    at: Workplace,
    generation: str | None,
    regions: list[str] | None,
    samples: str | None,
    recount: bool,
    carried: bool,
    sites_only: bool,
    all_sites: bool,
    reference: Path | None,
    lost: Path | None,
) -> tuple[Generation, Wanted]:
    from services.jointcall.columnar.library.exporting import Wanted
    from services.jointcall.columnar.library.fasta import opened_fasta
    from services.jointcall.columnar.library.opening import named
    from services.jointcall.columnar.library.shards import regions_in
    from services.jointcall.columnar.library.subset import Subset

    if all_sites and reference is None:
        raise typer.BadParameter("--all-sites wants --reference: the store has no bases of its own")
    if samples is None and carried:
        raise typer.BadParameter("--carried wants --samples")
    if samples is not None and sites_only:
        raise typer.BadParameter("--sites-only has no columns for --samples to choose from")
    chosen = named(at.depot, generation)
    contigs = [(contig.name, contig.length) for contig in chosen.reference.contigs]
    bases = None
    if reference is not None and all_sites:
        fasta = stack.enter_context(opened_fasta(reference))
        fasta.require(chosen.reference)
        bases = fasta.bases
    subset = None
    if samples is not None:
        subset = Subset(cohort=chosen.samples, samples=_names(samples), recount=recount, carried=carried)
    wanted = Wanted(
        regions=regions_in(regions, contigs=contigs) if regions else (),
        subset=subset,
        sites_only=sites_only,
        bases=bases,
        lost=lost,
    )
    return chosen, wanted


def _names(given: str) -> list[str]:
    if Path(given).is_file():
        lines = Path(given).read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip()]
    return [name for name in given.split(",") if name]


def _in_columns(done: InColumns, as_json: bool) -> None:
    from dataclasses import asdict

    from console.output import print_json, say, size, span

    if as_json:
        return print_json(asdict(done))
    say(
        f"{done.sites:,} sites of {done.samples} samples, generation {done.generation[:SHORT]}: {done.explicit:,} "
        f"genotypes of {done.cells:,} in rows, the others as their blocks say; {done.folder}, {size(done.size)}, in "
        f"{span(done.seconds)}"
    )
    tell_left_out(done.left_out, say)


def _digest(at: Workplace, chosen: Generation, wanted: Wanted, out: str | None, as_json: bool) -> None:
    from dataclasses import asdict

    from console.output import note, print_json, say
    from services.jointcall.columnar.library import exporting

    done = exporting.digest(at, chosen, wanted, out=Path(out) if out is not None else None)
    if as_json:
        return print_json(asdict(done))
    say(f"{done.digest}  {done.records:,} records of {done.samples} samples, generation {done.generation[:SHORT]}")
    # a digest is piped
    tell_left_out(done.left_out, note)


def _wrote(done: Exported, as_json: bool) -> None:
    from dataclasses import asdict

    from console.output import print_json, say, size, span

    if as_json:
        return print_json(asdict(done))
    where = str(done.files[0]) if len(done.files) == 1 else f"{len(done.files)} files"
    say(
        f"{done.records:,} records of {done.samples} samples, generation {done.generation[:SHORT]}: {where}, "
        f"{size(done.size)}, in {span(done.seconds)}"
    )
    tell_left_out(done.left_out, say)


def _document(found: StoreFacts, now: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "store": found.base,
        **asdict(found.facts),
        "names": list(found.generation.samples),
        "reference": found.generation.reference.digest,
        "shards": [shard.model_dump() for shard in found.generation.shards],
        "bytes_per_sample_megabase": found.facts.bytes_per_sample_megabase,
        "bytes_per_row": found.facts.bytes_per_row,
        "number": found.published.number if found.published else None,
        "published_at": found.published.at if found.published else None,
        "masks": [mask.model_dump() for mask in found.masks],
        "overdue": found.due(now),
        "holds": [held.model_dump() for held in found.holds],
        "stored_bytes": found.stored,
        "free_bytes": found.garbage,
        "columns": found.columns,
    }


def _show(found: StoreFacts, now: Any) -> None:
    from console.output import ago, console, say, size, table

    facts, generation = found.facts, found.generation
    shards = "1 shard" if len(generation.shards) == 1 else f"{len(generation.shards):,} shards"
    number = f" (#{found.published.number}, {ago(found.published.at)})" if found.published else ""
    say(f"{found.base}: generation {facts.generation[:SHORT]}{number}, made by {facts.operation}")
    say(
        f"{facts.samples:,} samples ({facts.masked} masked) over {facts.bases:,} bases in {shards}; "
        f"{facts.variant_rows:,} variant records and {facts.block_rows:,} blocks"
    )
    say(
        f"{size(facts.size)}: {size(facts.bytes_per_sample_megabase)} a sample and Mb, {facts.bytes_per_row:.2f} bytes "
        f"a record; the store has {size(found.stored)} of objects, {size(found.garbage)} that gc could free"
    )
    rows = [
        (
            batch.batch[:SHORT],
            f"{batch.samples:,}",
            f"{batch.masked:,}",
            f"{batch.variant_rows:,}",
            f"{batch.block_rows:,}",
            size(batch.size),
        )
        for batch in facts.batches
    ]
    console().print(table(("!batch", "#samples", "#masked", "#variants", "#blocks", "#size"), rows))
    for mask in found.masks:
        late = " (over: `joint rewrite`)" if mask.deadline <= now else ""
        say(f"{mask.sample} is {mask.why}; its bytes go by {mask.deadline.date()}{late}")
    for held in found.holds:
        say(f"hold {held.name} keeps {held.generation[:SHORT]}: {held.reason}")
    if found.columns:
        total = sum(found.columns.values())
        shares = [(name, size(count), f"{100 * count / max(1, total):.1f}%") for name, count in found.columns.items()]
        console().print(table(("column", "#of some windows", "#share"), [row for row in shares if row[1] != "0 B"]))
