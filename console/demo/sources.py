"""What the demo is made of: a reference, and runs that arrive one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

Data = Literal["simulated", "1kg"]
PROJECT = "COHORT1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A run folder to come. `write` makes it as a sequencer and its converter do: files first, markers last."""

    write: Callable[[Path], Path]
    samples: tuple[str, ...]
    """Laboratory ids of the people in it."""
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    reference: Path
    gff: Path | None
    max_interval_bp: int
    truth: Path | None
    """None where nobody knows the truth."""
    arrivals: tuple[Arrival, ...]
    qc_rules: str
    """The rule set whose thresholds fit this material (services/align/qc_rules.toml)."""
    topped_up: str | None = None
    """The person whose second sequencing comes with the last run."""

    def people_after(self, arrivals: int) -> tuple[str, ...]:
        """Everyone sequenced in the first so many runs."""
        return tuple(sorted({name for one in self.arrivals[:arrivals] for name in one.samples}))


def simulated(folder: Path, *, people: int, seed: int, depth: float) -> Material:
    """A population with its own genome, and two runs of it; about a second of work."""
    from console.demo.genes import write_gff
    from console.demo.population import simulate, write_reference, write_truth
    from console.demo.reads import PopulationReads
    from console.demo.runfolder import write_run
    from console.demo.runplan import demo_runs

    population = simulate(people=people, seed=seed)
    reference = write_reference(population, folder / "reference.fa")
    gff = folder / "genes.gff3"
    write_gff(population.genes, [(contig.name, contig.length) for contig in population.contigs], gff)
    truth = write_truth(population, folder / "truth.vcf.gz")
    founders = population.samples[: population.founders]
    runs = demo_runs(founders=founders, newcomers=population.newcomers, project=PROJECT, depth=depth)
    reads = PopulationReads(population=population, seed=seed)
    topped_up = next(one.sample for one in runs[1].samples if one.sample in founders)
    says = (
        f"{len(founders)} people",
        f"{len(population.newcomers)} new people, and more reads of {topped_up}",
    )
    return Material(
        reference=reference,
        gff=gff,
        max_interval_bp=population.max_interval_bp,
        truth=truth,
        arrivals=tuple(
            Arrival(
                write=partial(write_run, run=run, reads=reads),
                samples=tuple(one.sample for one in run.samples),
                says=sentence,
            )
            for run, sentence in zip(runs, says, strict=True)
        ),
        qc_rules="demo",
        topped_up=topped_up,
    )


def one_kg() -> Material:
    """Three people of the 1000 Genomes Project, 4.2 kb of chromosome 17."""
    from console.demo.onekg import REFERENCE, one_kg_plan, one_kg_run

    return Material(
        reference=REFERENCE,
        gff=None,
        max_interval_bp=10_000,
        truth=None,
        qc_rules="tiny",
        arrivals=(
            Arrival(
                write=lambda root: one_kg_run(root).folder,
                samples=tuple(one.sample for one in one_kg_plan().samples),
                says="3 people of the 1000 Genomes Project",
            ),
        ),
    )
