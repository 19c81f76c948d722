"""Each guard, one fact at a time: what is missing is said in words, and nothing goes without it. No database."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from contracts.values import ArtifactKind
from services.archive.facts import Check, Cram, Facts, Freeze, Gvcf, Hold, Lane, Recorded, State, Tiering
from services.archive.plan import Planned, decide, plan, unverified
from services.archive.policies import Policy, load_rules

T0 = datetime(2026, 1, 1, tzinfo=UTC)
LATER = T0 + timedelta(days=400)
PRICES = load_rules().prices
S = "smp_" + "1" * 24


def recorded(id: str, kind: ArtifactKind, **more: object) -> Recorded:
    values: dict[str, object] = {
        "id": id,
        "uri": f"s3://b/{id}",
        "kind": kind,
        "stage": "align",
        "subject": S,
        "recorded_at": T0,
        "tier_since": T0,
        "size": 1 << 20,
    }
    return Recorded(**(values | more))  # type: ignore[arg-type]


FASTQ = recorded("r1", ArtifactKind.fastq, stage="ingest")
CRAM = recorded("c1", ArtifactKind.cram)
GVCF = recorded("g1", ArtifactKind.gvcf)
LANE = Lane(sample=S, version=1, read_group="A", r1="r1", r2="r2")
READY = Cram(
    id="c1",
    crai="x1",
    sample=S,
    version=1,
    read_groups=frozenset("A"),
    fingerprint="f" * 64,
    recorded_at=T0,
    kept=True,
)
PROVEN = replace(READY, check=Check.agrees, compared=frozenset({"r1", "r2"}))
CALLED = Gvcf(id="g1", index="t1", sample=S, version=1, passed=True, recorded_at=T0)
OPEN = Freeze(id="c:1", members=frozenset({"g1"}))
RELEASED = replace(OPEN, released_at=T0)
ALL = Facts(
    artifacts=(FASTQ, CRAM, GVCF), lanes=(LANE,), crams=(PROVEN,), gvcfs=(CALLED,), freezes=(RELEASED,), prices=PRICES
)


def policy(kind: str, *guards: str, **more: object) -> Policy:
    action = {} if "purge" in more else {"storage_class": "GLACIER"}
    return Policy.model_validate({"name": "p", "kind": kind, "guards": guards, **action, **more})


def verdict(facts: Facts, rule: Policy, artifact: Recorded, now: datetime = LATER) -> Planned:
    [planned] = [one for one in plan(facts, [rule], now) if one.artifact.id == artifact.id]
    return planned


FINGERPRINT = policy("fastq", "cram-verified-fingerprint", purge=True)


def test_a_fastq_goes_when_a_kept_cram_proves_it() -> None:
    assert verdict(ALL, FINGERPRINT, FASTQ).holds


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        (replace(ALL, lanes=()), "no run names it as a lane's FASTQ"),
        (replace(ALL, crams=()), "no CRAM holds its read group A yet"),
        (replace(ALL, crams=(READY,)), "the CRAM's fingerprint is not verified yet"),
        (
            replace(ALL, crams=(replace(PROVEN, check=Check.differs),)),
            "REFUSED: the CRAM's fingerprint differs from the FASTQs'",
        ),
        (
            replace(ALL, crams=(replace(PROVEN, check=Check.failed),)),
            "REFUSED: the CRAM's fingerprint could not be verified",
        ),
        (replace(ALL, crams=(replace(PROVEN, kept=False),)), "the verified CRAM is not kept"),
        (
            replace(ALL, crams=(replace(PROVEN, compared=frozenset({"o1", "o2"})),)),
            "no CRAM holds its read group A yet",
        ),
        (replace(ALL, holds=(Hold(artifact="r1", actor="ada", reason="audit"),)), "held by ada: audit"),
        (
            replace(ALL, lanes=(LANE, replace(LANE, sample="smp_" + "2" * 24))),
            "no CRAM holds its read group A yet",
        ),
    ],
)
def test_a_fastq_stays_and_the_plan_says_why(facts: Facts, why: str) -> None:
    assert verdict(facts, FINGERPRINT, FASTQ).why_not == (why,)


def test_a_rerun_that_arrives_late_does_not_borrow_the_proof_of_the_files_before_it() -> None:
    """The CRAM was compared with r1 and r2; the same read group's new pair was not in it."""
    rerun = Lane(sample=S, version=1, read_group="A", r1="z1", r2="z2")
    again = recorded("z1", ArtifactKind.fastq, stage="ingest")
    facts = replace(ALL, artifacts=(*ALL.artifacts, again), lanes=(LANE, rerun))
    assert verdict(facts, FINGERPRINT, FASTQ).holds
    assert not verdict(facts, FINGERPRINT, again).holds


