"""Configuration: settings, archive policies, QC rules. Any file and any environment, a result or a rejection."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.errors import Rejection
from chassis.settings import ENV_PREFIX, Settings, known_keys, load
from console.template import rendered
from services.align import qc
from services.archive import policies
from tests.fuzz.broken import broken
from tests.fuzz.judged import fuzzed, judged

# every setting, with its default
CONFIG = re.sub(r"(?m)^# (?=[a-z_]+ = )", "", rendered(Path("/site"), reference=None)).encode()
POLICIES = policies.BUILT_IN.read_bytes()
QC_RULES = qc.BUILT_IN.read_bytes()
VARIABLES = [ENV_PREFIX + key.replace(".", "__").upper() for key in known_keys()]
DEEP = b"a = " + b"[" * 3000 + b"]" * 3000
SECRET = "hunter2-hunter2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("configuration")


def settings_judged(path: Path | None, environ: dict[str, str]) -> None:
    found = judged(lambda: load(path, environ=environ), withheld=(SECRET,))
    if isinstance(found, Settings):
        times = (found.worker.lease_seconds, found.worker.drain_seconds, found.archive.grace_seconds)
        assert all(map(math.isfinite, times))


@fuzzed
@given(broken(CONFIG))
@example(DEEP)
@example(b"kafka = 3\n")
@example(b"[worker]\nlease_seconds = inf\n")
@example(b"[archive]\ngrace_seconds = nan\n")
@example(b"\xff\xfe")
@example(b"[ledger]\ndsn = ['" + SECRET.encode() + b"']\n")
@example(b'"' + b"k" * 20_000 + b'" = 1\n')
def test_a_configuration_file_is_read_or_refused(folder: Path, content: bytes) -> None:
    path = folder / "cohortstream.toml"
    path.write_bytes(content)
    settings_judged(path, {})
    settings_judged(path, {"COHORTSTREAM_KAFKA__BOOTSTRAP": "127.0.0.1:1"})


def toml(document: dict[str, Any]) -> str:
    """A document of one level of tables; the values are written as they stand."""
    lines = [f"{key} = {value}" for key, value in document.items() if not isinstance(value, dict)]
    for name, table in document.items():
        if isinstance(table, dict):
            lines += [f"[{name}]", *(f"{key} = {value}" for key, value in table.items())]
    return "\n".join(lines)


LITERAL = st.one_of(
    st.sampled_from(
        ["1", "-1", "0", "1e400", "inf", "-nan", "true", '""', "'x'", "[]", "{}", "1979-05-27", "[1,['a']]", "9" * 5000]
    ),
    st.integers().map(str),
    st.floats(allow_nan=False).map(repr),
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=8).map(lambda t: "'" + t.replace("'", "") + "'"),
)
KEYS = st.one_of(st.sampled_from([key.rpartition(".")[2] for key in known_keys()]), st.sampled_from(["a", "'x.y'"]))
SECTIONS = st.sampled_from(sorted({key.split(".")[0] for key in known_keys()}))


@fuzzed
@given(st.dictionaries(SECTIONS, st.one_of(LITERAL, st.dictionaries(KEYS, LITERAL, max_size=3)), max_size=3))
def test_settings_of_other_types_are_read_or_refused(folder: Path, document: dict[str, Any]) -> None:
    path = folder / "typed.toml"
    path.write_text(toml(document), encoding="utf-8")
    settings_judged(path, {})


@fuzzed
@given(
    st.dictionaries(
        st.one_of(st.sampled_from(VARIABLES), st.text(max_size=8).map(lambda name: ENV_PREFIX + name), st.text()),
        st.one_of(st.text(max_size=20), st.sampled_from(["nan", "inf", "1e400", "9" * 5000, "[]", "{}", "a,b", ",,"])),
        max_size=4,
    )
)
@example({"COHORTSTREAM_" + "X" * 20_000: "1"})
@example({"COHORTSTREAM_CONFIG": "a\x00b"})
@example({"COHORTSTREAM_CONFIG": "/"})
@example({"COHORTSTREAM_CONFIG": "/" + "n" * 5000})
@example({"COHORTSTREAM_WORKER__LEASE_SECONDS": "inf"})
@example({"COHORTSTREAM_STORE__SECRET_KEY": SECRET, "COHORTSTREAM_WORKER__THREADS": SECRET})
def test_any_environment_is_read_or_refused(environ: dict[str, str]) -> None:
    settings_judged(None, environ)


@fuzzed
@given(broken(POLICIES))
@example(DEEP)
@example(b"[[policy]]\nname = 'a'\nkind = 'log'\npurge = true\nafter = '999999d'\n")
@example(b"[prices.STANDARD]\nper_gb_month = nan\n")
def test_policies_are_read_or_refused(folder: Path, content: bytes) -> None:
    path = folder / "policies.toml"
    path.write_bytes(content)
    found = judged(lambda: policies.load_rules(path))
    if not isinstance(found, Rejection):
        assert all(math.isfinite(price.per_gb_month) for price in found.prices.values())


def test_a_policies_file_that_is_a_folder_is_refused(folder: Path) -> None:
    assert isinstance(judged(lambda: policies.load_rules(folder)), Rejection)
    assert isinstance(judged(lambda: load(folder, environ={})), Rejection)
    assert isinstance(judged(lambda: qc.load_rules("default", path=folder)), Rejection)


@fuzzed
@given(broken(QC_RULES), st.one_of(st.just("default"), st.text(max_size=300)))
@example(DEEP, "default")
@example(b"[default]\nmean_coverage = { at_least = nan, otherwise = 'fail' }\n", "default")
@example(b"default = 3\n", "default")
@example(b"".join(b"[set%d]\n" % n for n in range(500)), "other")
def test_qc_rules_are_read_or_refused(folder: Path, content: bytes, name: str) -> None:
    path = folder / "rules.toml"
    path.write_bytes(content)
    found = judged(lambda: qc.load_rules(name, path=path))
    if not isinstance(found, Rejection):
        assert all(
            math.isfinite(bound)
            for threshold in found.thresholds.values()
            for bound in (threshold.at_least, threshold.at_most)
            if bound is not None
        )
        judged(lambda: qc.verdict(found, dict.fromkeys(found.thresholds, math.nan)))
