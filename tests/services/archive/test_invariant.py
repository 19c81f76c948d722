"""I4: whatever order facts, comparisons, condemnations and acts come in, no read is ever lost.

The model knows what each object really holds; the archive knows only what events say. The property is about the model:
the reads of every FASTQ that ever arrived are, at all times, in some object that is still there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from contracts.values import ArtifactKind
from services.archive.facts import Check, Cram, Facts, Lane, Recorded, State
from services.archive.guards import Case
from services.archive.lineage import Lineage
from services.archive.plan import decide, plan, unmet, unverified
from services.archive.policies import Policy, load_rules
from services.archive.standing import replacing

T0 = datetime(2026, 1, 1, tzinfo=UTC)
PRICES = load_rules().prices
S = "smp_" + "1" * 24
POLICIES = tuple(
    Policy.model_validate({"name": f"purge-{kind}", "kind": kind, "purge": True}) for kind in ("fastq", "cram")
)
Reads = frozenset[str]


def fingerprint_of(reads: Iterable[str]) -> str:
    return hashlib.sha256("|".join(sorted(reads)).encode()).hexdigest()


@dataclass
class World:
    """`holds`: object -> the reads really in it, while it lies in the store. `arrived`: reads of all FASTQs so far."""

    holds: dict[str, Reads] = field(default_factory=dict)
    arrived: set[str] = field(default_factory=set)
    lanes: list[Lane] = field(default_factory=list)
    crams: list[Cram] = field(default_factory=list)
    artifacts: dict[str, Recorded] = field(default_factory=dict)
    condemned: list[tuple[str, Policy]] = field(default_factory=list)
    contents: dict[str, Reads] = field(default_factory=dict)
    purged: list[ArtifactKind] = field(default_factory=list)

    def facts(self) -> Facts:
        crams = tuple(replace(cram, kept=self._kept(cram.id)) for cram in self.crams)
        return Facts(artifacts=tuple(self.artifacts.values()), lanes=tuple(self.lanes), crams=crams, prices=PRICES)

    def _kept(self, id: str) -> bool:
        return id in self.artifacts and self.artifacts[id].state is State.stored

    def record(self, id: str, kind: ArtifactKind, reads: Reads) -> None:
        self.contents[id] = reads
        self.holds[id] = reads
        self.artifacts[id] = Recorded(
            id=id, uri=f"s3://b/{id}", kind=kind, stage="x", subject=S, recorded_at=T0, tier_since=T0, size=1
        )

    def lane_arrives(self, lane: Lane) -> None:
        self.lanes.append(lane)
        for file in (lane.r1, lane.r2):
            reads = frozenset({f"read-of-{file}"})
            self.record(file, ArtifactKind.fastq, reads)
            self.arrived |= reads

    def cram_arrives(self, cram: Cram, reads: Reads) -> None:
        self.crams.append(cram)
        self.record(cram.id, ArtifactKind.cram, reads)

    def compare(self) -> None:
        facts = self.facts()
        lineage = Lineage(facts)
        for cram in unverified(facts, POLICIES):
            files = lineage.files_of(cram)
            sequenced = frozenset(read for file in files for read in self.contents[file])
            check = Check.agrees if fingerprint_of(sequenced) == cram.fingerprint else Check.differs
            place = next(n for n, one in enumerate(self.crams) if one.id == cram.id)
            self.crams[place] = replace(self.crams[place], check=check, compared=files)

    def condemn(self) -> None:
        for planned in decide(plan(self.facts(), POLICIES, T0 + timedelta(days=1))):
            id = planned.artifact.id
            self.artifacts[id] = replace(self.artifacts[id], state=State.condemned)
            self.condemned.append((id, next(p for p in POLICIES if p.name == planned.policy)))

    def act(self, which: int) -> None:
        if not self.condemned:
            return
        id, policy = self.condemned.pop(which % len(self.condemned))
        artifact = replace(self.artifacts[id], state=State.stored)
        facts = self.facts()
        lineage = Lineage(facts)
        case = Case(artifact=artifact, policy=policy, lineage=lineage, now=T0 + timedelta(days=1))
        proofs = replacing(artifact, policy, lineage)
        if unmet(case) or not proofs or not all(self._kept(cram) for cram in proofs):
            self.artifacts[id] = artifact
            return
        self.purged.append(artifact.kind)
        self.artifacts[id] = replace(artifact, state=State.purged)
        del self.holds[id]

    def check(self) -> None:
        there = {read for reads in self.holds.values() for read in reads}
        assert self.arrived <= there, f"lost {sorted(self.arrived - there)}"


LANES = (
    Lane(sample=S, version=1, read_group="A", r1="a1", r2="a2"),
    Lane(sample=S, version=1, read_group="B", r1="b1", r2="b2"),
    Lane(sample=S, version=1, read_group="A", r1="rerun1", r2="rerun2"),
    Lane(sample=S, version=2, read_group="C", r1="c1", r2="c2"),
    Lane(sample=S, version=2, read_group="A", r1="again1", r2="again2"),
)


@st.composite
def crams(draw: st.DrawFn) -> tuple[tuple[Cram, Reads], ...]:
    """One to three CRAMs of versions 1 to 3. Each adds lanes to the one before, as a top-up does, or takes a rerun's
    files in a lane's place; some are damaged."""
    made = []
    taken: dict[str, Lane] = {}
    for version in range(1, draw(st.integers(1, 3)) + 1):
        known = [lane for lane in LANES if lane.version <= version]
        for lane in draw(st.lists(st.sampled_from(known), min_size=0 if taken else 1, max_size=2)):
            taken[lane.read_group] = lane
        reads = frozenset(f"read-of-{file}" for lane in taken.values() for file in lane.files)
        if draw(st.integers(0, 2)) == 0:
            reads = frozenset(sorted(reads)[1:])  # align lost one, and its fingerprint says so
        cram = cram_of(version, reads, "".join(taken))
        made.append((cram, reads))
    return tuple(made)