def test_a_cram_is_compared_once_all_its_fastqs_are_known() -> None:
    two = replace(READY, read_groups=frozenset({"A", "B"}))
    other = Lane(sample=S, version=1, read_group="B", r1="b1", r2="b2")
    assert unverified(replace(ALL, crams=(two,)), [FINGERPRINT]) == ()
    assert unverified(replace(ALL, crams=(two,), lanes=(LANE, other)), [FINGERPRINT]) == (two,)
    assert unverified(ALL, [FINGERPRINT]) == ()
    assert unverified(replace(ALL, crams=(READY,)), [policy("fastq", "gvcf-passed")]) == (), "no policy asks for it"


@pytest.mark.parametrize(
    ("freezes", "why"),
    [
        ((OPEN,), "the open freeze c:1 needs its sample"),
        ((replace(OPEN, members=None),), "freeze c:1 is open and its manifest is not read yet"),
        ((replace(OPEN, members=frozenset()),), None),
        ((RELEASED,), None),
        ((replace(OPEN, failed=True),), None),
        ((RELEASED, replace(OPEN, id="c:2")), "the open freeze c:2 needs its sample"),
    ],
)
@pytest.mark.parametrize("artifact", [FASTQ, CRAM, GVCF])
def test_an_open_freeze_keeps_its_samples_files(
    freezes: tuple[Freeze, ...], why: str | None, artifact: Recorded
) -> None:
    rule = policy(artifact.kind.value, "not-referenced-by-open-freeze")
    assert verdict(replace(ALL, freezes=freezes), rule, artifact).why_not == ((why,) if why else ())


def test_an_open_freeze_keeps_what_it_made() -> None:
    calls = recorded("v1", ArtifactKind.vcf, stage="jointcall", subject="c:1")
    facts = replace(ALL, artifacts=(calls,), freezes=(replace(OPEN, members=frozenset()),))
    rule = policy("vcf", "not-referenced-by-open-freeze")
    assert verdict(facts, rule, calls).why_not == ("it belongs to the open freeze c:1",)
    assert verdict(facts, policy("vcf", "panel-released"), calls).why_not == ("no panel with it is released yet",)
    assert verdict(replace(facts, freezes=(RELEASED,)), policy("vcf", "panel-released"), calls).holds


def test_a_top_ups_reads_are_not_released_by_the_panel_before_it() -> None:
    lane = Lane(sample=S, version=2, read_group="B", r1="b1", r2="b2")
    newer = replace(
        PROVEN, id="c2", version=2, read_groups=frozenset("AB"), compared=frozenset({"r1", "r2", "b1", "b2"})
    )
    called = replace(CALLED, id="g2", version=2)
    more = recorded("b1", ArtifactKind.fastq, stage="ingest")
    facts = replace(ALL, artifacts=(FASTQ, more), lanes=(LANE, lane), crams=(PROVEN, newer), gvcfs=(CALLED, called))
    rule = policy("fastq", "panel-released")
    assert verdict(facts, rule, FASTQ).holds
    assert not verdict(facts, rule, more).holds


def test_a_gvcf_that_failed_keeps_its_fastqs() -> None:
    rule = policy("fastq", "gvcf-passed")
    failed = replace(ALL, gvcfs=(replace(CALLED, passed=False),))
    assert verdict(failed, rule, FASTQ).why_not == ("its gVCF did not pass quality control",)
    assert verdict(replace(ALL, gvcfs=()), rule, FASTQ).why_not == ("its gVCF is not called yet",)
    assert verdict(ALL, rule, FASTQ).holds


def test_an_old_cram_goes_only_when_a_newer_one_is_proven_to_hold_its_reads() -> None:
    rule = policy("cram", purge=True)
    assert not verdict(ALL, rule, CRAM).holds
    newer = replace(PROVEN, id="c2", version=2)
    assert verdict(replace(ALL, crams=(PROVEN, newer)), rule, CRAM).holds
    unproven = replace(newer, check=None, compared=frozenset())
    assert not verdict(replace(ALL, crams=(PROVEN, unproven)), rule, CRAM).holds
    fewer = replace(newer, compared=frozenset({"q1", "q2"}))
    assert not verdict(replace(ALL, crams=(PROVEN, fewer)), rule, CRAM).holds
    gone = replace(newer, kept=False)
    assert not verdict(replace(ALL, crams=(PROVEN, gone)), rule, CRAM).holds


def test_a_lane_bam_goes_when_the_newest_version_has_its_cram() -> None:
    bam = recorded("b", ArtifactKind.lane_bam, made_at=T0 - timedelta(hours=1))
    rule = policy("lane_bam", purge=True)
    facts = replace(ALL, artifacts=(bam,))
    assert verdict(facts, rule, bam).holds
    late = replace(bam, made_at=T0)
    assert not verdict(replace(facts, artifacts=(late,)), rule, late).holds
    top_up = Lane(sample=S, version=2, read_group="B", r1="b1", r2="b2")
    assert not verdict(replace(facts, lanes=(LANE, top_up)), rule, bam).holds, "the top-up's CRAM is to come"


