"""Values check themselves when they are made."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from contracts import values
from contracts.events import CohortFrozen, RunCompleted, SampleWithdrawn, Selection
from contracts.generate import schemas
from contracts.values import Artifact, Interval, ReferenceId, Value

SHA = hashlib.sha256(b"content").hexdigest()


def codes(refused: pytest.ExceptionInfo[ValidationError]) -> list[str]:
    return [problem["type"] for problem in refused.value.errors()]


@given(length=st.integers(1, 10**9), start=st.integers(-5, 10**9), end=st.integers(-5, 10**9))
def test_an_interval_lies_inside_its_contig(length: int, start: int, end: int) -> None:
    inside = 1 <= start <= end <= length
    try:
        interval = Interval(contig="chr1", start=start, end=end, contig_length=length)
    except ValidationError:
        assert not inside
    else:
        assert inside
        assert interval.length == end - start + 1


@pytest.mark.parametrize(("start", "end"), [(20, 10), (1, 101)])
def test_bad_bounds_are_refused_by_their_code(start: int, end: int) -> None:
    with pytest.raises(ValidationError, match="INTERVAL_BOUNDS") as refused:
        Interval(contig="chr1", start=start, end=end, contig_length=100)
    assert codes(refused) == ["INTERVAL_BOUNDS"]


def test_interval_slugs_are_safe_and_sort_by_position() -> None:
    slugs = [Interval(contig="HLA:A*01/2", start=s, end=s + 9, contig_length=3000).slug for s in (9, 100, 2000)]
    assert slugs == sorted(slugs)
    assert all(c.isalnum() or c in "._-" for slug in slugs for c in slug)


@pytest.mark.parametrize(
    "key", ["NA12878", "smp_" + "g" * 24, "smp_" + "a" * 23, "SMP_" + "a" * 24, "smp_" + "a" * 24 + "\n", ""]
)
def test_sample_keys_follow_their_pattern(key: str) -> None:
    with pytest.raises(ValidationError):
        SampleWithdrawn(sample=key, service="align")


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("s3://bucket/a/../b", "UNSAFE_PATH"),
        ("s3://bucket/..", "UNSAFE_PATH"),
        ("file:///srv/store/%2e%2e/other", "UNSAFE_PATH"),
        ("file:///srv/store/..%2fother", "UNSAFE_PATH"),
        ("s3://bucket/a b", "string_pattern_mismatch"),
        ("s3://bucket/a\x00b", "string_pattern_mismatch"),
        ("s3://bucket/a\x7fb", "string_pattern_mismatch"),
        ("s3://bucket/a\n", "string_pattern_mismatch"),
        ("s3://bucket/a?versionId=1", "string_pattern_mismatch"),
        ("https://bucket/a", "string_pattern_mismatch"),
        ("/etc/passwd", "string_pattern_mismatch"),
        ("s3://bucket/" + "a" * 1024, "string_too_long"),
    ],
)
@pytest.mark.parametrize("where", ["artifact", "manifest"])
def test_uris_are_safe_to_make_paths_of(uri: str, code: str, where: str) -> None:
    with pytest.raises(ValidationError) as refused:
        if where == "artifact":
            Artifact(kind=values.ArtifactKind.cram, id=SHA, uri=uri, size=1)
        else:
            values.ManifestRef(uri=uri, sha256=SHA, entries=1)
    assert codes(refused) == [code]


def test_two_dots_within_a_name_are_no_step_up() -> None:
    assert Artifact(kind=values.ArtifactKind.cram, id=SHA, uri="s3://b/a..b/c..", size=1).uri.endswith("c..")


@given(st.characters(max_codepoint=0x1F) | st.just("\x7f"))
def test_text_holds_no_control_characters(control: str) -> None:
    text = TypeAdapter(values.Text)
    for at in (control, f"a{control}", f"{control}a", f"a{control}b"):
        with pytest.raises(ValidationError):
            text.validate_python(at)


@pytest.mark.parametrize("name", ["-rf", ".hidden", "a/b", "a b", "", "=cmd()", "a\n", "é"])
def test_names_are_safe_in_keys_files_and_command_lines(name: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(values.Name).validate_python(name)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_has_no_word_for_are_refused(number: float) -> None:
    class Depth(Value):
        mean: float

    with pytest.raises(ValidationError):
        Depth(mean=number)


def test_a_reference_is_its_sequences_whatever_it_is_called() -> None:
    digest = SHA[:32]
    one, other = ReferenceId(name="GRCh38", digest=digest), ReferenceId(name="hg38", digest=digest)
    assert one.same_build(other)
    assert not one.same_build(ReferenceId(name="GRCh38", digest=SHA[32:]))


@pytest.mark.parametrize(
    ("selection", "code"),
    [
        ({"how": "list"}, "SELECTION"),
        ({"how": "tag"}, "SELECTION"),
        ({"how": "all", "tag": "spring"}, "SELECTION"),
        ({"how": "list", "samples": ["smp_" + "a" * 24] * 2}, "COHORT_DUPLICATE"),
    ],
)
def test_a_selection_says_one_thing(selection: dict[str, Any], code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Selection.model_validate(selection)
    assert codes(refused) == [code]


def test_a_freeze_belongs_to_its_cohort() -> None:
    frozen = CohortFrozen.model_validate(schemas.example("cohort.frozen"))
    for wrong in ({"cohort": "other"}, {"number": frozen.number + 1}, {"freeze": "northern-isles:02"}):
        with pytest.raises(ValidationError):
            CohortFrozen.model_validate({**frozen.model_dump(), **wrong})


def test_parts_of_a_run_are_numbered_to_their_count() -> None:
    body = schemas.example("run.completed")
    with pytest.raises(ValidationError, match="PART_NUMBER"):
        RunCompleted.model_validate({**body, "part": 3, "parts": 2})


def test_values_are_frozen_and_producers_strict() -> None:
    event = SampleWithdrawn(sample="smp_" + "a" * 24, service="align")
    with pytest.raises(ValidationError, match="frozen"):
        event.service = "vqsr"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        SampleWithdrawn(sample="smp_" + "a" * 24, service="align", servcie="vqsr")  # type: ignore[call-arg]


def test_every_shared_value_is_frozen_and_documented() -> None:
    models = [
        v for v in vars(values).values() if isinstance(v, type) and issubclass(v, BaseModel) and v is not BaseModel
    ]
    assert len(models) > 10
    for model in models:
        assert model.model_config["frozen"] is True
        assert model.__doc__