ROUNDS = st.lists(
    st.tuples(st.integers(0, 3), st.booleans(), st.booleans(), st.lists(st.integers(0, 9), max_size=6)), max_size=6
)
LAST = (99, True, True, [0] * 12)
"""In the end every fact has come, and the archive has its way."""


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    made=crams(),
    rounds=ROUNDS,
    order=st.randoms(use_true_random=False),
    lanes=st.sets(st.sampled_from(LANES), min_size=1, max_size=3),
)
def test_no_order_of_facts_and_acts_loses_a_read(
    made: tuple[tuple[Cram, Reads], ...],
    rounds: list[tuple[int, bool, bool, list[int]]],
    order: Random,
    lanes: set[Lane],
) -> None:
    world = World()
    to_come: list[Lane | tuple[Cram, Reads]] = [*sorted(lanes, key=lambda lane: lane.r1), *made]
    order.shuffle(to_come)
    for facts, compares, condemns, acts in [*rounds, LAST, LAST]:
        for _ in range(min(facts, len(to_come))):
            match to_come.pop():
                case Lane() as lane:
                    world.lane_arrives(lane)
                case (cram, reads):
                    world.cram_arrives(cram, reads)
        if compares:
            world.compare()
        if condemns:
            world.condemn()
        for which in acts:
            world.act(which)
            world.check()
    event(f"purged {len(world.purged)}, CRAMs among them: {ArtifactKind.cram in world.purged}")


def cram_of(version: int, reads: Reads, read_groups: str = "A") -> Cram:
    return Cram(
        id=f"cram{version}",
        crai=f"crai{version}",
        sample=S,
        version=version,
        read_groups=frozenset(read_groups),
        fingerprint=fingerprint_of(reads),
        recorded_at=T0,
        kept=True,
    )


def let_it_work(world: World) -> None:
    world.compare()
    world.condemn()
    for _ in range(6):
        world.act(0)
        world.check()


def test_the_model_does_purge_where_everything_is_proven() -> None:
    """The property above would hold of an archive that never acts; this one does."""
    world = World()
    reads = frozenset({"read-of-a1", "read-of-a2"})
    world.lane_arrives(LANES[0])
    world.cram_arrives(cram_of(1, reads), reads)
    let_it_work(world)
    assert world.holds.keys() == {"cram1"}


def test_a_damaged_top_up_does_not_replace_the_cram_that_purged_fastqs_rest_on() -> None:
    world = World()
    reads = frozenset({"read-of-a1", "read-of-a2"})
    world.lane_arrives(LANES[0])
    world.cram_arrives(cram_of(1, reads), reads)
    let_it_work(world)
    damaged = reads - {"read-of-a1"}
    world.cram_arrives(cram_of(2, damaged), damaged)
    let_it_work(world)
    assert world.holds.keys() == {"cram1", "cram2"}
    world.cram_arrives(cram_of(3, reads), reads)
    let_it_work(world)
    assert world.holds.keys() == {"cram3"}, "a whole one replaces both"
