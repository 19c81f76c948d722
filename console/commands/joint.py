"""`joint ...`: the columnar joint genotyper alone, on plain files and on S3, without a site."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands import joint_reading
from console.commands.joint_words import Scratch, StoreArgument, changed, require_extra, working
from console.output import Json

if TYPE_CHECKING:
    from services.jointcall.columnar.library.operations import Change

PANEL = "Joint genotyping alone"
DEADLINE_DAYS = 30
Gvcfs = Annotated[
    list[str] | None, typer.Argument(metavar="GVCF...", help="bgzipped gVCFs of one sample each: files, or s3:// URIs.")
]
GvcfList = Annotated[
    Path | None, typer.Option("--gvcf-list", metavar="FILE", help="A file that names gVCFs, one a line.")
]
Reference = Annotated[
    Path, typer.Option("--reference", metavar="FASTA", help="What the gVCFs were called against (with .fai).")
]
Deadline = Annotated[
    datetime | None,
    typer.Option(
        "--deadline",
        metavar="DATE",
        formats=["%Y-%m-%d"],
        help=f"When their bytes have to be gone, by UTC; else in {DEADLINE_DAYS} days.",
    ),
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, callback=require_extra)
    group.command("import")(import_)
    group.command("add")(add)
    group.command("replace")(replace)
    group.command("withdraw")(withdraw)
    joint_reading.register(group)
    group.command("compact")(compact)
    group.command("rewrite")(rewrite)
    group.command("gc")(gc)
    app.add_typer(
        group, name="joint", help="gVCFs into a joint store, and joint VCFs out of it.", rich_help_panel=PANEL
    )


def import_(
    context: typer.Context,
    store: StoreArgument,
    reference: Reference,
    gvcfs: Gvcfs = None,
    gvcf_list: GvcfList = None,
    regions: Annotated[
        list[str] | None,
        typer.Option(
            "--regions", metavar="REGION", help="contig, contig:first-last or a BED file; may be given again."
        ),
    ] = None,
    scratch: Scratch = None,
    as_json: Json = False,
) -> None:
    """Make a joint store of these gVCFs: its first generation.

    The regions hold for the store for good. With an index (.tbi) beside it a file is read shard by shard, else it is
    streamed once, as objects of S3 are; memory does not grow with the files or their number.
    """
    from services.jointcall.columnar.library import operations

    with working(context, store, scratch=scratch, as_json=as_json, compiled=True, make=True) as at:
        done = operations.import_first(at, _places(gvcfs, gvcf_list), reference=reference, regions=regions or ())
    changed(done, f"{_samples(done)} imported", as_json=as_json)


def add(
    context: typer.Context,
    store: StoreArgument,
    reference: Reference,
    gvcfs: Gvcfs = None,
    gvcf_list: GvcfList = None,
    scratch: Scratch = None,
    as_json: Json = False,
) -> None:
    """Add samples. What is there stays as it is and is used again."""
    from services.jointcall.columnar.library import operations

    with working(context, store, scratch=scratch, as_json=as_json, compiled=True) as at:
        done = operations.add(at, _places(gvcfs, gvcf_list), reference=reference)
    changed(done, f"{_samples(done)} added", as_json=as_json)


def replace(
    context: typer.Context,
    store: StoreArgument,
    reference: Reference,
    gvcfs: Gvcfs = None,
    gvcf_list: GvcfList = None,
    deadline: Deadline = None,
    scratch: Scratch = None,
    as_json: Json = False,
) -> None:
    """Other gVCFs for samples that are there: the old records no longer count, and are gone by the deadline."""
    from services.jointcall.columnar.library import operations

    by = _deadline(deadline)
    with working(context, store, scratch=scratch, as_json=as_json, compiled=True) as at:
        done = operations.replace(at, _places(gvcfs, gvcf_list), reference=reference, deadline=by)
    changed(done, f"{_samples(done)} replaced", as_json=as_json, then=_gone_by(by))


def withdraw(
    context: typer.Context,
    store: StoreArgument,
    samples: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Names of samples, as their gVCFs have them.")
    ],
    deadline: Deadline = None,
    as_json: Json = False,
) -> None:
    """Take samples out: from now on they count nowhere, and their bytes are gone by the deadline."""
    from services.jointcall.columnar.library import operations

    by = _deadline(deadline)
    with working(context, store, as_json=as_json) as at:
        done = operations.withdraw(at, samples, deadline=by)
    changed(done, f"{_samples(done)} withdrawn", as_json=as_json, then=_gone_by(by))


def compact(
    context: typer.Context,
    store: StoreArgument,
    limit: Annotated[int, typer.Option("--limit", min=2, help="Samples of a batch at most.")] = 1000,
    scratch: Scratch = None,
    as_json: Json = False,
) -> None:
    """Put small batches together: fewer files, smaller, read faster. The calls stay the same."""
    from console.output import print_json, say
    from services.jointcall.columnar.library import operations

    with working(context, store, scratch=scratch, as_json=as_json) as at:
        done = operations.compact(at, limit=limit)
    if done is None:
        return print_json(None) if as_json else say("nothing to put together")
    changed(done, "batches put together", as_json=as_json)


def rewrite(
    context: typer.Context,
    store: StoreArgument,
    now: Annotated[bool, typer.Option("--now", help="Whatever is masked, also before its deadline.")] = False,
    scratch: Scratch = None,
    as_json: Json = False,
) -> None:
    """Write batches anew without the bytes of withdrawn and replaced samples whose deadline has come."""
    from console.output import print_json, say
    from services.jointcall.columnar.library import operations

    when = datetime.max.replace(tzinfo=UTC) if now else datetime.now(UTC)
    with working(context, store, scratch=scratch, as_json=as_json) as at:
        done = operations.rewrite(at, now=when)
    if done is None:
        return print_json(None) if as_json else say("no masked sample's deadline has come")
    then = "The old batches lie there until `joint gc --delete` takes them, when no generation that is kept needs them."
    changed(done, "batches written anew", as_json=as_json, then=then)


def gc(
    context: typer.Context,
    store: StoreArgument,
    delete: Annotated[bool, typer.Option("--delete", help="Delete; without it, nothing is.")] = False,
    keep: Annotated[int, typer.Option("--keep", min=1, help="So many of the newest generations stay.")] = 1,
    grace_hours: Annotated[
        float, typer.Option("--grace-hours", min=0, help="What is younger stays: an import may be under way.")
    ] = 48.0,
    as_json: Json = False,
) -> None:
    """What no generation that is kept needs: say what would go, or delete it. Holds keep their generations."""
    from console.output import print_json, say, size
    from services.jointcall.columnar.store.collection import collected, planned

    with working(context, store, as_json=as_json) as at:
        garbage = planned(at.depot, keep=keep, grace=timedelta(hours=grace_hours))
        freed = collected(at.depot, garbage) if delete else 0
    objects, generations = len(garbage.objects), len(garbage.generations)
    if as_json:
        return print_json(
            {
                "objects": objects,
                "generations": [facts.key.rpartition("/")[2].removesuffix(".json") for facts in garbage.generations],
                "bytes": garbage.size,
                "kept": garbage.kept,
                "deleted": delete,
                "freed": freed,
            }
        )
    what = f"{_many(objects, 'object')} and {_many(generations, 'generation')}, {size(garbage.size)}"
    stay = f"{_many(len(garbage.kept), 'generation')} kept"
    if delete:
        return say(f"{size(freed)} freed of {what}; {stay}")
    more = "; --delete deletes them" if objects or generations else ""
    say(f"nothing was deleted. Not needed: {what}; {stay}{more}")


def _places(gvcfs: list[str] | None, gvcf_list: Path | None) -> list[str]:
    from services.jointcall.columnar.library.gvcfs import listed

    return [*(gvcfs or ()), *(listed(gvcf_list) if gvcf_list is not None else ())]


def _samples(done: Change) -> str:
    return _many(done.changed, "sample")


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _deadline(given: datetime | None) -> datetime:
    from chassis.errors import reject

    now = datetime.now(UTC)
    if given is None:
        return now + timedelta(days=DEADLINE_DAYS)
    if given.date() < now.date():
        raise reject(
            code="DEADLINE_PAST",
            message=f"{given.date()} is over",
            where="--deadline",
            rule="a deadline is today or later, UTC",
            fix="name the day by which everything must be gone",
        )
    return given.replace(tzinfo=UTC)


def _gone_by(deadline: datetime) -> str:
    return f"`joint rewrite` by {deadline.date()}, then `joint gc --delete`, removes the bytes that no longer count."
