"""Reads come from the people's haplotypes, with errors as their qualities say."""

import gzip
from collections import defaultdict
from datetime import date
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from console.demo.genes import reverse_complement
from console.demo.population import Population, write_reference
from console.demo.reads import PopulationReads, ReadProfile
from console.demo.runplan import RunPlan, SamplePlan

SAMPLE = SamplePlan(sample="S0002", index="ACGTACGTAC", index2="TTGCATTGCA", depth=20.0)
RUN = RunPlan(
    date=date(2024, 6, 11),
    instrument="A01417",
    number=7,
    side="A",
    flowcell="HTESTDSX5",
    project="P",
    samples=(SAMPLE,),
)
Record = tuple[str, str, str]


def _records(compressed: bytes) -> list[Record]:
    lines = gzip.decompress(compressed).decode().splitlines()
    assert len(lines) % 4 == 0
    assert set(lines[2::4]) == {"+"}
    return list(zip(lines[::4], lines[1::4], lines[3::4], strict=True))


@pytest.fixture(scope="module")
def lanes(population: Population) -> dict[int, tuple[list[Record], list[Record]]]:
    reads = PopulationReads(population=population, seed=3)(run=RUN, sample=SAMPLE)
    return {lane: (_records(first), _records(second)) for lane, (first, second) in reads.items()}


def _all(lanes: dict[int, tuple[list[Record], list[Record]]]) -> list[Record]:
    return [record for mates in lanes.values() for mate in mates for record in mate]


def test_the_same_seed_gives_the_same_bytes_and_another_run_of_the_sample_others(population: Population) -> None:
    source = PopulationReads(population=population, seed=3)
    again = PopulationReads(population=population, seed=3)
    later = RunPlan(
        date=RUN.date, instrument="A01417", number=8, side="A", flowcell="HTESTDSX5", project="P", samples=(SAMPLE,)
    )
    assert source(run=RUN, sample=SAMPLE) == again(run=RUN, sample=SAMPLE)
    assert (
        _records(source(run=RUN, sample=SAMPLE)[1][0])[0][1] != _records(source(run=later, sample=SAMPLE)[1][0])[0][1]
    )


def test_both_lanes_hold_pairs_with_illumina_names(lanes: dict[int, tuple[list[Record], list[Record]]]) -> None:
    assert sorted(lanes) == [1, 2]
    names = []
    for lane, (first, second) in lanes.items():
        assert len(first) == len(second) > 0
        for (one, *_), (two, *_) in zip(first, second, strict=True):
            place, rest = one.split(" ")
            assert two == f"{place} 2:N:0:ACGTACGTAC+TTGCATTGCA"
            assert rest == "1:N:0:ACGTACGTAC+TTGCATTGCA"
            assert place.startswith(f"@A01417:7:HTESTDSX5:{lane}:")
            names.append(place)
    assert len(set(names)) == len(names)


def test_reads_have_the_depth_and_the_binned_qualities_asked_for(
    population: Population, lanes: dict[int, tuple[list[Record], list[Record]]]
) -> None:
    records = _all(lanes)
    assert {len(bases) for _, bases, _ in records} == {150}
    assert {len(scores) for *_, scores in records} == {150}
    bases = sum(len(bases) for _, bases, _ in records)
    total = sum(contig.length for contig in population.contigs)
    assert bases / total == pytest.approx(SAMPLE.depth, rel=0.02)
    seen = {ord(score) - 33 for *_, scores in records for score in scores}
    assert seen == {2, 12, 23, 37}
    assert all(
        (base == "N") == (score == "#") for _, text, scores in records for base, score in zip(text, scores, strict=True)
    )


