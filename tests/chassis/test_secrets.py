"""Accounts and secrets that stand beside a server's address."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from chassis.errors import Rejected
from chassis.secret import secret_in
from chassis.settings import ColdSettings, LedgerSettings


def test_an_account_beside_the_dsn_stands_in_for_its_own(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("a:b/c@d%e\n", encoding="utf-8")
    dsn = "postgresql://somebody:else@10.0.0.1:5432/cohortstream?sslmode=require"
    parts = urlsplit(LedgerSettings(dsn=dsn, user="cohortstream_align", password_file=password).url())
    assert (parts.username, unquote(parts.password or "")) == ("cohortstream_align", "a:b/c@d%e")
    assert (parts.hostname, parts.port, parts.path, parts.query) == (
        "10.0.0.1",
        5432,
        "/cohortstream",
        "sslmode=require",
    )
    assert LedgerSettings(dsn=dsn).url() == dsn


@pytest.mark.parametrize("content", [b"", b"\n", b"hush\nhush\n", b"\xff\xfe"])
def test_a_file_without_one_secret_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(Rejected) as refused:
        secret_in(path, where="store.secret_key_file")
    assert refused.value.rejection.code == "SECRET_UNREADABLE"
    assert "hush" not in str(refused.value)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="SECRET_UNREADABLE"):
        secret_in(tmp_path / "absent", where="ledger.password_file")


def test_a_cold_place_is_a_store_where_it_is_named(tmp_path: Path) -> None:
    assert ColdSettings().store() is None
    key = tmp_path / "key"
    key.write_text("hush\n", encoding="utf-8")
    cold = ColdSettings(base="s3://cold", endpoint="http://127.0.0.1:1", access_key="us", secret_key_file=key).store()
    assert cold is not None
    assert (cold.base, cold.secret(), cold.patience_seconds) == ("s3://cold", "hush", 30.0)
