"""The simulated truth: the same for the same seed, and told alike by the VCF, the reference and the haplotypes."""

from collections import Counter
from pathlib import Path

import pytest

from console.demo.alleles import normalise
from console.demo.genes import STOP_CODONS, reverse_complement, write_gff
from console.demo.population import Population, simulate, write_reference, write_truth
from console.demo.sites import Origin


def test_the_same_seed_gives_the_same_population_and_another_seed_another(population: Population) -> None:
    again = simulate(people=4, newcomers=2, seed=11, total_bp=50_000)
    other = simulate(people=4, newcomers=2, seed=12, total_bp=50_000)
    assert again == population
    assert other.contigs[0].genome != population.contigs[0].genome


def test_truth_files_are_the_same_bytes_for_the_same_seed(population: Population, tmp_path: Path) -> None:
    one, two = (write_truth(population, tmp_path / f"{n}.vcf.gz").read_bytes() for n in (1, 2))
    assert one == two


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_default_population_has_what_the_demo_promises(seed: int) -> None:
    population = simulate(seed=seed)
    assert len(population.samples) == 10
    assert population.newcomers == ("S0009", "S0010")
    assert sum(contig.length for contig in population.contigs) == 100_000
    assert len(population.intervals) >= 8
    assert max(interval.length for interval in population.intervals) <= population.max_interval_bp
    origins = Counter(site.origin for site in population.sites)
    assert set(origins) == set(Origin)
    assert 150 <= len(population.sites) <= 350
    assert {gene.strand for gene in population.genes} == {"+", "-"}


def test_intervals_hold_every_base_that_is_not_in_a_run_of_n(population: Population) -> None:
    for contig in population.contigs:
        covered = [False] * contig.length
        for interval in population.intervals:
            if interval.contig == contig.name:
                assert not any(covered[interval.start : interval.end])
                covered[interval.start : interval.end] = [True] * interval.length
        assert covered == [base != "N" for base in contig.reference]


def test_an_edge_deletion_crosses_a_cut_that_was_made_for_length_alone(population: Population) -> None:
    edges = {
        (left.contig, left.end)
        for left, right in zip(population.intervals, population.intervals[1:], strict=False)
        if left.contig == right.contig and left.end == right.start
    }
    deletions = [site for site in population.sites if site.origin is Origin.EDGE_DELETION]
    assert deletions
    for deletion in deletions:
        assert any(contig == deletion.contig and deletion.position + 1 < edge < deletion.end for contig, edge in edges)


def test_snps_inside_deletions_are_on_the_other_haplotype_of_somebody_of_the_first_run(population: Population) -> None:
    nested = [site for site in population.sites if site.origin is Origin.NESTED_SNP]
    deletions = [site for site in population.sites if site.origin is Origin.NESTED_DELETION]
    assert nested
    for snp in nested:
        assert snp.alts[-1] == "*"
        around = next(d for d in deletions if d.contig == snp.contig and d.position < snp.position < d.end)
        assert [allele == 2 for allele in snp.haplotypes] == [allele == 1 for allele in around.haplotypes]
        people = list(zip(snp.haplotypes[::2], snp.haplotypes[1::2], strict=True))
        assert any(sorted(person) == [1, 2] for person in people[: population.founders])


def test_sites_are_normal_and_stay_out_of_the_runs_of_n(population: Population) -> None:
    references = {contig.name: contig.reference for contig in population.contigs}
    for site in population.sites:
        reference = references[site.contig]
        assert "N" not in reference[site.position - 50 : site.end + 50]
        assert any(site.haplotypes)
        for alt in (alt for alt in site.alts if alt != "*"):
            if len(site.alts) == 1:
                assert normalise(reference, site.position, site.ref, alt) == (site.position, site.ref, alt)
            else:
                # alleles of one record share its REF, so only their place can be normal
                assert normalise(reference, site.position, site.ref, alt)[0] == site.position


