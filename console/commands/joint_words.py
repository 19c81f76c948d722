"""What the `joint` commands have in common: how a store is opened, and how they say what they did."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.invocation import invocation

if TYPE_CHECKING:
    from services.jointcall.columnar.genotype.left_out import LeftOut
    from services.jointcall.columnar.library.operations import Change, Workplace

StoreArgument = Annotated[str, typer.Argument(metavar="STORE", help="A folder, or s3://bucket/prefix.")]
Scratch = Annotated[
    Path | None, typer.Option("--scratch", metavar="DIR", help="Where files are made before they are stored.")
]
MODULES = ("numba", "numpy", "pyarrow", "pysam", "deflate")
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG, errno.EIO)
SHORT = 12
"""Digits of a generation's id that people are shown."""
NAMED = 5
"""Samples named for a site that is left out."""


def require_extra() -> None:
    """gVCFs in, joint VCFs out: a joint store is a folder or lies on S3, grows by what is added, and gives GATK's
    calls."""
    import importlib.util

    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    if missing:
        from chassis.errors import reject

        raise reject(
            code="EXTRA_MISSING",
            message=f"{', '.join(missing)} cannot be imported",
            where="cohortstream joint",
            rule="the joint genotyper has dependencies of its own, in the `columnar` extra",
            fix="install cohortstream[columnar]",
        )


@contextmanager
def working(
    context: typer.Context,
    store: str,
    *,
    scratch: Path | None = None,
    as_json: bool,
    make: bool = False,
    compiled: bool = False,
) -> Iterator[Workplace]:
    """The joint store; on a terminal, what is being done is shown on its last line. A full disk is said in words.
    `compiled`: what reads or calls gVCFs is compiled before, which takes a minute once for an installation."""
    from rich.console import Console

    from console.exits import WorkFailed
    from services.jointcall.columnar.library.opening import opened_store
    from services.jointcall.columnar.library.operations import Workplace
    from services.jointcall.columnar.warm import warm

    settings = invocation(context).found()
    folder = scratch or settings.worker.scratch
    try:
        with (
            Console(file=sys.stderr, quiet=as_json).status("opening the joint store") as status,
            opened_store(store, settings.store, make=make) as depot,
        ):
            if compiled:
                status.update("compiling the genotyper, once for this installation")
                warm()
            yield Workplace(depot=depot, settings=settings.store, scratch=folder, told=status.update)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise WorkFailed(
            f"it cannot be written: {error}. The joint store is at the generation that it was at before; what was "
            "written of the next one is garbage, which `joint gc` finds."
        ) from None


def changed(done: Change, what: str, *, as_json: bool, then: str = "") -> None:
    from dataclasses import asdict

    from console.output import note, print_json, say, size, span

    if as_json:
        return print_json(asdict(done))
    gvcfs = f" for {size(done.gvcf_bytes)} of gVCF" if done.gvcf_bytes else ""
    reused = f", {size(done.reused)} used again" if done.reused else ""
    batches = "1 batch" if done.batches == 1 else f"{done.batches} batches"
    say(
        f"{what}: generation {done.generation[:SHORT]} (#{done.number}) has {done.samples} samples in {batches}; "
        f"{size(done.written)} written{gvcfs}{reused}, in {span(done.seconds)}"
    )
    if done.uncovered:
        most = max(done.uncovered.values())
        note(
            f"{len(done.uncovered)} of the gVCFs leave bases of the regions uncovered, {most:,} at most: samples are "
            "not called there"
        )
    if then:
        say(then)


def tell_left_out(found: LeftOut, tell: Callable[[str], None]) -> None:
    """How many sites are left out, why, how to mend it, and the first few; not a word where none is."""
    if not found.sites:
        return
    how_many = "1 site is" if found.sites == 1 else f"{found.sites:,} sites are"
    tell(
        f"{how_many} left out, for all samples, as GATK does: a gVCF's record there has a genotype with an ALT, but no "
        "PL (likelihoods). To mend it: call the samples below again with HaplotypeCaller -ERC GVCF and `joint replace` "
        "them; `joint genotype --lost` lists the carriers at all such sites (WHY is NO_PL)."
    )
    for site in found.first:
        more = f" and {len(site.samples) - NAMED:,} more" if len(site.samples) > NAMED else ""
        tell(f"  {site.contig}:{site.position}  {', '.join(site.samples[:NAMED])}{more}")
    if found.sites > len(found.first):
        tell(f"  and {found.sites - len(found.first):,} more")
