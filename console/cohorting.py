"""Cohorts and freezes for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from chassis.errors import reject
from console import views as v
from console.following import FreezeNow, freeze_now
from console.output import ago, console, say, span, state, table
from console.reusing import reuse_words

SLOWEST = 5


async def read_cohort(views: v.Views, which: str, *, intervals: bool) -> dict[str, Any]:
    """A cohort with its freezes, or (`name:number`) one freeze with its intervals. Raises Rejected (COHORT_UNKNOWN)."""
    cohort, colon, number = which.partition(":")
    rows = await views.rows("jointcall", v.FREEZES, cohort)
    wanted = [row for row in rows if not colon or str(row["number"]) == number]
    if not wanted:
        raise _unknown(which, [row["cohort"] for row in await views.rows("jointcall", v.COHORTS)])
    if not colon:
        found = [await freeze_now(views, row["freeze"]) for row in rows]
        return {"cohort": cohort, "freezes": [_freeze(one) for one in found if one is not None]}
    now = await freeze_now(views, which)
    assert now is not None
    each = await views.rows("jointcall", v.INTERVALS, which)
    return {**_freeze(now), "interval_rows": each if intervals else None, "slowest": _slowest(each)}


async def panel_row(views: v.Views, which: str) -> Mapping[str, Any]:
    """The panel of a freeze, or a cohort's latest. Raises Rejected (PANEL_UNKNOWN), saying where the freeze stands."""
    cohort, colon, _ = which.partition(":")
    rows = [row for row in await views.rows("annotate", v.PANELS, cohort) if not colon or row["freeze"] == which]
    if rows:
        return rows[0]
    freezes = await views.rows("jointcall", v.FREEZES, cohort)
    standing = [row for row in freezes if not colon or row["freeze"] == which]
    raise reject(
        code="PANEL_UNKNOWN",
        message=f"freeze {standing[-1]['freeze']} is {standing[-1]['state']}"
        if standing
        else "there is no such freeze",
        where=which,
        rule="a panel is there once its freeze is released",
        fix=f"`cohortstream cohort show {standing[-1]['freeze']}` says what it waits for"
        if standing
        else "`cohortstream cohort list` shows what there is",
    )


def show_cohort(found: Mapping[str, Any]) -> None:
    screen = console()
    if "freezes" in found:
        rows = [
            (
                one["freeze"],
                state(one["state"]),
                ago(one["since"]),
                str(one["samples"]),
                f"{one['genotyped']}/{one['intervals']}" if one["intervals"] else "",
                one["engine"],
                one["requested_by"],
                one["waits_for"] or one["why"] or "",
            )
            for one in found["freezes"]
        ]
        columns = ("freeze", "state", "#since", "#samples", "#intervals", "engine", "by", "waits for")
        return screen.print(table(columns, rows))
    say(f"{found['freeze']} is {found['state']} ({ago(found['since'])})")
    say(f"{found['samples']} samples, engine {found['engine']}, asked for by {found['requested_by']}")
    if found["waits_for"]:
        say(f"waits for {found['waits_for']}")
    if found["why"]:
        say(found["why"])
    reused = reuse_words(found)
    if reused is not None:
        say(reused)
    if found["left_out"]:
        how_many = "1 site is" if found["left_out"] == 1 else f"{found['left_out']:,} sites are"
        say(
            f"{how_many} left out, for all samples: a gVCF's record there has a genotype with an ALT, but no PL "
            "(likelihoods). To mend it: call that sample again with HaplotypeCaller -ERC GVCF"
        )
    if found["intervals"]:
        say(f"{found['genotyped']} of {found['intervals']} intervals are genotyped")
    each = found["interval_rows"] if found["interval_rows"] is not None else found["slowest"]
    if each:
        title = None if found["interval_rows"] is not None else "its slowest intervals"
        screen.print()
        screen.print(
            table(
                ("#", "interval", "state", "#variants", "#time", "#attempts"),
                [_interval(row) for row in each],
                title=title,
            )
        )


@contextmanager
def drawn(freeze: str, *, quiet: bool) -> Iterator[Callable[[FreezeNow], None]]:
    """Draws how a freeze goes: a bar on a terminal, a line for each change elsewhere."""
    screen = console()
    if quiet or not screen.is_terminal:
        said: set[str] = set()

        def tell(now: FreezeNow) -> None:
            words = f"{freeze}: {now.words}"
            if not quiet and words not in said:
                said.add(words)
                say(words)

        yield tell
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[said]}"), console=screen, transient=True) as bars:
        line = bars.add_task(freeze, total=None, said="asked")

        def draw(now: FreezeNow) -> None:
            bars.update(line, total=now.row["intervals"], completed=now.row["genotyped"], said=now.words)

        yield draw


def _freeze(now: FreezeNow) -> dict[str, Any]:
    return {**now.as_dict(), "why": now.error}


def _slowest(rows: list[v.Row]) -> list[v.Row]:
    timed = [row for row in rows if row["seconds"] is not None]
    return sorted(timed, key=lambda row: row["seconds"], reverse=True)[:SLOWEST]


def _interval(row: Mapping[str, Any]) -> tuple[Any, ...]:
    where = row["interval"]
    return (
        str(row["index"]),
        f"{where['contig']}:{where['start']:,}-{where['end']:,}",
        state(row["state"]),
        "" if row["variants"] is None else f"{row['variants']:,}",
        "" if row["seconds"] is None else span(row["seconds"]),
        str(row["attempts"] or ""),
    )


def _unknown(which: str, cohorts: list[str]) -> Exception:
    import difflib

    near = difflib.get_close_matches(which.partition(":")[0], cohorts, n=1)
    return reject(
        code="COHORT_UNKNOWN",
        message="there is no such cohort or freeze",
        where=which,
        rule="a cohort is made by its first freeze",
        fix=f"did you mean {near[0]}?" if near else "`cohortstream cohort list` shows what there is",
    )
