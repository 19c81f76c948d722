from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Rejected
from chassis.storage import keys, uris

SAMPLE = "smp_" + "0" * 24
ODD = st.text(st.sampled_from("ab.~/\\ \n\0%:-_é*?'=+@,"), max_size=12) | st.text(max_size=12)


def stays_inside(key: str) -> bool:
    parts = PurePosixPath("/base", key).parts
    return parts[:2] == ("/", "base") and len(parts) > 2 and not {"..", "."} & set(key.split("/")) and "\0" not in key


def test_the_layout() -> None:
    assert keys.landing(run="r1", sample=SAMPLE, name="a_R1_001.fastq.gz") == f"landing/r1/{SAMPLE}/a_R1_001.fastq.gz"
    attempt = keys.attempt(service="align", task_key="align:x:1", incarnation=2, epoch=3)
    assert attempt.key("chunks/0.bam") == f"working/align/{keys.slug('align:x:1')}/2-3/chunks/0.bam"
    assert attempt.key("x").startswith(keys.task_prefix(service="align", task_key="align:x:1") + "/")
    assert keys.released(cohort="c", freeze=2, name="chr1.vcf.gz") == "released/c/2/chr1.vcf.gz"
    assert keys.manifest(sha256="a" * 64) == f"working/manifests/{'a' * 64}.json"
    assert keys.reference(digest="b" * 32, name="s/x.fa") == f"reference/{'b' * 32}/s/x.fa"
    assert keys.reference_name(name="GRCh38") == "reference/names/GRCh38.json"
    assert keys.run_file(run="r1", name="SampleSheet.csv") == "landing/r1/SampleSheet.csv"


def test_an_attempt_is_found_in_its_keys() -> None:
    attempt = keys.attempt(service="jointcall", task_key="t 1", incarnation=1, epoch=12)
    assert keys.attempt_of(attempt.key("a/b")) == attempt
    assert keys.attempt_of(keys.manifest(sha256="a" * 64)) is None
    # a cohort may be called as an attempt is
    shared = keys.columns(service="jointcall", cohort="1-2", interval="1-3") + "/objects/x"
    assert keys.attempt_of(shared) is None and keys.of_columns(shared)
    assert not keys.of_columns(attempt.key("a/b"))
    assert keys.attempt_of("released/c/1/x") is None


@given(ODD)
def test_a_checked_key_never_leaves_the_base(text: str) -> None:
    try:
        key = keys.checked(text)
    except Rejected as refused:
        assert refused.rejection.code == "UNSAFE_PATH"
        # a file name may name a person: it is not echoed
        assert not text.strip() or len(text) < 4 or text not in str(refused)
    else:
        assert key == text
        assert stays_inside(key)


@given(run=ODD, sample=ODD, name=ODD)
def test_no_part_reaches_into_another(run: str, sample: str, name: str) -> None:
    try:
        key = keys.landing(run=run, sample=sample, name=name)
    except Rejected:
        return
    assert key.split("/") == ["landing", run, sample, name]


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_slugs_are_safe_and_tell_texts_apart(one: str, other: str) -> None:
    assert keys.checked(keys.slug(one)) == keys.slug(one)
    assert "/" not in keys.slug(one)
    assert (keys.slug(one) == keys.slug(other)) == (one == other)


@given(ODD)
def test_a_uri_and_its_key_are_one_thing(text: str) -> None:
    for base in ("s3://bucket", "s3://bucket/site", "file:///srv/store"):
        try:
            uri = uris.uri_of(base, text)
        except Rejected:
            with pytest.raises(Rejected):
                uris.key_in(base, f"{base}/{text}")
        else:
            assert uris.key_in(base, uri) == text


@given(st.sampled_from(["s3", "file", "http", "S3"]), ODD)
def test_a_uri_outside_the_base_is_forbidden(scheme: str, rest: str) -> None:
    uri = f"{scheme}://{rest}"
    if not uri.startswith("s3://bucket/site/"):
        with pytest.raises(Rejected) as refused:
            uris.key_in("s3://bucket/site", uri)
        assert refused.value.rejection.code == "URI_FORBIDDEN"
