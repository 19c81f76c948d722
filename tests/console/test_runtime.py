"""Settings as a running site has them: absolute, filled in, and written so that another process reads the same."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from chassis.settings import KafkaSettings, LedgerSettings, Settings, SiteSettings, load
from chassis.worker.wire import settings_out
from console.runtime import as_toml, found, names_servers, resolved, with_endpoints, write_runtime
from deploy.embedded.stack import Endpoints

ENDPOINTS = Endpoints(
    kafka_bootstrap="127.0.0.1:41000",
    postgres_dsn="postgresql://me:hush@127.0.0.1:41001/c",
    s3_endpoint=None,
    s3_access_key="",
    s3_secret_key="",
    bucket="",
)
text = st.text(st.characters(blacklist_categories=("Cs",)), max_size=20)


@given(password=text, engine=text, pseudonymous=st.booleans(), lease=st.floats(0.001, 1e6))
def test_what_is_written_is_what_is_read(password: str, engine: str, pseudonymous: bool, lease: float) -> None:
    settings = resolved(Settings(state_dir=Path("/var/a b")))
    settings = settings.model_copy(
        update={
            "ledger": LedgerSettings(dsn=SecretStr(password)),
            "site": SiteSettings(ids_are_pseudonymous=pseudonymous, secret_file=Path("/s")),
            "worker": settings.worker.model_copy(update={"lease_seconds": lease}),
            "ingest": settings.ingest.model_copy(
                update={"roots": (Path("/runs/é"), Path("/runs/2")), "qc_flag": engine}
            ),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runtime.toml"
        path.write_text(as_toml(settings), encoding="utf-8", newline="\n")
        again = load(path, environ={})
    assert settings_out(again) == settings_out(settings)


def test_the_runtime_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = write_runtime(resolved(Settings(state_dir=tmp_path / "state")))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(path, environ={}).state_dir == tmp_path / "state"


def test_without_a_store_and_a_secret_named_both_lie_in_the_state_folder() -> None:
    settings = resolved(Settings(state_dir=Path("/srv/my site")))
    assert settings.store.base == "file:///srv/my%20site/store"
    assert settings.site.secret_file == Path("/srv/my site/site-secret")
    assert resolved(settings) == settings


def test_endpoints_fill_what_the_configuration_leaves_open_and_nothing_else() -> None:
    open_ = resolved(Settings())
    assert names_servers(open_) == (False, False)
    filled = with_endpoints(open_, ENDPOINTS)
    assert filled.kafka.bootstrap == "127.0.0.1:41000"
    assert filled.ledger.url().endswith(":41001/c")
    assert filled.store == open_.store
    assert names_servers(filled) == (True, True)

    named = with_endpoints(Settings(kafka=KafkaSettings(bootstrap="kafka:9092")), ENDPOINTS)
    assert named.kafka.bootstrap == "kafka:9092"


def test_a_stack_with_an_object_store_is_used_as_the_store() -> None:
    endpoints = Endpoints(
        **(ENDPOINTS.as_dict() | {"s3_endpoint": "http://127.0.0.1:1", "s3_secret_key": "hush", "bucket": "b"})  # type: ignore[arg-type]
    )
    store = with_endpoints(resolved(Settings()), endpoints).store
    assert (store.base, store.endpoint) == ("s3://b", "http://127.0.0.1:1")
    assert "hush" not in repr(store)


def test_without_a_running_site_the_settings_stay_as_they_are(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    assert found(settings) == resolved(settings)
