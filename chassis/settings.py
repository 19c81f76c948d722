"""Settings: one TOML file, overridden by COHORTSTREAM_* variables (`__` between levels). An unknown key is refused."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from chassis.errors import excerpt, reject
from chassis.secret import secret_in

ENV_PREFIX = "COHORTSTREAM_"
CONFIG_VARIABLE = "COHORTSTREAM_CONFIG"
LISTS = ("ingest.roots", "page.hosts")
"""Settings of several values: separated by commas where a variable holds them."""
NOT_SETTINGS = frozenset({"COHORTSTREAM_CONFIG", "COHORTSTREAM_JAVA", "COHORTSTREAM_CACHE", "COHORTSTREAM_FAULT"})
"""Variables of that prefix that are read elsewhere: where the file is, which Java, which cache, test hooks."""


class Section(BaseModel):
    # no time to wait and no size is infinite
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class KafkaSettings(Section):
    bootstrap: str = "127.0.0.1:9092"
    sasl_username: str | None = None
    sasl_password_file: Path | None = None
    tls_ca_file: Path | None = None
    replication: int = Field(default=1, ge=1, le=5)


class LedgerSettings(Section):
    dsn: SecretStr = SecretStr("postgresql://127.0.0.1:5432/cohortstream")
    """A direct connection: a pooler in transaction mode breaks advisory locks and LISTEN."""
    user: str | None = None
    password_file: Path | None = None
    """Both stand in place of what the DSN says: a process of one role has its own, the rest of the file is shared."""
    pool_size: int = Field(default=4, ge=1, le=64)

    def url(self) -> str:
        """The DSN with the user and the password that are set beside it. Raises Rejected SECRET_UNREADABLE."""
        dsn = self.dsn.get_secret_value()
        if self.user is None and self.password_file is None:
            return dsn
        parts = urlsplit(dsn)
        _, _, place = parts.netloc.rpartition("@")
        user = self.user or parts.username or ""
        password = secret_in(self.password_file, where="ledger.password_file") if self.password_file else parts.password
        account = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        return urlunsplit(parts._replace(netloc=f"{account}@{place}" if account else place))


class StoreSettings(Section):
    base: str = "file:///var/lib/cohortstream/store"
    """`s3://bucket[/prefix]` or `file:///folder`; zones (landing, working, released, archive) lie below it."""
    endpoint: str | None = None
    """S3 endpoint URL of a compatible store; none means AWS."""
    region: str = "us-east-1"
    patience_seconds: float = Field(default=30.0, gt=0)
    """How long one request may take besides moving its bytes, before it counts as unanswered and is sent again."""
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    secret_key_file: Path | None = None

    def secret(self) -> str | None:
        """The secret key, from its file where one is named; None means the usual sources of AWS's clients."""
        if self.secret_key_file is not None:
            return secret_in(self.secret_key_file, where="store.secret_key_file")
        return self.secret_key.get_secret_value() if self.secret_key else None


class ColdSettings(Section):
    """Where the archive copies what goes cold, for a store without storage classes of its own."""

    base: str | None = None
    """`s3://bucket[/prefix]` or `file:///folder` (a tape-backed mount, say); none means no such place."""
    endpoint: str | None = None
    region: str = "us-east-1"
    patience_seconds: float = Field(default=30.0, gt=0)
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    secret_key_file: Path | None = None

    def store(self) -> StoreSettings | None:
        """The same as settings of a store; None where no place is named."""
        return StoreSettings(**{name: getattr(self, name) for name in self.model_fields_set}) if self.base else None


class SiteSettings(Section):
    secret_file: Path | None = None
    """Holds the site secret that sample keys are made with (HMAC). Made once, kept for ever."""
    ids_are_pseudonymous: bool = True
    """False: the sample key stands inside artifacts instead of the laboratory's id."""


class WorkerSettings(Section):
    lease_seconds: float = Field(default=60.0, gt=0)
    drain_seconds: float = Field(default=90.0, gt=0)
    """How long a stopping worker may finish the chunk in hand; spot notice is 120 s."""
    memory_mb: int = Field(default=4096, ge=256)
    """What one slot may use; tasks of larger memory classes are left to others."""
    poll_seconds: float = Field(default=1.0, gt=0)
    scratch: Path | None = None
    """Where attempts work; none means in the state folder."""
    notice_file: Path | None = None
    """A file whose appearance means that this host will soon be taken away (a spot notice); SIGTERM means the same."""
    reference_cache: Path | None = None
    """Where references are kept on this host; none means in the state folder."""
    reference_mount: Path | None = None
    """A shared folder laid out as the store's `reference/`: a reference that lies there whole is read in place."""
    reference_cache_gb: float = Field(default=50.0, gt=0)
    tasks_per_child: int = Field(default=200, ge=1)
    threads: int = Field(default=1, ge=1)


