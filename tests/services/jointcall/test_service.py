"""Jointcall through its own tasks: real gVCFs and a request go in, GATK runs in a worker's child, VCFs come out."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pysam
import pytest

from chassis.reference import bundle
from chassis.reference.model import Bundle
from chassis.storage.manifests import read_manifest
from chassis.tools.gatk import gatk_for
from contracts.events import CohortFrozen, FreezeFailed, GvcfReady, IntervalGenotyped, Selection
from contracts.values import ArtifactKind, Interval
from deploy.embedded.stack import Endpoints
from services.jointcall.engines.gatk import HEAP_FRACTION
from services.jointcall.engines.protocol import GvcfInput
from services.jointcall.main import BUILDER
from tests.services.jointcall.cropped import CONTIG, LENGTH, Cropped, crop
from tests.services.jointcall.engines.written import local_reference
from tests.support import events
from tests.support.served import Served, serve

pytestmark = [pytest.mark.stack, pytest.mark.tools]

INTERVAL_BP = 75_000
SECTIONS = {"jointcall": {"interval_bp": INTERVAL_BP, "chunk_bp": 40_000}}
NO_GAP_BP = 10**9  # most of the stand-in's bases are not known, and the gVCFs cover them all the same

Call = tuple[int, str, str, str, tuple[str, ...]]
"""Position, REF, ALT, QUAL and each sample's genotype."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    frozen: CohortFrozen
    genotyped: tuple[IntervalGenotyped, ...]
    samples: tuple[str, ...]
    """Columns of the VCFs."""
    calls: tuple[Call, ...]
    """Of all intervals."""


@pytest.fixture(scope="module")
def cropped(tmp_path_factory: pytest.TempPathFactory) -> Cropped:
    return crop(tmp_path_factory.mktemp("cropped"), samples=4)


