"""Keys of samples: stable, told apart, and no secret without care."""

from __future__ import annotations

from pathlib import Path

import pytest

from chassis.errors import Rejected
from chassis.settings import SiteSettings
from services.ingest.identity import Identity, make_secret, read_identity
from tests.services.ingest.bench import SECRET


def test_keys_are_stable_and_differ_by_project_sample_library_and_secret() -> None:
    identity = Identity(secret=SECRET)
    key = identity.sample(project="P", sample="S1")
    # printf 'P\0S1' | openssl dgst -sha256 -hmac SECRET: a change here would give every known sample a new key
    assert key == "smp_aa62b68de418b52c1bbd3e4c"
    others = {
        identity.sample(project="P", sample="S2"),
        identity.sample(project="Q", sample="S1"),
        Identity(secret=SECRET + b"x").sample(project="P", sample="S1"),
        identity.library(project="P", sample="S1", library="S1"),
    }
    assert len(others | {key}) == 5


def test_the_secret_shows_in_no_representation() -> None:
    assert SECRET.decode() not in repr(Identity(secret=SECRET))


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    make_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    first = read_identity(SiteSettings(secret_file=path))
    with pytest.raises(FileExistsError):
        make_secret(path)
    assert read_identity(SiteSettings(secret_file=path)) == first


def test_without_a_good_secret_nothing_is_named(tmp_path: Path) -> None:
    def code(path: Path | None) -> str:
        with pytest.raises(Rejected) as caught:
            read_identity(SiteSettings(secret_file=path))
        return caught.value.rejection.code

    assert code(None) == "CONFIG_MISSING"
    assert code(tmp_path / "absent") == "CONFIG_MISSING"
    path = tmp_path / "secret"
    make_secret(path)
    path.chmod(0o640)
    assert code(path) == "CONFIG_VALUE"
    path.chmod(0o600)
    path.write_text("short")
    assert code(path) == "CONFIG_VALUE"
