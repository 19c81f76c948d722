"""`reference add|list`: references in the store. Works without a running site where the store is a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from console.invocation import invocation
from console.output import Json

PANEL = "Your site"


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True)
    group.command("add")(add)
    group.command("list")(list_)
    app.add_typer(group, name="reference", help="References that samples are aligned to.", rich_help_panel=PANEL)


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it, e.g. GRCh38.")],
    fasta: Annotated[Path, typer.Argument(metavar="FASTA", help="The sequences, plain or gzipped.")],
    gff: Annotated[Path | None, typer.Option("--gff", metavar="GFF", help="Gene model (Ensembl-style GFF3).")] = None,
    known_sites: Annotated[
        list[Path] | None,
        typer.Option("--known-sites", metavar="VCF", help="Known variants that filters train on; may be given again."),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(
            "--regions", metavar="BED", help="Call within these alone: .bed, or .interval_list as Picard writes it."
        ),
    ] = None,
    max_interval_bp: Annotated[
        int | None,
        typer.Option("--max-interval-bp", min=1000, help="Longest calling interval; else [align] call_interval_bp."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let the name point at this one from now on; the former stays.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check, index and store a reference. The same again does nothing.

    A human genome takes about an hour (the bwa index); each sequence is named by its MD5.
    """
    import asyncio

    from chassis.errors import reject
    from console.output import console, print_json, say, size

    for path in (fasta, gff, regions, *(known_sites or ())):
        if path is not None and not path.is_file():
            raise reject(
                code="FILE_MISSING",
                message="there is no such file",
                where=str(path),
                rule="a reference is made from files",
                fix="correct the path",
            )
    settings = invocation(context).found()

    async def run() -> object:
        from chassis.reference.bundle import add as register_reference
        from chassis.storage.open import open_store

        scratch = settings.worker.scratch or settings.state_dir / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        async with open_store(settings.store) as store:
            return await register_reference(
                store,
                name=name,
                fasta=fasta,
                gff=gff,
                known_sites=known_sites or (),
                regions=regions,
                max_interval_bp=max_interval_bp or settings.align.call_interval_bp,
                scratch=scratch,
                replace=replace,
            )

    with console().status("checking, indexing and storing the reference"):
        bundle = asyncio.run(run())
    facts = _facts(bundle)
    if as_json:
        return print_json(facts)
    say(
        f"{facts['name']} is registered: {len(facts['contigs'])} contigs, {facts['bases']:,} bases, "
        f"{facts['intervals']} calling intervals, {size(facts['bytes'])}; digest {facts['digest']}"
    )
    if settings.align.reference != name:
        say(f'new samples are aligned to it when [align] reference = "{name}" stands in the configuration')


def list_(context: typer.Context, as_json: Json = False) -> None:
    """References by name."""
    import asyncio

    from chassis.reference.bundle import list_references
    from chassis.storage.open import open_store
    from console.output import console, print_json, say, size, table

    settings = invocation(context).found()

    async def run() -> list[dict[str, Any]]:
        async with open_store(settings.store) as store:
            return [_facts(bundle) for bundle in await list_references(store)]

    found = asyncio.run(run())
    if as_json:
        return print_json(found)
    if not found:
        return say("no reference is registered; `cohortstream reference add NAME genome.fa` registers one")
    rows = [
        (
            f"{facts['name']}{' *' if facts['name'] == settings.align.reference else ''}",
            str(facts["digest"])[:12],
            str(len(facts["contigs"])),
            f"{facts['bases']:,}",
            str(facts["intervals"]),
            "yes" if facts["genes"] else "no",
            str(facts["known_sites"]),
            size(facts["bytes"]),
        )
        for facts in found
    ]
    console().print(
        table(("name", "digest", "#contigs", "#bases", "#intervals", "genes", "#known sites", "#size"), rows)
    )
    if any(facts["name"] == settings.align.reference for facts in found):
        say("* new samples are aligned to it")


def _facts(bundle: object) -> dict[str, Any]:
    from chassis.reference.model import Bundle, Role

    assert isinstance(bundle, Bundle)
    return {
        "name": bundle.id.name,
        "digest": bundle.id.digest,
        "contigs": [{"name": contig.name, "length": contig.length, "md5": contig.md5} for contig in bundle.contigs],
        "bases": sum(contig.length for contig in bundle.contigs),
        "intervals": len(bundle.intervals),
        "genes": bool(bundle.of(Role.gff)),
        "known_sites": len(bundle.of(Role.known_sites)),
        "bytes": bundle.size,
    }
