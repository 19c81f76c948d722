"""One scale: a cohort of N people over a window, our side on it, GATK on a stretch of it, and what adding costs."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.joint import child, theirs
from tests.bench.joint.child import Ran
from tests.bench.joint.cohort import Cohort, make
from tests.bench.joint.theirs import Theirs
from tests.bench.joint.vcf_sites import VcfSites, sites_of

FEW = {"samples": 12, "bases": 32768, "seed": 9}
"""Enough that all code runs: ten called samples and more bring further annotations."""
EVERY = 10
"""Each tenth person is among those added later: their names stand between the others'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """`stretch_bp`: what GATK gets of the window's `bases`, which our side is timed on too; 0: no GATK."""

    samples: int
    bases: int
    stretch_bp: int

    def __str__(self) -> str:
        return f"{self.samples:,} x {self.bases / 1000:g} kb"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One process of our side. `ran` is all of it, the rest its work alone."""

    ran: Ran
    cpu_s: float
    wall_s: float
    peak_bytes: int
    split: dict[str, float]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One round over the stretch, both sides; `columns` leaves genotypes in columns."""

    theirs: Theirs
    imported: Step
    dense: Step
    columns: Step
    sites: VcfSites


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """A tenth of the people joins the others' batches: `imported` is of their gVCFs, `columns` of everyone."""

    imported: Step
    columns: Step
    same: bool
    """Every record is as from scratch, byte by byte."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Of one scale: our side over the whole window; the rounds over the stretch; adding a tenth."""

    scale: Scale
    cohort: Cohort
    imported: Step
    dense: Step
    columns: Step
    sites: VcfSites
    pairs: list[Pair] = field(default_factory=list)
    added: Added | None = None


class Bench:
    """`folder` holds all files; `level` is of every VCF.gz."""

    def __init__(self, *, folder: Path, level: int, seed: int) -> None:
        self._folder, self._level, self._seed = folder, level, seed
        self._few = folder / "few"
        few = make(self._few, **FEW)
        # compiled in a process that nobody measures: the compiler takes more memory than the work does
        self._ours(few, range(len(few.names)), few.bases, folder / "compiled")

    def measure(self, scale: Scale, *, rounds: int, tell: Any) -> Measured:
        """`tell` takes a line of text before each part."""
        folder = self._folder / f"{scale.samples}x{scale.bases}"
        tell(f"{scale}: making gVCFs")
        cohort = make(folder / "cohort", samples=scale.samples, bases=scale.bases, seed=self._seed)
        everyone = list(range(scale.samples))
        tell(f"{scale}: import and genotypes of the whole window")
        imported, dense, columns, sites = self._ours(cohort, everyone, scale.bases, folder / "ours")
        tell(f"{scale}: a tenth is added to the others")
        measured = Measured(
            scale=scale,
            cohort=cohort,
            imported=imported,
            dense=dense,
            columns=columns,
            sites=sites,
            added=self._added(cohort, folder / "added", sites) if scale.samples >= EVERY else None,
        )
        for number in range(1, rounds + 1) if scale.stretch_bp else ():
            tell(f"{scale}: round {number}, both sides over {scale.stretch_bp:,} bases")
            mine = self._ours(cohort, everyone, scale.stretch_bp, folder / "stretch")
            gatk = theirs.measure(
                gvcfs=cohort.gvcfs,
                reference=cohort.reference,
                region=cohort.region(scale.stretch_bp),
                half=cohort.region(scale.stretch_bp // 2),
                one_base=cohort.region(1),
                level=self._level,
                scratch=folder / "gatk",
            )
            measured.pairs.append(Pair(theirs=gatk, imported=mine[0], dense=mine[1], columns=mine[2], sites=mine[3]))
        shutil.rmtree(folder)
        return measured

    def _ours(
        self, cohort: Cohort, people: Sequence[int], bases: int, folder: Path
    ) -> tuple[Step, Step, Step, VcfSites]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        store, out = folder / "store", folder / "joint.vcf.gz"
        given = {"cohort": str(cohort.folder), "store": str(store), "bases": bases}
        imported = self._step("import", given | {"people": list(people)}, folder)
        dense = self._step("genotype", given | {"out": str(out), "level": self._level}, folder)
        columns = self._step("genotype", given | {"out": None, "level": self._level}, folder)
        return imported, dense, columns, sites_of(out)

    def _added(self, cohort: Cohort, folder: Path, scratch: VcfSites) -> Added:
        folder.mkdir(parents=True)
        given = {"cohort": str(cohort.folder), "store": str(folder / "store"), "bases": cohort.bases}
        people = range(len(cohort.names))
        self._step("import", given | {"people": [one for one in people if one % EVERY != EVERY - 1]}, folder)
        imported = self._step("import", given | {"people": [one for one in people if one % EVERY == EVERY - 1]}, folder)
        columns = self._step("genotype", given | {"out": None, "level": self._level}, folder)
        out = folder / "joint.vcf.gz"
        self._step("genotype", given | {"out": str(out), "level": self._level}, folder)
        return Added(imported=imported, columns=columns, same=sites_of(out).records == scratch.records)

    def _step(self, step: str, given: dict[str, Any], folder: Path) -> Step:
        document = folder / f"{step}.json"
        document.write_text(json.dumps(given | {"few": str(self._few)}))
        ran = child.run([sys.executable, "-m", "tests.bench.joint.ours", step, document], log=folder / f"{step}.log")
        told = json.loads(ran.said.splitlines()[-1])
        return Step(
            ran=ran,
            cpu_s=told["work_cpu_s"],
            wall_s=told["work_wall_s"],
            peak_bytes=told["peak_bytes"],
            split=told["split"],
            counts=told["counts"],
        )
