"""The tables: goals beside figures. Rates are per processor second on one core, unless they say wall."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.joint.locus import bases_by_gq, compared
from tests.bench.joint.measure import Measured, Pair, Step

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """`least`: the figure is to reach the goal; otherwise to stay within it."""

    what: str
    figure: float | None
    goal: float
    unit: str
    at: str
    least: bool

    @property
    def met(self) -> bool | None:
        if self.figure is None:
            return None
        return self.figure >= self.goal if self.least else self.figure <= self.goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def goals(measured: Sequence[Measured]) -> tuple[Goal, ...]:
    large = [one for one in measured if one.scale.samples >= 1000 and one.pairs]
    largest = max(measured, key=lambda one: one.scale.samples)
    widest = max(measured, key=lambda one: one.scale.bases)
    found = []
    for one in large:
        at = f"N = {one.scale.samples:,}"
        for what, goal, ratio in (
            ("dense VCF.gz against GATK", 200.0, _dense_ratio),
            ("dense VCF.gz against GATK warmed up", 200.0, _warm_ratio),
            ("columns against GATK", 1000.0, _columns_ratio),
            ("columns against GATK warmed up", 1000.0, _warm_columns_ratio),
        ):
            found.append(Goal(what=what, figure=_middle(one, ratio), goal=goal, unit="x", at=at, least=True))
    found.append(
        Goal(
            what="store against bgzip gVCF",
            figure=_store_ratio(widest),
            goal=0.30,
            unit="x",
            at=str(widest.scale),
            least=False,
        )
    )
    found += [
        Goal(
            what="adding N/10 against from scratch, columns",
            figure=_adding_ratio(one),
            goal=0.2,
            unit="x",
            at=str(one.scale),
            least=False,
        )
        for one in measured
        if one.added
    ]
    peak = max(step.peak_bytes for step in (largest.imported, largest.dense, largest.columns))
    found.append(
        Goal(
            what="peak memory of a worker",
            figure=peak / MIB,
            goal=1024,
            unit=" MiB",
            at=f"N = {largest.scale.samples:,}",
            least=False,
        )
    )
    found.append(
        Goal(
            what="import of gVCF text",
            figure=_import_rate(widest),
            goal=300,
            unit=" MB/s",
            at=str(widest.scale),
            least=True,
        )
    )
    return tuple(found)


def tables(measured: Sequence[Measured]) -> tuple[Shown, ...]:
    return (
        _goals_table(goals(measured)),
        _locus_table(measured),
        *([_sides_table(measured)] if any(one.pairs for one in measured) else []),
        _window_table(measured),
        _split_table(measured),
        *([_adding_table(measured)] if any(one.added is not None for one in measured) else []),
    )


def markdown(shown: Sequence[Shown], command: str) -> str:
    parts = [f"`{command}`"]
    for table in shown:
        head = f"| {' | '.join(table.columns)} |\n|{'---|' * len(table.columns)}"
        parts.append(f"**{table.title}**\n\n{head}\n" + "\n".join(f"| {' | '.join(row)} |" for row in table.rows))
    return "\n\n".join(parts) + "\n"


def _goals_table(found: Sequence[Goal]) -> Shown:
    words = {True: "yes", False: "no", None: "not measured"}
    return Shown(
        title="Goals",
        columns=("what", "at", "figure", "goal", "met"),
        rows=tuple(
            (
                one.what,
                one.at,
                ""
                if one.figure is None
                else f"{one.figure:,.3g}{one.unit}"
                if one.figure < 100
                else f"{one.figure:,.0f}{one.unit}",
                f"{'>=' if one.least else '<='} {one.goal:g}{one.unit}",
                words[one.met],
            )
            for one in found
        ),
    )


def _locus_table(measured: Sequence[Measured]) -> Shown:
    rows = []
    for one in measured:
        figures = compared(one.cohort)
        shares = bases_by_gq(one.cohort)
        made = sum(profile.text_bytes for profile in one.cohort.profiles) / 1e6 / one.cohort.seconds
        rows.append(
            (
                str(one.scale),
                *(
                    f"{figure.simulated:,.0f} ({figure.ratio:.2f}{'' if figure.near else ' NOT NEAR'})"
                    for figure in figures
                ),
                ", ".join(f"{name.removeprefix('GQ ')} {share:.0%}" for name, share in shares.items()),
                f"{made:.0f} MB/s",
            )
        )
    return Shown(
        title="The simulated gVCFs, of a sample-Mb (and against the real locus: to be within 0.8 and 1.2)",
        columns=(
            "cohort",
            *(figure.what for figure in compared(measured[0].cohort)),
            "bases in blocks by GQ",
            "made at",
        ),
        rows=tuple(rows),
    )


def _sides_table(measured: Sequence[Measured]) -> Shown:
    rows = []
    for one in measured:
        for number, pair in enumerate(one.pairs, 1):
            cells = pair.theirs.sites.sites * one.scale.samples
            start = pair.theirs.genotype_start
            alone = pair.theirs.genotyped.less(start)
            whole = alone.cpu_s + pair.theirs.imported.less(pair.theirs.import_start).cpu_s
            ours = pair.sites.sites * one.scale.samples
            same = (
                "same GTs"
                if pair.sites.digest == pair.theirs.sites.digest
                else f"GTs DIFFER ({pair.sites.sites} sites)"
            )
            rows += [
                (
                    f"{one.scale.samples:,} x {one.scale.stretch_bp / 1000:g} kb, round {number}",
                    "GATK",
                    f"{pair.theirs.sites.sites:,}",
                    f"{alone.cpu_s:.1f} s",
                    f"{cells / alone.cpu_s:,.0f}",
                    f"{_warm_rate(pair) * one.scale.samples:,.0f}",
                    f"{cells / pair.theirs.genotyped.cpu_s:,.0f}",
                    "",
                    f"{whole:.1f} s",
                    f"{cells / whole:,.0f}",
                    f"{max(pair.theirs.imported.peak_bytes, pair.theirs.genotyped.peak_bytes) / MIB:,.0f} MiB",
                ),
                (
                    same,
                    "columnar",
                    f"{pair.sites.sites:,}",
                    f"{pair.dense.cpu_s:.2f} s",
                    f"{ours / pair.dense.cpu_s:,.0f}",
                    "",
                    f"{ours / pair.dense.ran.cpu_s:,.0f}",
                    f"{ours / pair.columns.cpu_s:,.0f}",
                    f"{pair.imported.cpu_s + pair.dense.cpu_s:.2f} s",
                    f"{ours / (pair.imported.cpu_s + pair.dense.cpu_s):,.0f}",
                    f"{max(pair.imported.peak_bytes, pair.dense.peak_bytes) / MIB:,.0f} MiB",
                ),
                (
                    "",
                    "ratio",
                    "",
                    "",
                    f"{_dense_ratio(pair):,.0f}x",
                    f"{_warm_ratio(pair):,.0f}x",
                    f"{ours / pair.dense.ran.cpu_s / (cells / pair.theirs.genotyped.cpu_s):,.0f}x",
                    f"{_columns_ratio(pair):,.0f}x",
                    "",
                    f"{_whole_ratio(pair):,.0f}x",
                    "",
                ),
            ]
    return Shown(
        title="Both sides over the same stretch, one core; cells: emitted sites x samples, a second of processor time",
        columns=(
            "stretch",
            "side",
            "sites",
            "genotyping",
            "cells/s, VCF.gz",
            "warmed up",
            "with start",
            "cells/s, columns",
            "gVCF to VCF.gz",
            "cells/s",
            "peak memory",
        ),
        rows=tuple(rows),
    )


def _window_table(measured: Sequence[Measured]) -> Shown:
    return Shown(
        title="Our side over whole windows, one core",
        columns=(
            "cohort",
            "import, text",
            "sites",
            "candidate sites",
            "VCF.gz, cells/s",
            "columns, cells/s",
            "columns, bases x samples/s",
            "store, of a sample-Mb",
            "of bgzip gVCF",
            "peak: import",
            "VCF.gz",
            "columns",
        ),
        rows=tuple(
            (
                str(one.scale),
                f"{_import_rate(one):,.0f} MB/s",
                f"{one.sites.sites:,}",
                f"{one.dense.counts['candidate_sites']:,}",
                f"{one.sites.sites * one.scale.samples / one.dense.cpu_s:,.0f}",
                f"{one.sites.sites * one.scale.samples / one.columns.cpu_s:,.0f}",
                f"{one.scale.bases * one.scale.samples / one.columns.cpu_s:,.0f}",
                f"{one.imported.counts['store_bytes'] / one.scale.samples / one.scale.bases:.3f} MB",
                f"{_store_ratio(one):.3f}",
                *(f"{step.peak_bytes / MIB:,.0f} MiB" for step in (one.imported, one.dense, one.columns)),
            )
            for one in measured
        ),
    )


def _split_table(measured: Sequence[Measured]) -> Shown:
    rows = []
    for one in measured:
        for what, step in (("import", one.imported), ("VCF.gz", one.dense), ("columns", one.columns)):
            total = sum(step.split.values())
            parts = ", ".join(f"{name} {seconds:.2f} s ({seconds / total:.0%})" for name, seconds in step.split.items())
            rows.append((str(one.scale), what, f"{step.cpu_s:.2f} s", f"{step.wall_s:.2f} s", parts))
    return Shown(
        title="Where our time goes (processor seconds)",
        columns=("cohort", "step", "CPU", "wall", "parts"),
        rows=tuple(rows),
    )


def _adding_table(measured: Sequence[Measured]) -> Shown:
    rows = []
    for one in measured:
        if one.added is None:
            continue
        whole = one.imported.cpu_s + one.columns.cpu_s
        adding = one.added.imported.cpu_s + one.added.columns.cpu_s
        steps = (
            ("the new gVCFs are imported", one.added.imported),
            ("columns of everyone, from the store", one.added.columns),
            ("from scratch: all gVCFs are imported", one.imported),
            ("from scratch: columns of everyone", one.columns),
        )
        rows += [(str(one.scale), what, f"{step.cpu_s:.2f} s", *_touched(step)) for what, step in steps]
        same = "the same records" if one.added.same else "records DIFFER"
        rows.append((str(one.scale), f"adding against from scratch, {same}", f"{adding / whole:.3f}x", "", "", ""))
    return Shown(
        title="Adding a tenth of the people to the others' batches",
        columns=("cohort", "term", "CPU", "bytes read", "sites looked at", "explicit cells touched"),
        rows=tuple(rows),
    )


def _touched(step: Step) -> tuple[str, str, str]:
    read = step.counts.get("bytes_read", step.counts.get("bgzip_bytes", 0))
    sites, cells = (step.counts.get(name) for name in ("candidate_sites", "explicit_cells"))
    return f"{read:,}", "" if sites is None else f"{sites:,}", "" if cells is None else f"{cells:,}"


def _adding_ratio(one: Measured) -> float | None:
    if one.added is None:
        return None
    adding = one.added.imported.cpu_s + one.added.columns.cpu_s
    return adding / (one.imported.cpu_s + one.columns.cpu_s)


def _middle(one: Measured, ratio: Callable[[Pair], float]) -> float:
    return statistics.median(ratio(pair) for pair in one.pairs)


def _dense_ratio(pair: Pair) -> float:
    return _rate(pair.sites.sites, pair.dense) / _gatk_rate(pair)


def _columns_ratio(pair: Pair) -> float:
    return _rate(pair.sites.sites, pair.columns) / _gatk_rate(pair)


def _warm_ratio(pair: Pair) -> float:
    return _rate(pair.sites.sites, pair.dense) / _warm_rate(pair)


def _warm_columns_ratio(pair: Pair) -> float:
    return _rate(pair.sites.sites, pair.columns) / _warm_rate(pair)


def _warm_rate(pair: Pair) -> float:
    return pair.theirs.sites.sites / pair.theirs.warm_cpu_s


def _whole_ratio(pair: Pair) -> float:
    gatk = pair.theirs
    seconds = gatk.genotyped.less(gatk.genotype_start).cpu_s + gatk.imported.less(gatk.import_start).cpu_s
    ours = pair.imported.cpu_s + pair.dense.cpu_s
    return pair.sites.sites / ours / (gatk.sites.sites / seconds)


def _rate(sites: int, step: Step) -> float:
    return sites / step.cpu_s


def _gatk_rate(pair: Pair) -> float:
    return pair.theirs.sites.sites / pair.theirs.genotyped.less(pair.theirs.genotype_start).cpu_s


def _store_ratio(one: Measured) -> float:
    return one.imported.counts["store_bytes"] / one.imported.counts["bgzip_bytes"]


def _import_rate(one: Measured) -> float:
    return one.imported.counts["text_bytes"] / 1e6 / one.imported.cpu_s