def test_age_counts_from_the_event_or_from_the_recording() -> None:
    rule = policy("fastq", event="panel.released", after="30d")
    released = replace(ALL, freezes=(replace(RELEASED, released_at=T0 + timedelta(days=10)),))
    assert verdict(released, rule, FASTQ, T0 + timedelta(days=39)).why_not == ("due 2026-02-10 00:00 UTC",)
    assert verdict(released, rule, FASTQ, T0 + timedelta(days=40)).holds
    unreleased = replace(ALL, freezes=(OPEN,))
    assert verdict(unreleased, rule, FASTQ).why_not == ("panel.released has not happened to it",)
    plain = policy("fastq", after="30d")
    assert not verdict(ALL, plain, FASTQ, T0 + timedelta(days=29)).holds
    assert verdict(ALL, plain, FASTQ, T0 + timedelta(days=30)).holds


def test_small_objects_are_not_worth_moving() -> None:
    rule = policy("fastq", "minimum-size")
    for size, goes in ((131_071, False), (131_072, True)):
        fastq = replace(FASTQ, size=size)
        assert verdict(replace(ALL, artifacts=(fastq,)), rule, fastq).holds is goes
    unknown = replace(FASTQ, size=None)
    assert verdict(replace(ALL, artifacts=(unknown,)), rule, unknown).why_not == ("its size is not known",)


@pytest.mark.parametrize(("tier", "days"), [("GLACIER", 90), ("DEEP_ARCHIVE", 180)])
def test_what_is_billed_anyhow_may_as_well_stay(tier: str, days: int) -> None:
    cold = replace(FASTQ, tier=tier)
    rule = policy("fastq", "minimum-stay", purge=True)
    facts = replace(ALL, artifacts=(cold,))
    assert not verdict(facts, rule, cold, T0 + timedelta(days=days) - timedelta(seconds=1)).holds
    assert verdict(facts, rule, cold, T0 + timedelta(days=days)).holds
    careless = verdict(facts, policy("fastq", purge=True), cold, T0)
    assert careless.holds
    assert careless.note is not None
    assert "all the same" in careless.note


def test_a_store_without_tiers_says_so() -> None:
    facts = replace(ALL, tiering=Tiering(backend="none", said="the file:// store has no storage classes"))
    assert verdict(facts, policy("fastq"), FASTQ).why_not == ("the file:// store has no storage classes",)
    assert verdict(facts, FINGERPRINT, FASTQ).holds, "purging needs none"


def test_what_someone_reads_is_left_alone_until_then() -> None:
    wanted = replace(FASTQ, wanted_until=T0 + timedelta(days=7))
    facts = replace(ALL, artifacts=(wanted,))
    assert not verdict(facts, policy("fastq"), wanted, T0 + timedelta(days=6)).holds
    assert verdict(facts, policy("fastq"), wanted, T0 + timedelta(days=7)).holds


def test_an_object_never_gets_warmer_and_frozen_ones_do_not_move() -> None:
    glacier = replace(FASTQ, tier="GLACIER")
    facts = replace(ALL, artifacts=(glacier,))
    assert plan(facts, [policy("fastq", storage_class="GLACIER_IR"), policy("fastq")], LATER) == ()
    deeper = verdict(facts, policy("fastq", storage_class="DEEP_ARCHIVE"), glacier)
    assert "restored" in deeper.why_not[0]


def test_a_guard_that_knows_nothing_of_a_kind_refuses_it() -> None:
    report = recorded("x", ArtifactKind.report)
    facts = replace(ALL, artifacts=(report,))
    for guard in ("cram-verified-fingerprint", "cram-ready", "superseded"):
        assert verdict(facts, policy("report", guard), report).why_not == (
            f"the guard {guard} says nothing about a report",
        )


@pytest.mark.parametrize("state", [State.condemned, State.purged, State.missing])
def test_only_what_is_stored_is_planned(state: State) -> None:
    assert plan(replace(ALL, artifacts=(replace(FASTQ, state=state),)), [policy("fastq")], LATER) == ()


def test_of_two_policies_that_hold_the_colder_acts() -> None:
    warm = policy("fastq", storage_class="GLACIER_IR")
    planned = plan(replace(ALL, artifacts=(FASTQ,)), [warm, policy("fastq"), policy("fastq", after="9000d")], LATER)
    [chosen] = decide(planned)
    assert chosen.action == "GLACIER"
    assert chosen.saves_monthly is not None
    assert chosen.saves_monthly > 0