def test_reads_lie_on_the_persons_haplotypes_and_err_as_their_qualities_say(
    population: Population, lanes: dict[int, tuple[list[Record], list[Record]]]
) -> None:
    forward = [population.haplotype(SAMPLE.sample, c.name, which) for c in population.contigs for which in (0, 1)]
    haplotypes = [*forward, *map(reverse_complement, forward)]
    words = defaultdict(set)
    for number, haplotype in enumerate(haplotypes):
        for start in range(len(haplotype) - 29):
            words[haplotype[start : start + 30]].add((number, start))
    compared, differ = np.zeros(38), np.zeros(38)
    for _, bases, scores in _all(lanes):
        read, quality = (np.frombuffer(text.encode(), dtype=np.uint8) for text in (bases, scores))
        # any 30 bases without error say where a read may lie; where it differs least is where it was drawn
        starts = {
            (number, found - seed)
            for seed in range(0, 121, 15)
            for number, found in words.get(bases[seed : seed + 30], ())
            if found >= seed
        }
        places = [haplotypes[number][start : start + 150] for number, start in starts]
        wrong = min(
            (read != np.frombuffer(place.encode(), dtype=np.uint8) for place in places if len(place) == 150), key=np.sum
        )
        np.add.at(compared, quality - 33, 1)
        np.add.at(differ, quality - 33, wrong)
    assert differ[2] == compared[2] > 0
    assert differ[[12, 23, 37]] / compared[[12, 23, 37]] == pytest.approx([10**-1.2, 10**-2.3, 10**-3.7], rel=0.15)


def test_a_few_fragments_come_twice_and_some_of_them_side_by_side(population: Population) -> None:
    # given reads without duplicates, hardly any two pairs start and end alike; with them, about as many as asked for
    def copies(share: float) -> list[list[str]]:
        profile = ReadProfile(duplicates=share, optical=0.5)
        reads = PopulationReads(population=population, seed=3, profile=profile)(run=RUN, sample=SAMPLE)
        pairs = [
            ((one[1][:25], two[1][:25]), one[0])
            for first, second in reads.values()
            for one, two in zip(_records(first), _records(second), strict=True)
        ]
        pairs.sort()
        groups = [[name for _, name in group] for _, group in groupby(pairs, key=lambda pair: pair[0])]
        return [group for group in groups if len(group) > 1]

    plain, doubled = copies(0.0), copies(0.05)
    expected = 0.05 * SAMPLE.depth * 50_000 / 300
    assert len(plain) < 0.02 * expected
    assert len(doubled) == pytest.approx(expected, rel=0.3)
    optical = [
        group for group in doubled if len({tuple(name.split(" ")[0].split(":")[3:5]) for name in group}) < len(group)
    ]
    assert 0.3 < len(optical) / len(doubled) < 0.7


@pytest.mark.tools
def test_bwa_places_the_reads_and_their_pile_shows_the_persons_genotypes(
    population: Population, tmp_path: Path
) -> None:
    import pysam
    from pybwa import BwaIndex, BwaMem

    fasta = write_reference(population, tmp_path / "reference.fa")
    BwaIndex.index(fasta)
    reads = PopulationReads(population=population, seed=3)(run=RUN, sample=SAMPLE)
    paths = []
    for lane, mates in reads.items():
        for mate, compressed in enumerate(mates, start=1):
            paths.append(tmp_path / f"{lane}_{mate}.fastq.gz")
            paths[-1].write_bytes(compressed)
    queries = [read for path in paths for read in pysam.FastxFile(str(path), persist=True)]
    bam = tmp_path / "reads.bam"
    header = pysam.AlignmentHeader.from_references(
        [contig.name for contig in population.contigs], [contig.length for contig in population.contigs]
    )
    alignments = [found[0] for found in BwaMem(prefix=fasta).align(queries)]
    mapped = [a for a in alignments if not a.is_unmapped]
    assert len(mapped) > 0.98 * len(queries)
    with pysam.AlignmentFile(str(bam), "wb", header=header) as out:
        for alignment in mapped:
            out.write(pysam.AlignedSegment.from_dict(alignment.to_dict(), header))
    pysam.sort("-o", str(tmp_path / "sorted.bam"), str(bam))
    pysam.index(str(tmp_path / "sorted.bam"))
    person = population.samples.index(SAMPLE.sample)
    wrong = checked = 0
    with pysam.AlignmentFile(str(tmp_path / "sorted.bam")) as sorted_bam:
        for site in population.sites:
            pair = site.haplotypes[2 * person : 2 * person + 2]
            if len(site.ref) > 1 or any(len(alt) > 1 for alt in site.alts) or "*" in site.alts:
                continue
            counts = sorted_bam.count_coverage(site.contig, site.position, site.position + 1, quality_threshold=20)
            depth = dict(zip("ACGT", (int(count[0]) for count in counts), strict=True))
            share = depth[site.alts[0]] / sum(depth.values())
            checked += 1
            wrong += not {0: share < 0.1, 1: 0.15 < share < 0.85, 2: share > 0.9}[sum(pair)]
    assert checked > 50
    assert wrong <= 0.02 * checked
