"""Names from outside on their way into object keys, URIs, cohorts and commands."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.errors import Rejected, Rejection
from chassis.settings import StoreSettings
from chassis.storage import keys, uris
from chassis.storage.open import open_store
from console.commands_out import account_name, command
from console.labels import KEY, Labels
from contracts.events import CohortFreezeRequested, SampleTagRequested, SampleVerdictRequested, Selection
from contracts.values import Actor, ActorKind, Artifact, ArtifactKind, ReferenceId
from services.ingest.ids import NAME
from services.jointcall.selection import Candidate, Chosen, choose
from tests.fuzz.broken import NASTY
from tests.fuzz.judged import fuzzed, good, judged

BASE = "s3://bucket/prefix"
NASTY_TEXT = [word.decode("utf-8", "replace") for word in NASTY]
ANY = st.one_of(
    st.text(max_size=40),
    st.sampled_from(NASTY_TEXT),
    st.lists(
        st.sampled_from(["a", "b.c", "..", ".", "", "%2e%2e", "-x", "landing", "/", "\\", "_", "é"]), max_size=6
    ).map("/".join),
)


@fuzzed
@given(ANY)
@example("a" * 200 + "/" + "b" * 600)
def test_an_object_key_is_plain_or_refused(text: str) -> None:
    found = judged(lambda: keys.checked(text))
    if isinstance(found, str):
        assert not any(part in ("", ".", "..") or part.startswith("-") for part in found.split("/"))
    elif len(text) > 12:
        assert text not in str(found)
    judged(lambda: keys.checked_prefix(text))
    slug = keys.slug(text)
    assert keys.checked(slug) == slug
    assert "/" not in slug
    judged(lambda: keys.attempt_of(text))


@fuzzed
@given(ANY, ANY, ANY)
def test_parts_of_keys_stay_in_their_place(run: str, sample: str, name: str) -> None:
    for key in (
        judged(lambda: keys.landing(run=run, sample=sample, name=name)),
        judged(lambda: keys.run_file(run=run, name=name)),
        judged(lambda: keys.released(cohort=run, freeze=1, name=name)),
        judged(lambda: keys.reference_name(name=name)),
        judged(lambda: keys.manifest(sha256=name)),
        judged(lambda: keys.reference(digest=run, name=name)),
    ):
        if isinstance(key, str):
            assert key.split("/")[0] in keys.ZONES
            assert ".." not in key.split("/")
            assert keys.checked(key) == key


@fuzzed
@given(st.one_of(ANY, ANY.map(lambda text: f"{BASE}/{text}"), ANY.map(lambda text: f"s3://other/{text}")))
def test_a_uri_is_of_this_store_or_refused(text: str) -> None:
    key = judged(lambda: uris.key_in(BASE, text))
    if isinstance(key, str):
        assert uris.key_in(BASE, uris.uri_of(BASE, key)) == key
    try:
        Artifact(kind=ArtifactKind.log, id="0" * 64, uri=text, size=0)
    except ValueError as error:
        assert not isinstance(error, Rejected)


@fuzzed
@given(ANY)
async def test_a_store_is_opened_or_refused(text: str) -> None:
    if text.startswith("file:///") or (text.startswith("s3://") and len(text) > 7):
        return
    try:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(open_store(StoreSettings(base=text)))
    except Rejected as rejected:
        good(rejected.rejection)
    else:
        pytest.fail("a store of no known form was opened")


def refused_command(model: type, **fields: object) -> None:
    asked = judged(lambda: command(model, **fields))
    if isinstance(asked, Rejection):
        assert asked.code in {"COMMAND_VALUE", "PHI_SUSPECTED"}
        assert not any(str(value) in str(asked) for value in fields.values() if len(str(value)) > 30)


@fuzzed
@given(ANY, ANY, st.lists(st.one_of(ANY, st.just("smp_" + "0" * 24)), max_size=3), st.one_of(st.none(), ANY))
def test_a_command_is_made_or_refused(cohort: str, reason: str, samples: list[str], tag: str | None) -> None:
    refused_command(CohortFreezeRequested, cohort=cohort, selection=Selection(how="all"), reason=reason)
    refused_command(SampleTagRequested, sample="smp_" + "0" * 24, tag=tag or "", present=True)
    refused_command(SampleVerdictRequested, sample=(samples or [cohort])[0], verdict="pass", reason=reason)
    for how in ("all", "list", "tag", cohort):
        refused_command(CohortFreezeRequested, cohort="c", selection={"how": how, "samples": samples, "tag": tag})


@fuzzed
@given(ANY)
def test_an_account_is_always_a_name(account: str) -> None:
    assert NAME.fullmatch(account_name(account))
    Actor(kind=ActorKind.person, name=account_name(account))


ROWS = [{"key": f"smp_{n:024x}", "project": f"P{n % 2}", "label": f"S{n // 2}", "version": 1} for n in range(6)]


@fuzzed
@given(st.one_of(ANY, st.sampled_from(["S0", "P0/S0", ROWS[0]["key"], "smp_" + "f" * 24, "S", "/", "P0/"])))
def test_a_sample_is_resolved_or_refused(named: str) -> None:
    found = judged(lambda: Labels(ROWS).resolve(named))
    assert isinstance(found, Rejection) or KEY.fullmatch(found)


KEYS = st.integers(0, 4).map(lambda n: f"smp_{n:024x}")
CANDIDATES = st.builds(
    Candidate,
    key=KEYS,
    version=st.integers(1, 2),
    gvcf=st.just({}),
    reference=st.sampled_from([ReferenceId(name="r", digest=digit * 32) for digit in "ab"]),
    pipeline=st.sampled_from(["p", "q"]),
    verdict=st.sampled_from(["pass", "fail", "hold"]),
    override=st.sampled_from([None, "pass", "hold"]),
    withdrawn=st.booleans(),
)


@fuzzed
@given(
    st.lists(CANDIDATES, max_size=6, unique_by=lambda one: one.key),
    st.one_of(st.none(), st.lists(KEYS, max_size=5, unique=True)),
    st.sampled_from(["all", "list", "tag"]),
)
def test_a_selection_is_chosen_or_refused(candidates: list[Candidate], named: list[str] | None, how: str) -> None:
    selection = Selection.model_construct(how=how, samples=tuple(named or ()), tag="t")
    offered = candidates if named is None else [one for one in candidates if one.key in named]
    found = choose(selection, offered, named=named, where=f"freeze {uuid.UUID(int=0)}")
    if isinstance(found, Chosen):
        assert found.samples
        assert all(one.may_join and one.reference == found.reference for one in found.samples)
        assert list(found.samples) == sorted(found.samples, key=lambda one: one.key)
    else:
        good(found)
