"""gVCFs by index, as streams and from S3 make the same store; regions of a store say what the whole says there."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from chassis.errors import Rejected
from chassis.settings import StoreSettings
from chassis.storage.open import open_client
from services.jointcall.columnar.library import exporting, operations, storing
from services.jointcall.columnar.library.gvcfs import Sources, listed
from services.jointcall.columnar.library.opening import current, opened_store, settings_of
from services.jointcall.columnar.library.operations import Workplace
from services.jointcall.columnar.library.shards import Region, regions_in, shards_of
from tests.services.jointcall.columnar.library.algebra import DEADLINE, People, people, records, workplace


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> People:
    return people(31, tmp_path_factory.mktemp("people"), number=6, sites=120)


@pytest.fixture
def without_index(cohort: People, tmp_path: Path) -> list[str]:
    folder = tmp_path / "streamed"
    folder.mkdir()
    made = []
    for number, path in enumerate(cohort.own.values()):
        target = folder / f"{number}.g.vcf.gz"
        target.write_bytes(path.read_bytes())
        made.append(str(target))
    return made


def digest(at: Workplace) -> str:
    return exporting.digest(at, current(at.depot), exporting.Wanted()).digest


@pytest.mark.parametrize("regions", [(), ("chrX:101-500", "chrX:520-700", "chrX:1200-1300")])
def test_streams_say_what_indexed_files_say(
    cohort: People, without_index: list[str], regions: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "STREAMS", 4)
    with workplace(tmp_path / "indexed") as indexed, workplace(tmp_path / "streams") as streams:
        paths = [str(path) for path in cohort.own.values()]
        operations.import_first(indexed, paths, reference=cohort.fasta, regions=regions, shard_bp=300)
        operations.import_first(streams, without_index, reference=cohort.fasta, regions=regions, shard_bp=300)
        one, other = current(indexed.depot), current(streams.depot)
        assert (len(one.batches), len(other.batches)) == (1, 2)
        assert digest(indexed) == digest(streams)
        assert {s.name: s.digest for b in one.batches for s in b.samples} == {
            s.name: s.digest for b in other.batches for s in b.samples
        }
        if not regions:
            assert (
                one.batches[0].samples[0].digest
                == hashlib.sha256(cohort.own[one.batches[0].names[0]].read_bytes()).hexdigest()
            )


def test_a_store_of_regions_says_what_the_whole_says_there(cohort: People, tmp_path: Path) -> None:
    paths = [str(path) for path in cohort.own.values()]
    bed = tmp_path / "regions.bed"
    bed.write_text("chrX\t299\t700\nchrX\t900\t1100\n")
    with workplace(tmp_path / "whole") as whole, workplace(tmp_path / "parts") as parts:
        operations.import_first(whole, paths, reference=cohort.fasta)
        operations.import_first(parts, paths, reference=cohort.fasta, regions=[str(bed)], shard_bp=256)
        there = [Region("chrX", 300, 700), Region("chrX", 901, 1100)]
        assert current(parts.depot).shards[0].margin == 299
        meant = records(whole, *there)
        assert records(parts) == meant and len(meant) > 10
        assert records(parts, Region("chrX", 650, 1000)) == [
            line for line in meant if 650 <= int(line.split(b"\t")[1]) <= 1000
        ]


def test_shards_lie_on_one_grid_whatever_the_regions() -> None:
    contigs = [("1", 2_500_000), ("HLA:01", 900)]
    whole = shards_of(regions_in([], contigs=contigs))
    assert [(s.contig, s.first, s.last, s.margin) for s in whole] == [
        ("1", 1, 983_040, 0),
        ("1", 983_041, 1_966_080, 0),
        ("1", 1_966_081, 2_500_000, 0),
        ("HLA:01", 1, 900, 0),
    ]
    part = shards_of(regions_in(["1:1,000,001-2,000,000", "HLA:01", "1:990000-1000000", "1:980,000"], contigs=contigs))
    assert [(s.first, s.last, s.margin) for s in part] == [
        (980_000, 983_040, 1000),
        (983_041, 1_966_080, 0),
        (1_966_081, 2_500_000, 0),
        (1, 900, 0),
    ]
    near = shards_of(regions_in(["1:5000-6000", "1:6100-6200"], contigs=contigs))
    assert [(s.first, s.margin) for s in near] == [(5000, 1000), (6100, 99)]
    for text, code in {"2": "BUILD_MISMATCH", "1:0-5": "INTERVAL_BOUNDS", "HLA:01:5-901": "INTERVAL_BOUNDS"}.items():
        with pytest.raises(Rejected, match=code):
            regions_in([text], contigs=contigs)


def test_what_names_no_store_or_gvcf_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="CONFIG_VALUE"):
        settings_of("gs://bucket/x", StoreSettings())
    with pytest.raises(Rejected, match="FILE_MISSING"), opened_store(str(tmp_path / "none"), StoreSettings()):
        pass
    assert not (tmp_path / "none").exists()
    names = tmp_path / "names.txt"
    names.write_text("# two\na.g.vcf.gz\n\ns3://bucket/b.g.vcf.gz\n")
    assert listed(names) == [str(tmp_path / "a.g.vcf.gz"), "s3://bucket/b.g.vcf.gz"]
    with workplace(tmp_path / "store") as at, Sources(depot=at.depot, settings=at.settings) as sources:
        broken = tmp_path / "broken.g.vcf.gz"
        broken.write_bytes(b"no gzip")
        with pytest.raises(Rejected, match="GZIP_TRUNCATED"):
            sources.found([str(broken)])


@pytest.fixture(scope="module")
def s3() -> Iterator[StoreSettings]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = StoreSettings(
        endpoint=f"http://{host}:{port}", access_key=SecretStr("key"), secret_key=SecretStr("secret")
    )
    yield settings
    server.stop()


def test_gvcfs_and_stores_on_s3(cohort: People, s3: StoreSettings, tmp_path: Path) -> None:
    """Streams in, ranges and copies out, conditional publication: the calls are those of local files."""

    async def filled() -> list[str]:
        async with open_client(s3) as client:
            for bucket in ("gvcfs", "cohorts"):
                await client.create_bucket(Bucket=bucket)
            for number, path in enumerate(cohort.own.values()):
                await client.put_object(Bucket="gvcfs", Key=f"run/{number}.g.vcf.gz", Body=path.read_bytes())
        return [f"s3://gvcfs/run/{number}.g.vcf.gz" for number in range(len(cohort.own))]

    far = asyncio.run(filled())
    near = [str(path) for path in cohort.own.values()]
    with (
        opened_store("s3://cohorts/site/one", s3, make=True) as depot,
        workplace(tmp_path / "near") as local,
    ):
        at = Workplace(depot=depot, settings=s3, scratch=tmp_path / "scratch")
        operations.import_first(at, [*far[:2], *near[2:4]], reference=cohort.fasta, shard_bp=1200)
        operations.add(at, far[4:], reference=cohort.fasta)
        operations.withdraw(at, [next(iter(cohort.own))], deadline=DEADLINE)
        operations.import_first(local, near[1:], reference=cohort.fasta, shard_bp=1200)
        assert digest(at) == digest(local)
        region = Region("chrX", 200, 900)
        assert records(at, region) == records(local, region)
        operations.compact(at)
        assert digest(at) == digest(local)
        assert {s.digest for b in current(depot).batches for s in b.samples} == {
            s.digest for b in current(local.depot).batches for s in b.samples
        }
        assert not list((tmp_path / "scratch").iterdir())
