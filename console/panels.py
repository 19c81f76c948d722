"""A released panel for people: figures, filters, files, a query to start with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from console.output import ago, console, note, say, size, table

if TYPE_CHECKING:
    from chassis.settings import Settings

KIND_ORDER = ("vcf", "vcf_index", "parquet", "report", "manifest")
MOST_FILES = 40


async def read_files(settings: Settings, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The panel's files from its manifest, each with `kind`, `uri`, `size` and, in a folder store, `path`."""
    from chassis.storage.manifests import read_manifest
    from chassis.storage.open import open_store
    from contracts.values import ManifestRef

    async with open_store(settings.store) as store:
        entries = await read_manifest(store, ManifestRef.model_validate(row["manifest"]))
    files = [{"name": entry.get("name"), **one} for entry in entries for one in _artifacts(entry)]
    return sorted(files, key=_order)


def panel_json(row: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {**row, "files": list(files), "query": query(files)}


def show_panel(row: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> None:
    from rich.text import Text

    figures = row["summary"]
    screen = console()
    screen.print(f"panel {row['freeze']}", style="bold")
    say(f"released {ago(row['released_at'])}")
    passed = f"{figures['passed']:,} passed ({1 - figures['filtered_rate']:.1%})"
    facts = [
        ("samples", f"{figures['samples']:,}"),
        ("variants", f"{figures['variants']:,}: {figures['snps']:,} SNPs, {figures['indels']:,} indels; {passed}"),
        ("Ti/Tv", _ratio(figures.get("ti_tv"))),
        ("het/hom", _ratio(figures.get("het_hom"))),
    ]
    for decision in row["decisions"] or ():
        model = f" on {', '.join(decision['annotations'])}" if decision.get("annotations") else ""
        rule = decision["rule"].removeprefix("hard filters: ")
        facts.append((f"{decision['variant_type']} filter", f"{METHODS[decision['method']]}{model}: {rule}"))
    screen.print(table(("", ""), [(Text(name, style="dim"), said) for name, said in facts]))
    say("\nfiles:")
    for one in files[:MOST_FILES]:
        say(f"  {one['kind']:<10} {size(one['size']):>9}  {one.get('path') or one['uri']}")
    if len(files) > MOST_FILES:
        note(f"  {len(files) - MOST_FILES} more: --json lists them all")
    if asked := query(files):
        say("\ntry (DuckDB comes with the annotate extra):")
        say(f'  python -c "import duckdb; duckdb.sql(\\"{asked}\\").show()"')


METHODS = {"vqsr": "a trained model (VQSR)", "hard-filter": "hard filters"}


def query(files: Sequence[Mapping[str, Any]]) -> str | None:
    """A first SQL query for DuckDB on the panel's Parquet files; None where there are none."""
    lake = [one.get("path") or one["uri"] for one in files if one["kind"] == "parquet"]
    variants = [path for path in lake if "/variants/" in path]
    if not variants:
        return None
    glob = f"{variants[0].partition('/variants/')[0]}/variants/**/*.parquet"
    select = "select contig, filter, count(*) as variants"
    return f"{select} from read_parquet('{glob}', hive_partitioning=true) group by all order by all"


def _artifacts(value: Any) -> list[dict[str, Any]]:
    """Every artifact inside a manifest's entry, whatever else stands there."""
    match value:
        case {"kind": str(kind), "uri": str(uri), "size": int(length)}:
            path = {"path": unquote(uri.removeprefix("file://"))} if uri.startswith("file://") else {}
            return [{"kind": kind, "uri": uri, "size": length, "id": value.get("id"), **path}]
        case dict():
            return [one for inner in value.values() for one in _artifacts(inner)]
        case list():
            return [one for inner in value for one in _artifacts(inner)]
        case _:
            return []


def _order(one: Mapping[str, Any]) -> tuple[int, str]:
    place = KIND_ORDER.index(one["kind"]) if one["kind"] in KIND_ORDER else len(KIND_ORDER)
    return place, one["uri"]


def _ratio(value: float | None) -> str:
    return "not defined here" if value is None else f"{value:.3f}"