class TelemetrySettings(Section):
    otlp_endpoint: str | None = None
    otlp_metrics: bool = True
    """False: the endpoint takes traces alone (Jaeger does), and metrics are scraped."""
    traces_url: str | None = None
    """Where a person looks at a trace, with `{trace_id}` in it; `cohortstream trace` and the page link there."""
    traces_api: str | None = None
    """Base address of Jaeger's query API, from which `cohortstream trace` reads; none means the files of spans."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class HealthSettings(Section):
    beat_seconds: float = Field(default=2.0, gt=0)
    """How often a process writes its report to `<state>/health/`."""
    silent_seconds: float = Field(default=20.0, gt=0)
    """A process whose report is older is not live: its event loop does not turn."""
    restart_seconds: float = Field(default=60.0, gt=0)
    """`up` kills and restarts a process that is not live for so long; a second time within the hour it waits twice so
    long, and so on."""
    port: int | None = Field(default=None, ge=0, le=65535)
    """HTTP probes, `/live` and `/ready`, and `/metrics` for Prometheus; none means no such port, 0 a free one, which
    the report names."""
    bind: str = "127.0.0.1"


class WatchSettings(Section):
    every_seconds: float = Field(default=30.0, gt=0)
    expected: Path | None = None
    """TOML file of how long subjects and tasks may stand still; none means the built-in one."""
    outbox_seconds: float = Field(default=300.0, gt=0)
    """An event that has waited for Kafka for longer shows as a warning in `status`."""


class IngestSettings(Section):
    roots: tuple[Path, ...] = ()
    """Folders that sequencer run folders appear in."""
    scan_seconds: float = Field(default=10.0, gt=0)
    settle_seconds: float = Field(default=30.0, ge=0)
    """A FASTQ that has not grown for this long has stopped growing."""
    profile: str = "bcl-convert"
    """Completion profile: which marker says that conversion has ended (see services/ingest/profiles.toml)."""
    qc_flag: str | None = None
    """A file in the run folder that a technician writes to let a run through; none means no such step."""


class AlignSettings(Section):
    reference: str | None = None
    """Name of the registered reference that new samples are aligned to."""
    engine: Literal["cpu"] = "cpu"
    aligner: Literal["pybwa", "bwa"] = "pybwa"
    """bwa in the worker's process, or the program on PATH: the same alignments, for large samples less memory."""
    memory_class: Literal["small", "medium", "large", "huge"] = "small"
    """Where a sample's tasks start (2, 4, 16, 64 GB); a human genome's bwa index alone wants `large`."""
    qc_rules: str = "default"
    call_interval_bp: int = Field(default=10_000_000, ge=1000)


class JointcallSettings(Section):
    engine: Literal["columnar", "gatk"] = "columnar"
    """What genotypes a freeze whose request does not say: the columnar genotyper, whose next freeze reads the gVCFs of
    new samples alone, or GATK."""
    interval_bp: int = Field(default=1_000_000, ge=1000)
    chunk_bp: int = Field(default=250_000, ge=500)
    """The most bases of an interval (a task), and of a chunk (what a task that is taken away loses at most)."""
    interval_sample_bp: int = Field(default=2_500_000_000, ge=1000)
    chunk_sample_bp: int = Field(default=200_000_000, ge=500)
    """The most bases times samples: a larger cohort is cut finer. With GATK about four hours and twenty minutes; the
    columnar engine takes five times as many."""
    coverage_policy: Literal["note", "hold", "refuse"] = "hold"
    """What becomes of a sample whose gVCF covers less than the calling intervals: it takes part and a note says so; it
    waits for a person; or it is refused until it is called again."""


class VqsrSettings(Section):
    minimum_samples: int = Field(default=30, ge=1)
    minimum_training_snps: int = Field(default=5000, ge=1)
    minimum_training_indels: int = Field(default=2000, ge=1)


class AnnotateSettings(Section):
    engine: Literal["csq"] = "csq"


class ArchiveSettings(Section):
    policies: Path | None = None
    """TOML file of tiering policies; none means the built-in ones."""
    sweep_seconds: float = Field(default=60.0, gt=0)
    grace_seconds: float = Field(default=86_400.0, ge=0)
    """Between condemn and act; never below two leases."""
    tiering: Literal["auto", "storage-class", "copy", "none"] = "auto"
    """How objects go cold: by the store's own storage classes, as verified copies in `[cold]`, or not at all. `auto`
    takes storage classes where the store has them, else the copies where a place is named."""


class CostSettings(Section):
    prices: Path | None = None
    """TOML price list of compute and storage; none means the built-in one."""


