"""What a person sees of the demo: progress while it goes, then what came out, in 100 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from console.demo.figures import Figures, FreezeFigures
from console.demo.journey import Moment, Watch
from console.reusing import reuse_words
from console.standing import Pool

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.table import Table

SHORT_SECONDS = 90


@contextmanager
def live(console: Console) -> Iterator[Watch]:
    """A table that follows the work on a terminal; a line per phase where there is none."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    from rich.live import Live

    with Live(console=console, refresh_per_second=4, transient=True) as drawn:
        seen = _Lines(console)

        def watch(moment: Moment) -> None:
            seen(moment)
            drawn.update(_picture(moment))

        yield watch


class _Lines:
    """Says each phase once."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said = ""

    def __call__(self, moment: Moment) -> None:
        if moment.phase != self._said:
            self._said = moment.phase
            self._console.print(f"[cyan]→[/] {moment.phase}", highlight=False)


def _picture(moment: Moment) -> Group:
    from rich.console import Group
    from rich.spinner import Spinner
    from rich.text import Text

    called = f"  ({moment.called} of {moment.wanted} samples called)" if moment.wanted else ""
    return Group(Spinner("dots", Text(moment.phase + called)), _work(moment.pools))


def _work(pools: tuple[Pool, ...]) -> Table:
    table = _table("", "service", "#queued", "#running", "#done", "#failed")
    for pool in pools:
        table.add_row(
            "", pool.service, f"{pool.queued}", f"[bold]{pool.running}[/]", f"[green]{pool.done}[/]", f"{pool.failed}"
        )
    return table


def show(console: Console, figures: Figures, *, kept: bool) -> None:
    """The result, then where it lies and how to go on."""
    console.print()
    console.print(_freezes(figures))
    if figures.freezes[-1].evaluation is not None:
        console.print("  compared with the truth by genotype: who has how many copies of which allele, in PASS records")
    for one in figures.freezes:
        words = reuse_words({"reuse": one.reuse, "begun_with": one.begun_with})
        if words is not None:
            number = one.freeze.rpartition(":")[2]
            console.print(f"  freeze {number}: {one.samples} samples, {words}", highlight=False, soft_wrap=True)
    for decision in figures.freezes[-1].decisions:
        console.print(f"  {decision['variant_type']}s filtered by {decision['rule']}", style="dim", highlight=False)
    top = figures.topped_up
    if top is not None and top.raised:
        first, *_, last = [top.coverage[version] for version in sorted(top.coverage)]
        console.print(f"\n  More reads of {top.sample}: mean coverage {first:.1f}x → {last:.1f}x", highlight=False)
    console.print()
    console.print(_services(figures))
    console.print()
    console.print(_storage(figures))
    console.print(
        f"\n  {sum(figures.events.values())} events on {len(figures.events)} topics, "
        f"{figures.quarantined} in quarantine; {figures.seconds:.0f} s in all",
        highlight=False,
    )
    _farewell(console, figures, kept=kept)


def _freezes(figures: Figures) -> Table:
    table = _table(
        "released panels", "freeze", "#samples", "#intervals", "#variants", "#PASS", "", "#recall", "#precision",
        "#concord.", "#seconds",
    )  # fmt: skip
    for one in figures.freezes:
        found = one.evaluation
        for row, kind in enumerate(("snp", "indel")):
            first = row == 0
            table.add_row(
                one.freeze if first else "",
                f"{one.samples}" if first else "",
                f"{one.intervals}" if first else "",
                f"{one.variants}" if first else "",
                f"{one.passed}" if first else "",
                f"{kind}s" if found else "",
                _rate(found, "recall", kind),
                _rate(found, "precision", kind),
                _concordance(found) if first else "",
                f"{one.seconds:.0f}" if first else "",
            )
            if found is None:
                break
    return table


def _services(figures: Figures) -> Table:
    table = _table("work", "service", "#tasks done", "#work seconds", "#attempts", "without a result")
    for one in figures.services:
        without = ", ".join(f"{count} {ending}" for ending, count in sorted(one.endings.items()) if ending != "done")
        table.add_row(one.service, f"{one.tasks}", f"{one.seconds:.1f}", f"{one.attempts}", without or "none")
    return table


def _storage(figures: Figures) -> Table:
    table = _table("storage, by what it is and where it lies", "kind", "tier", "#objects", "#MB")
    for row in sorted(figures.storage, key=lambda row: (str(row["kind"]), str(row["tier"]))):
        table.add_row(str(row["kind"]), str(row["tier"]), f"{row['objects']}", f"{float(row['bytes']) / 1e6:.2f}")
    return table


def _farewell(console: Console, figures: Figures, *, kept: bool) -> None:
    last = figures.freezes[-1]
    console.print("\n[bold]Where it lies[/]", highlight=False)
    lines = [("panels", _panels(figures.freezes)), ("summary", f"{figures.folder}/summary.json")]
    if kept:
        lines += [("truth, runs, state, logs, spans", f"{figures.folder}")]
    for what, where in lines:
        console.print(f"  {what}: {where}", highlight=False, soft_wrap=True)
    console.print("\n[bold]Try next[/]", highlight=False)
    lake = f"{last.parquet}/variants/**/*.parquet"
    query = f"from '{lake}' limit 9"
    for command in (
        f'.venv/bin/python -c "import duckdb; duckdb.sql(\\"{query}\\").show()"',
        "make demo DATA=1kg          # three real people of the 1000 Genomes Project",
        ".venv/bin/cohortstream init mysite   # your own run folders",
    ):
        console.print(f"  {command}", highlight=False, soft_wrap=True)


def _panels(freezes: tuple[FreezeFigures, ...]) -> str:
    return ", ".join(str(one.parquet.parent) for one in freezes)


def _rate(found: Mapping[str, Any] | None, name: str, kind: str) -> str:
    rate = (found or {}).get(name, {}).get(kind)
    return "" if rate is None else f"{rate:.4f}"


def _concordance(found: Mapping[str, Any] | None) -> str:
    rate = (found or {}).get("genotype_concordance")
    return "" if rate is None else f"{rate:.4f}"


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column.removeprefix("#"), justify="right" if column.startswith("#") else "left")
    return table