def test_haplotypes_are_what_the_truth_vcf_makes_of_the_reference(population: Population, tmp_path: Path) -> None:
    import pysam

    fasta = write_reference(population, tmp_path / "reference.fa")
    truth = write_truth(population, tmp_path / "truth.vcf.gz")
    with pysam.FastaFile(str(fasta)) as reference, pysam.VariantFile(str(truth)) as vcf:
        for contig in population.contigs:
            assert reference.fetch(contig.name) == contig.reference
            # through the tabix index, so that it is seen to work
            records = list(vcf.fetch(contig.name))
            assert records
            for record in records:
                assert reference.fetch(contig.name, record.start, record.start + len(record.ref)) == record.ref
            for sample in population.samples:
                for which in (0, 1):
                    told = _apply(contig.genome, records, sample, which)
                    assert told == population.haplotype(sample, contig.name, which)


def _apply(genome: str, records: list, sample: str, which: int) -> str:
    pieces, at = [], 0
    for record in records:
        assert record.samples[sample].phased
        allele = record.alleles[record.samples[sample]["GT"][which]]
        if allele in (record.ref, "*"):
            continue
        assert record.start >= at
        pieces += [genome[at : record.start], allele]
        at = record.start + len(record.ref)
    return "".join([*pieces, genome[at:]])


def test_people_differ_and_newcomers_share_variants_with_the_others(population: Population) -> None:
    newcomers = 2 * population.founders
    shared = [s for s in population.sites if any(s.haplotypes[:newcomers]) and any(s.haplotypes[newcomers:])]
    assert len(shared) > len(population.sites) / 5
    contig = population.contigs[0].name
    assert len({population.haplotype(sample, contig, 0) for sample in population.samples}) > 1


def test_genes_read_from_start_to_stop_on_the_reference(population: Population) -> None:
    references = {contig.name: contig.reference for contig in population.contigs}
    for gene in population.genes:
        reference = references[gene.contig]
        coding = gene.coding_sequence(reference)
        codons = [coding[i : i + 3] for i in range(0, len(coding), 3)]
        assert codons[0] == "ATG"
        assert codons[-1] in STOP_CODONS
        assert not set(codons[1:-1]) & set(STOP_CODONS)
        for (_, left), (right, _) in zip(gene.exons, gene.exons[1:], strict=False):
            intron = reference[left:right]
            assert (intron if gene.strand == "+" else reverse_complement(intron)).startswith("GT")
            assert (intron if gene.strand == "+" else reverse_complement(intron)).endswith("AG")


def test_csq_reads_the_gene_model_and_finds_consequences_in_coding_sequence(
    population: Population, tmp_path: Path
) -> None:
    import pysam
    import pysam.bcftools

    fasta = write_reference(population, tmp_path / "reference.fa")
    gff = write_gff(population.genes, [(c.name, c.length) for c in population.contigs], tmp_path / "genes.gff3")
    truth = write_truth(population, tmp_path / "truth.vcf.gz")
    annotated = tmp_path / "annotated.vcf"
    # -p a: phased genotypes as they stand
    pysam.bcftools.csq(
        "-p", "a", "-f", str(fasta), "-g", str(gff), "-o", str(annotated), str(truth), catch_stdout=False
    )
    with pysam.VariantFile(str(annotated)) as vcf:
        consequences = [text for record in vcf for text in record.info.get("BCSQ", ())]
    kinds = Counter(text.split("|")[0] for text in consequences)
    coding = {"synonymous", "missense", "stop_gained", "stop_lost", "start_lost", "frameshift"}
    assert (
        sum(count for kind, count in kinds.items() if kind.lstrip("*").split("&")[0] in coding)
        >= len(population.genes) / 2
    )
    named = {text.split("|")[1] for text in consequences if "|" in text}
    assert named <= {gene.name for gene in population.genes}


def test_too_little_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        simulate(seed=1, total_bp=5_000)