class PageSettings(Section):
    """The operators' page."""

    bind: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    token_file: Path | None = None
    """Whoever signs in with this token may act and sees laboratory ids; without it the page is read-only."""
    hosts: tuple[str, ...] = ()
    """Host names besides loopback's that it answers under, such as a reverse proxy's; others are refused."""
    refresh_seconds: float = Field(default=3.0, gt=0)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    state_dir: Path = Path("cohortstream-state")
    kafka: KafkaSettings = KafkaSettings()
    ledger: LedgerSettings = LedgerSettings()
    store: StoreSettings = StoreSettings()
    site: SiteSettings = SiteSettings()
    worker: WorkerSettings = WorkerSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    health: HealthSettings = HealthSettings()
    watch: WatchSettings = WatchSettings()
    ingest: IngestSettings = IngestSettings()
    align: AlignSettings = AlignSettings()
    jointcall: JointcallSettings = JointcallSettings()
    vqsr: VqsrSettings = VqsrSettings()
    annotate: AnnotateSettings = AnnotateSettings()
    archive: ArchiveSettings = ArchiveSettings()
    cold: ColdSettings = ColdSettings()
    cost: CostSettings = CostSettings()
    page: PageSettings = PageSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`load` has merged the file and the environment already, so that both are checked by the same rules."""
        return (init_settings,)


def load(path: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Settings:
    """Read settings from `path` (or the file that COHORTSTREAM_CONFIG names) and the environment.

    Raises Rejected: CONFIG_UNKNOWN with the nearest known key, CONFIG_VALUE, CONFIG_SYNTAX or CONFIG_MISSING.
    """
    env = os.environ if environ is None else environ
    named = path if path is not None else (Path(env[CONFIG_VARIABLE]) if env.get(CONFIG_VARIABLE) else None)
    document: dict[str, Any] = {}
    if named is not None:
        document = _read(named)
    _refuse_unknown(document, where=str(named))
    _refuse_unknown_variables(env)
    merged = _merge(document, env)
    try:
        return Settings(**merged)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        raise reject(
            code="CONFIG_VALUE",
            message=excerpt(f"{place}: {first['msg']}", 200),
            where=str(named or "environment"),
            rule="every setting has its type and range",
            fix=f"mend {place}; `cohortstream init` writes a commented example",
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise reject(
            code="CONFIG_MISSING",
            message="the configuration file is not there",
            where=str(path),
            rule="the file named by --config or COHORTSTREAM_CONFIG exists",
            fix="run `cohortstream init` to write one",
        ) from None
    except OSError as error:
        raise reject(
            code="CONFIG_MISSING",
            message=f"the configuration file cannot be read: {error.strerror}",
            where=excerpt(str(path), 200),
            rule="the file named by --config or COHORTSTREAM_CONFIG is a file that this account may read",
            fix="correct the path or the file's permissions",
        ) from None
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number without end, lists in lists in lists
        raise reject(
            code="CONFIG_SYNTAX",
            message=excerpt(str(error), 200),
            where=excerpt(str(path), 200),
            rule="the configuration is TOML in UTF-8",
            fix="mend the line named",
        ) from None


def known_keys() -> tuple[str, ...]:
    """Every setting as `section.key`."""
    return tuple(_walk(Settings, ""))


def _walk(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from _walk(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _refuse_unknown(document: Mapping[str, Any], *, where: str) -> None:
    known = set(known_keys())
    sections = {key.split(".")[0] for key in known if "." in key}
    for section in sections:
        if not isinstance(document.get(section, {}), Mapping):
            raise reject(
                code="CONFIG_VALUE",
                message=f"{section} is no table",
                where=where,
                rule="the settings of a section stand under its name in brackets",
                fix=f"write [{section}] on a line of its own and its settings below",
            )
    for key in _flatten(document, "", sections):
        if key not in known and key not in sections:
            raise _unknown(key, known | sections, where)


def _refuse_unknown_variables(env: Mapping[str, str]) -> None:
    known = {ENV_PREFIX + key.replace(".", "__").upper(): key for key in known_keys()}
    for name in env:
        if name.startswith(ENV_PREFIX) and name not in NOT_SETTINGS and name not in known:
            raise _unknown(name, set(known), "environment")


def _unknown(key: str, known: set[str], where: str) -> Exception:
    key = excerpt(key)
    near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.0)
    return reject(
        code="CONFIG_UNKNOWN",
        message=f"{key} is no setting",
        where=where,
        rule="every key is a known setting, so that a typo cannot silently do nothing",
        fix=f"did you mean {near[0]}?" if near else "remove it",
    )


def _flatten(document: Mapping[str, Any], prefix: str, sections: set[str]) -> Iterator[str]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            if not value and f"{prefix}{name}" not in sections:
                yield f"{prefix}{name}"
            yield from _flatten(value, f"{prefix}{name}.", sections)
        else:
            yield f"{prefix}{name}"


def _merge(document: dict[str, Any], env: Mapping[str, str]) -> dict[str, Any]:
    """The environment wins over the file. Tuples are given as comma-separated values."""
    merged: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in document.items()}
    for key in known_keys():
        value = env.get(ENV_PREFIX + key.replace(".", "__").upper())
        if value is None:
            continue
        section, _, name = key.rpartition(".")
        target = merged.setdefault(section, {}) if section else merged
        target[name] = tuple(part for part in value.split(",") if part) if key in LISTS else value
    return merged
