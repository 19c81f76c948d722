"""`cost`: what a run, a sample, a cohort or a freeze has cost so far, and what it costs a month to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from console.invocation import invocation
from console.output import Json

if TYPE_CHECKING:
    from console.costs import Cost, Prices
    from console.labels import Labels

PANEL = "See"


def register(app: typer.Typer) -> None:
    app.command(rich_help_panel=PANEL)(cost)


def cost(
    context: typer.Context,
    subject: Annotated[
        str,
        typer.Argument(metavar="SUBJECT", help="A run, a sample (label, project/label or key), a cohort or a freeze."),
    ],
    as_json: Json = False,
) -> None:
    """What something has cost so far, step by step and with attempts that were wasted, and what it costs to keep."""
    import asyncio

    from chassis.errors import excerpt, reject
    from console import views as v
    from console.costs import cost_of, prices_of
    from console.labels import Labels
    from console.output import note, print_json

    settings = invocation(context).found()
    prices = prices_of(settings)

    async def read() -> tuple[Cost | None, Labels, list[str]]:
        async with v.open_views(settings) as views:
            labels = Labels(await views.rows("ingest", v.LABELS))
            found = await cost_of(views, subject, prices)
            if found is None:
                found = await cost_of(views, labels.resolve(subject), prices)
            return found, labels, views.notes

    found, labels, notes = asyncio.run(read())
    for remark in notes:
        note(remark)
    if found is None:
        raise reject(
            code="SUBJECT_UNKNOWN",
            message="no work was done for it and nothing of it is kept",
            where=excerpt(subject),
            rule="a run is named by its folder, a sample by label or key, a freeze as COHORT:NUMBER",
            fix="`cohortstream status --all` shows them all",
        )
    if as_json:
        label = labels.get(found.subject)
        return print_json(found.as_dict() | {"label": label.label if label is not None else None})
    _show(found, labels, prices)


def _show(found: Cost, labels: Labels, prices: Prices) -> None:
    from console.output import console, say, size, span, table

    def money(amount: float | None) -> str:
        return "" if amount is None else amount_of(amount, found.currency)

    screen = console()
    if found.steps:
        columns = ("work", "pool", "#tasks", "#attempts", "#slot time", "#cost", "#wasted attempts")
        work = [
            (
                f"{step.service} {step.kind}",
                step.pool,
                str(step.tasks),
                str(step.attempts),
                span(step.seconds),
                money(step.amount),
                f"{step.wasted_attempts} for {money(step.wasted)}" if step.wasted_attempts else "",
            )
            for step in found.steps
        ]
        screen.print(table(columns, work))
        screen.print()
    if found.shares:
        shares = [(share.freeze, f"1 of {share.samples}", money(share.amount)) for share in found.shares]
        screen.print(table(("!its share of freeze", "#samples", "#cost"), shares))
        screen.print()
    if found.kept:
        kept = [
            (one.kind, one.tier, f"{one.objects:,}", size(one.bytes), money(one.monthly) or "no price")
            for one in found.kept
        ]
        screen.print(table(("kept", "lies in", "#objects", "#size", "#a month"), kept))
        screen.print()
    wasted = f", of it {money(found.wasted)} wasted" if found.wasted else ""
    keep = f"{money(found.monthly)} a month to keep"
    say(f"{found.kind} {labels.shown(found.subject)}: {money(found.amount)} so far{wasted}; {keep}")
    each = [
        f"{money(amount)} {what}"
        for amount, what in ((found.per_sample, "a sample"), (found.per_interval, "an interval"))
        if amount is not None
    ]
    if each:
        say(f"so far {' and '.join(each)}")
    pools = sorted({step.pool for step in found.steps})
    dates = {prices.compute.of(pool).as_of.isoformat() for pool in pools}
    say(f"at list prices{' of ' + ', '.join(sorted(dates)) if dates else ''}; [cost] prices names your own")


def amount_of(amount: float, currency: str) -> str:
    """Money as people read it: cents, or three figures of what is less; `$` for dollars."""
    figures = f"{amount:,.2f}" if amount >= 1 or amount == 0 else f"{amount:.3g}" if amount >= 1e-4 else "<0.0001"
    return f"${figures}" if currency == "USD" else f"{figures} {currency}"