@pytest.fixture(scope="module")
async def jointcall(endpoints: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """With a worker, whose JVM stays warm from one freeze to the next."""
    folder = tmp_path_factory.mktemp("jointcall")
    async with serve(BUILDER, endpoints=endpoints, folder=folder, sections=SECTIONS) as served, served.working():
        yield served


@pytest.fixture(scope="module")
async def reference(jointcall: Served, cropped: Cropped) -> Bundle:
    return await bundle.add(
        jointcall.store,
        name="chr22part",
        fasta=cropped.fasta,
        max_interval_bp=INTERVAL_BP,
        n_run_bp=NO_GAP_BP,
        scratch=cropped.fasta.parent,
    )


async def ready(served: Served, number: int, gvcf: GvcfInput, reference: Bundle) -> GvcfReady:
    """What align would have told of a sample, the artifacts in the store."""
    prefix = f"working/align/{number}"
    return events.gvcf_ready(
        number,
        gvcf=await served.put(ArtifactKind.gvcf, f"{prefix}/sample.g.vcf.gz", gvcf.path),
        index=await served.put(ArtifactKind.gvcf_index, f"{prefix}/sample.g.vcf.gz.tbi", gvcf.index),
        reference=reference.id,
    )


async def freeze_of(served: Served, freeze: str, selection: Selection, folder: Path) -> Freeze:
    """Ask for the cohort's next freeze and wait until all of it is genotyped."""
    cohort = freeze.rpartition(":")[0]
    await served.deliver(events.freeze_requested(cohort, selection))
    (frozen,) = await served.until_said(CohortFrozen, subject=freeze)
    genotyped = await served.until_said(IntervalGenotyped, count=frozen.intervals.entries, subject=freeze)
    genotyped.sort(key=lambda one: one.index)
    vcfs = [await served.get(one.vcf, folder, f"{freeze}-{one.index}.vcf.gz") for one in genotyped]
    return Freeze(
        frozen=frozen,
        genotyped=tuple(genotyped),
        samples=columns_of(vcfs[0]),
        calls=tuple(call for path in vcfs for call in calls_of(path)),
    )


@pytest.fixture(scope="module")
async def first(
    jointcall: Served, cropped: Cropped, reference: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Freeze:
    """Two samples by name, of three that are ready."""
    told = [await ready(jointcall, number, cropped.gvcfs[number], reference) for number in range(3)]
    await jointcall.deliver(*told)
    named = Selection(how="list", samples=(events.sample_of(0), events.sample_of(1)))
    return await freeze_of(jointcall, "c:1", named, tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
async def second(jointcall: Served, first: Freeze, tmp_path_factory: pytest.TempPathFactory) -> Freeze:
    """All three."""
    return await freeze_of(jointcall, "c:2", Selection(how="all"), tmp_path_factory.mktemp("second"))


@pytest.fixture(scope="module")
def unsharded(cropped: Cropped, tmp_path_factory: pytest.TempPathFactory) -> tuple[Call, ...]:
    """GATK by hand on all of the contig at once, with the three samples."""
    folder = tmp_path_factory.mktemp("unsharded")
    gatk = gatk_for(memory_mb=1500, heap_fraction=HEAP_FRACTION)
    variants = [word for one in cropped.gvcfs[:3] for word in ("-V", str(one.path))]
    workspace, out = folder / "workspace", folder / "out.vcf.gz"
    gatk.run(
        "GenomicsDBImport",
        [*variants, "-L", CONTIG, "--genomicsdb-workspace-path", str(workspace)],
        log=folder / "import.log",
    )
    fasta = local_reference(cropped.fasta).fasta
    gatk.run(
        "GenotypeGVCFs", ["-R", str(fasta), "-V", f"gendb://{workspace}", "-O", str(out)], log=folder / "genotype.log"
    )
    return calls_of(out)


def calls_of(path: Path) -> tuple[Call, ...]:
    with gzip.open(path, "rt") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines if not line.startswith("#")]
    return tuple((int(one[1]), one[3], one[4], one[5], tuple(cell.split(":")[0] for cell in one[9:])) for one in rows)


def columns_of(path: Path) -> tuple[str, ...]:
    with pysam.VariantFile(str(path)) as opened:
        return tuple(opened.header.samples)


def covered(genotyped: Sequence[IntervalGenotyped]) -> list[tuple[int, int]]:
    return [(one.interval.start, one.interval.end) for one in genotyped]


async def test_a_freeze_is_genotyped_interval_by_interval(first: Freeze, jointcall: Served, reference: Bundle) -> None:
    assert (first.frozen.number, first.frozen.previous, first.frozen.reference) == (1, None, reference.id)
    members = await read_manifest(jointcall.store, first.frozen.manifest)
    assert [(one["sample"], one["version"]) for one in members] == [(events.sample_of(n), 1) for n in (0, 1)]
    planned = await read_manifest(jointcall.store, first.frozen.intervals)
    assert [Interval.model_validate(one["interval"]) for one in planned] == [one.interval for one in first.genotyped]
    edges = covered(first.genotyped)
    assert (edges[0][0], edges[-1][1]) == (1, LENGTH)
    assert all(end + 1 == start for (_, end), (start, _) in pairwise(edges))
    assert len(edges) == 3
    assert first.samples == ("HG00187", "HG00308")
    assert [one.samples for one in first.genotyped] == [2, 2, 2]
    assert sum(one.variants for one in first.genotyped) == len(first.calls) > 5


async def test_a_second_freeze_with_one_more_sample_equals_unsharded_gatk(
    first: Freeze, second: Freeze, unsharded: tuple[Call, ...]
) -> None:
    assert (second.frozen.number, second.frozen.previous) == (2, "c:1")
    assert second.samples == (*first.samples, "HG00637")
    assert sum(one.variants for one in second.genotyped) == len(unsharded)
    assert second.calls == unsharded
    assert len(second.calls) > len(first.calls)


async def test_a_sites_only_companion_stands_beside_each_interval(
    second: Freeze, jointcall: Served, tmp_path: Path
) -> None:
    for one in second.genotyped:
        whole = await jointcall.get(one.vcf, tmp_path, f"{one.index}.vcf.gz")
        bare = await jointcall.get(one.sites, tmp_path, f"{one.index}.sites.vcf.gz")
        await jointcall.get(one.vcf_index, tmp_path, f"{one.index}.vcf.gz.tbi")
        await jointcall.get(one.sites_index, tmp_path, f"{one.index}.sites.vcf.gz.tbi")
        with gzip.open(whole, "rt") as lines:
            expected = ["\t".join(line.split("\t")[:8]) for line in lines if not line.startswith("#")]
        with pysam.TabixFile(str(bare)) as tabix:
            assert [*tabix.fetch(CONTIG)] == expected if expected else CONTIG not in tabix.contigs
        assert columns_of(bare) == ()
        assert len(expected) == one.variants


async def test_the_first_freeze_stays_as_it_was(first: Freeze, second: Freeze, jointcall: Served) -> None:
    stood = await jointcall.rows('select "freeze", state, samples, intervals, genotyped from status_freeze order by 1')
    assert [tuple(row) for row in stood if row["freeze"].startswith("c:")] == [
        ("c:1", "genotyped", 2, 3, 3),
        ("c:2", "genotyped", 3, 3, 3),
    ]
    assert len({one.vcf.uri for one in (*first.genotyped, *second.genotyped)}) == 6


async def test_a_corrupt_gvcf_ends_its_freeze_and_no_other(
    second: Freeze, jointcall: Served, cropped: Cropped, reference: Bundle, tmp_path: Path
) -> None:
    good = cropped.gvcfs[3]
    cut = tmp_path / good.path.name
    cut.write_bytes(good.path.read_bytes()[:-2000])
    await jointcall.deliver(await ready(jointcall, 3, GvcfInput(name=good.name, path=cut, index=good.index), reference))
    await jointcall.deliver(events.freeze_requested("other"))
    (failed,) = await jointcall.until_said(FreezeFailed, subject="other:1")
    assert (failed.stage, failed.rejection.code) == ("jointcall", "GZIP_TRUNCATED")
    assert events.sample_of(3) in failed.rejection.where, "named by its key"

    async def nothing_is_left() -> bool:
        left = "select key from task where subject = 'other:1' and state not in ('done', 'failed', 'cancelled')"
        return await jointcall.rows(left) == []

    await jointcall.until(nothing_is_left)
    assert len(await jointcall.said(FreezeFailed)) == 1
    (stands,) = await jointcall.rows("select state, error from status_freeze where \"freeze\" = 'other:1'")
    assert (stands["state"], stands["error"]["code"]) == ("failed", "GZIP_TRUNCATED")
    (stands,) = await jointcall.rows("select state from status_freeze where \"freeze\" = 'c:2'")
    assert stands["state"] == "genotyped"
