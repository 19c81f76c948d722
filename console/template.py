"""The commented configuration that `cohortstream init` writes. Every setting stands in it."""

from __future__ import annotations

import json
from pathlib import Path

TEMPLATE = """\
# Configuration of a cohortstream site. Lines that start with # show the default.
# Every setting can be overridden by a variable: [kafka] bootstrap is COHORTSTREAM_KAFKA__BOOTSTRAP.
# A key that is not known is refused, with the nearest one that is.

# Where the site keeps its state: servers, logs, spans, scratch folders, and the store unless you name one.
state_dir = {state}

[ingest]
# Folders that sequencer run folders appear in: copy a run folder into one of them.
roots = [{runs}]
# How often they are looked through, in seconds.
# scan_seconds = 10.0
# A FASTQ that has not grown for so many seconds has stopped growing.
# settle_seconds = 30.0
# Which marker says that conversion to FASTQ has ended (services/ingest/profiles.toml lists the profiles).
# profile = "bcl-convert"
# A file in the run folder that a technician writes to let a run through; unset: there is no such step.
# qc_flag = "qc-passed.txt"

[align]
# The reference that new samples are aligned to: a name given to `cohortstream reference add`.
{reference}
# engine = "cpu"
# bwa within the worker ("pybwa"), or the program on PATH ("bwa").
# aligner = "pybwa"
# Memory that a sample's tasks start with: small 2, medium 4, large 16, huge 64 GB. A human genome wants "large", and
# [worker] memory_mb as much.
# memory_class = "small"
# The rule set that gives a sample its QC verdict.
# qc_rules = "default"
# Variants of a sample are called in chunks of so many bases.
# call_interval_bp = 10_000_000

[jointcall]
# What genotypes a freeze: columnar (GATK's answers; the next freeze reads the new samples' gVCFs alone), or gatk.
# engine = "columnar"
# A freeze is genotyped in intervals of about so many bases (cut by predicted work, not by length alone)...
# interval_bp = 1_000_000
# ... and each interval in chunks of so many bases: what a vanished machine costs at most.
# chunk_bp = 250_000
# Work grows with the cohort: neither holds more than so many bases times samples. With GATK that is about four hours
# for an interval and twenty minutes for a chunk.
# interval_sample_bp = 2_500_000_000
# chunk_sample_bp = 200_000_000
# A gVCF that covers less than the calling intervals: "note" (it takes part, and its sample says so), "hold" (a person
# decides: `cohortstream samples pass`), "refuse" (it takes part once it is called again).
# coverage_policy = "hold"

[vqsr]
# Below any of these a model is not trained: GATK's hard filters are used, and every panel says so.
# minimum_samples = 30
# minimum_training_snps = 5000
# minimum_training_indels = 2000

[annotate]
# engine = "csq"

[archive]
# Tiering policies as TOML; unset: the built-in ones.
# policies = "/etc/cohortstream/policies.toml"
# sweep_seconds = 60.0
# Seconds between announcing that an object goes and acting; never below two leases.
# grace_seconds = 86400.0
# How objects go cold: "storage-class" (the store has classes, as S3 Glacier), "copy" (a verified copy in [cold], the
# first goes), "none"; "auto" takes storage classes where the store has them, else [cold] where it names a place.
# tiering = "auto"

[cold]
# The cold place of a store without storage classes: a bucket of its own, also elsewhere, or a folder (a tape-backed
# mount). Endpoint, region and keys as in [store].
# base = "file:///mnt/tape/cohortstream"
# endpoint = "https://cold.example.org"
# region = "us-east-1"
# access_key = "..."
# secret_key = "..."
# secret_key_file = "/etc/cohortstream/cold-secret-key"
# patience_seconds = 30.0

[site]
# The secret that sample keys are made with. Made once, kept for ever, backed up: without it a sample that comes
# again is not recognised.
secret_file = {secret}
# false: laboratory ids point at people, so the sample's key stands inside artifacts in their place.
# ids_are_pseudonymous = true

[store]
# Where artifacts lie: a folder, or a bucket ("s3://bucket/prefix"). Unset: `store` in the state folder.
# base = "file:///var/lib/cohortstream/store"
# For S3: the URL of a compatible store (unset: AWS), the region, and keys (unset: the usual AWS sources).
# endpoint = "https://s3.example.org"
# region = "us-east-1"
# access_key = "..."
# secret_key = "..."
# Instead of secret_key: a file that holds it.
# secret_key_file = "/etc/cohortstream/store-secret-key"
# Seconds after which a request that was not answered is sent again; a slow network wants more.
# patience_seconds = 30.0

[worker]
# A worker that is silent for so many seconds loses its task to another one.
# lease_seconds = 60.0
# How long a worker that is told to stop may finish the chunk in hand.
# drain_seconds = 90.0
# Memory of one slot; tasks that need more are left to larger workers. `up` runs no more slots than memory allows.
# memory_mb = 4096
# threads = 1
# poll_seconds = 1.0
# Unset: both in the state folder.
# scratch = "/scratch/cohortstream"
# reference_cache = "/scratch/cohortstream-references"
# reference_cache_gb = 50.0
# A shared folder laid out as the store's reference/: what lies there whole is read in place.
# reference_mount = "/scratch/shared-references"
# A file whose appearance means that this host will soon be taken away (a spot notice); SIGTERM means the same.
# notice_file = "/var/run/spot-notice"
# A worker's child process is started afresh after so many tasks.
# tasks_per_child = 200

# Servers. `cohortstream up` brings its own Kafka and Postgres; name yours here (both) to use them instead.
[kafka]
# bootstrap = "127.0.0.1:9092"
# sasl_username = "cohortstream"
# sasl_password_file = "/etc/cohortstream/kafka-password"
# tls_ca_file = "/etc/cohortstream/kafka-ca.pem"
# replication = 1

[ledger]
# A direct connection, never through a pooler in transaction mode.
# dsn = "postgresql://user:password@host:5432/cohortstream"
# The account and its password in place of those of the DSN, so that each process can have its own.
# user = "cohortstream_align"
# password_file = "/etc/cohortstream/ledger-password"
# pool_size = 4

[telemetry]
# Traces and metrics go to this OTLP/HTTP endpoint too; spans always lie in the state folder for `cohortstream trace`.
# otlp_endpoint = "http://127.0.0.1:4318"
# false: it takes traces alone, as Jaeger does, and metrics are scraped ([health] port).
# otlp_metrics = true
# Where a person looks at a trace; `cohortstream trace` and the operators' page link there.
# traces_url = "http://127.0.0.1:16686/trace/{{trace_id}}"
# `cohortstream trace` reads from Jaeger's query API there, for a console that does not see the services' state folders.
# traces_api = "http://127.0.0.1:16686"
# log_level = "INFO"

[health]
# Every process says how it is in `health` in the state folder, every so many seconds (`cohortstream health` reads it).
# beat_seconds = 2.0
# A process that says nothing for so long is not live ...
# silent_seconds = 20.0
# ... and `up` kills and restarts one that is not live for so long; a second time within the hour, after twice that.
# restart_seconds = 60.0
# HTTP probes, /live and /ready, and /metrics for Prometheus, of each process on this port: for one process a host, as
# in a pod. 0 takes a free one and names it in the report; unset: no port. Where others must reach it, bind to their
# address.
# port = 9464
# bind = "127.0.0.1"

[watch]
# How often a service looks for subjects that stand still, in seconds; seldomer where a look takes long.
# every_seconds = 30.0
# How long each may stand still, as TOML; unset: the built-in times (chassis/health/expected.toml shows the form).
# expected = "/etc/cohortstream/expected.toml"
# An event that has waited for Kafka for longer than this is a warning in `status`.
# outbox_seconds = 300.0

[cost]
# What compute and storage cost, as TOML; unset: the built-in price list.
# prices = "/etc/cohortstream/prices.toml"

[page]
# The operators' page (`cohortstream console`). Whoever signs in with the token may act and sees laboratory ids;
# without a token file the page only shows.
# bind = "127.0.0.1"
# port = 8080
# token_file = "/etc/cohortstream/page-token"
# Host names besides loopback's that it answers under, such as a reverse proxy's.
# hosts = ["cohortstream.example.org"]
# How often what is shown is looked at again, in seconds.
# refresh_seconds = 3.0
"""


def rendered(folder: Path, *, reference: str | None) -> str:
    """The configuration of a site in `folder` (absolute)."""
    return TEMPLATE.format(
        state=_quoted(folder / "state"),
        runs=_quoted(folder / "runs"),
        secret=_quoted(folder / "site-secret"),
        reference=f"reference = {json.dumps(reference)}" if reference else '# reference = "GRCh38"',
    )


def _quoted(path: Path) -> str:
    return json.dumps(str(path), ensure_ascii=False)
