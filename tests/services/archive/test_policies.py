"""Policies are data: what is odd in them is refused before anything is moved by them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from chassis.errors import Rejected
from contracts.values import ArtifactKind
from services.archive.guards import GUARDS
from services.archive.policies import DEMO, PROOF, Rules, load_rules
from services.archive.prices import PURGE, coldness, saving


def rules_of(tmp_path: Path, text: str) -> Rules:
    path = tmp_path / "policies.toml"
    path.write_text(text, encoding="utf-8")
    return load_rules(path)


def refusal(tmp_path: Path, text: str) -> Rejected:
    with pytest.raises(Rejected) as refused:
        rules_of(tmp_path, text)
    return refused.value


@pytest.mark.parametrize("path", [None, DEMO])
def test_the_policies_that_come_with_the_package_are_sound(path: Path | None) -> None:
    rules = load_rules(path)
    assert rules.policies
    for policy in rules.policies:
        assert set(policy.guards) <= GUARDS.keys()
        if policy.storage_class is not None:
            assert policy.storage_class in rules.prices


def test_only_the_demo_leaves_small_objects_in() -> None:
    assert not any("minimum-size" in policy.guards for policy in load_rules(DEMO).policies)
    moves = [policy for policy in load_rules().policies if not policy.purge]
    assert all("minimum-size" in policy.guards for policy in moves)


def test_a_policy_is_read_with_its_age_and_kinds(tmp_path: Path) -> None:
    text = '[[policy]]\nname = "p"\nkind = ["vcf", "sites_vcf"]\nafter = "12h"\nstorage_class = "GLACIER"\n'
    [policy] = rules_of(tmp_path, text).policies
    assert policy.kind == (ArtifactKind.vcf, ArtifactKind.sites_vcf)
    assert policy.after == timedelta(hours=12)
    assert policy.action == "GLACIER"


def test_a_sites_own_prices_replace_the_examples_one_by_one(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, "[prices.GLACIER]\nper_gb_month = 0.5\n")
    assert rules.prices["GLACIER"].per_gb_month == 0.5
    assert rules.prices["STANDARD"] == load_rules().prices["STANDARD"]


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ('storage_clas = "GLACIER"', "CONFIG_UNKNOWN", "storage_class"),
        ('storage_class = "FREEZER"', "CONFIG_VALUE", "storage_class"),
        ('storage_class = "GLACIER"\npurge = true', "CONFIG_VALUE", "either"),
        ("", "CONFIG_VALUE", "either"),
        ('storage_class = "GLACIER"\nafter = "a month"', "CONFIG_VALUE", "age"),
        ('storage_class = "GLACIER"\nguards = ["no-holds"]', "CONFIG_VALUE", "guards"),
        ('storage_class = "GLACIER', "CONFIG_SYNTAX", "line 4"),
    ],
)
def test_what_is_odd_is_refused(tmp_path: Path, line: str, code: str, says: str) -> None:
    rejection = refusal(tmp_path, f'[[policy]]\nname = "p"\nkind = "fastq"\n{line}\n').rejection
    assert rejection.code == code
    assert says in f"{rejection.message} {rejection.fix}"


@pytest.mark.parametrize("kind", [kind for kind in ArtifactKind if kind not in PROOF])
def test_what_nothing_replaces_cannot_be_purged_by_any_policy(tmp_path: Path, kind: ArtifactKind) -> None:
    text = f'[[policy]]\nname = "p"\nkind = "{kind.value}"\npurge = true\n'
    assert "nothing that is kept replaces" in refusal(tmp_path, text).rejection.message


def test_the_proof_of_a_purge_holds_though_the_policy_does_not_name_it(tmp_path: Path) -> None:
    [policy] = rules_of(tmp_path, '[[policy]]\nname = "p"\nkind = "fastq"\npurge = true\n').policies
    assert policy.guards_for(ArtifactKind.fastq) == ("cram-verified-fingerprint", "no-hold")


def test_one_name_stands_for_one_policy(tmp_path: Path) -> None:
    one = '[[policy]]\nname = "p"\nkind = "fastq"\nstorage_class = "GLACIER"\n'
    assert "stands twice" in refusal(tmp_path, one + one).rejection.message


def test_colder_is_cheaper_for_a_large_object_and_dearer_for_a_small_one() -> None:
    prices = load_rules().prices
    assert coldness("STANDARD") < coldness("GLACIER_IR") < coldness("DEEP_ARCHIVE") < coldness(PURGE)
    large = saving(prices, size=1 << 30, tier="STANDARD", action="GLACIER")
    small = saving(prices, size=1 << 10, tier="STANDARD", action="GLACIER")
    assert large == pytest.approx(0.023 - 0.0036, rel=0.01)
    assert small is not None
    assert small < 0
    assert saving(prices, size=1 << 30, tier="STANDARD", action=PURGE) == 0.023
    assert saving(prices, size=None, tier="STANDARD", action=PURGE) is None
