"""Services as they are, with a seeded engine under the name that their settings give. Paths for `consume` and `work`
are `tests.support.seeded.builders:align` and so on.

A worker's child calls the builder too, so that the engine is put in where the work runs. Which attempts fail is told
by flaky.toml (see flaky.py); without the file none does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from chassis.service import Service
from chassis.settings import Settings
from tests.support.seeded import drawn
from tests.support.seeded.flaky import wrapped

if TYPE_CHECKING:
    from tests.support.seeded.align import SeededAlign
    from tests.support.seeded.annotate import SeededAnnotate
    from tests.support.seeded.jointcall import SeededJointcall
    from tests.support.seeded.vqsr import SeededFilters

SERVICES = ("ingest", "align", "jointcall", "vqsr", "annotate", "archive")


WITH_ENGINES = ("align", "jointcall", "vqsr", "annotate")


def builder_of(service: str) -> str:
    """The builder's path."""
    return f"{__name__}:{service}"


@contextmanager
def engines_put_back() -> Iterator[None]:
    """For a builder that is called in the tests' own process, where others want the real engines afterwards."""
    registries = [import_module(f"services.{service}.engines.registry").ENGINES for service in WITH_ENGINES]
    before = [dict(registry) for registry in registries]
    try:
        yield
    finally:
        for registry, engines in zip(registries, before, strict=True):
            registry.clear()
            registry.update(engines)


def ingest(settings: Settings) -> Service:
    from services.ingest import main

    return wrapped(main.build(settings))


def align(settings: Settings) -> Service:
    from services.align import main
    from services.align.engines.registry import ENGINES, Entry

    ENGINES["cpu"] = Entry(make=_align, versions=lambda aligner: f"seeded {drawn.VERSION}")
    return wrapped(main.build(settings))


def jointcall(settings: Settings) -> Service:
    from services.jointcall import main
    from services.jointcall.engines.registry import ENGINES

    ENGINES["gatk"] = ENGINES["columnar"] = _jointcall
    return wrapped(main.build(settings))


def vqsr(settings: Settings) -> Service:
    from services.vqsr import main
    from services.vqsr.engines.registry import ENGINES

    ENGINES["gatk"] = _vqsr
    return wrapped(main.build(settings))


def annotate(settings: Settings) -> Service:
    from services.annotate import main
    from services.annotate.engines.registry import ENGINES

    ENGINES["csq"] = _annotate
    return wrapped(main.build(settings))


def archive(settings: Settings) -> Service:
    from services.archive import main

    return wrapped(main.build(settings))


def _align(*, memory_mb: int, aligner: str) -> SeededAlign:
    from tests.support.seeded.align import SeededAlign

    return SeededAlign()


def _jointcall(*, chunk_bp: int, memory_mb: int) -> SeededJointcall:
    from tests.support.seeded.jointcall import SeededJointcall

    return SeededJointcall(chunk_bp=chunk_bp)


def _vqsr(*, memory_mb: int) -> SeededFilters:
    from tests.support.seeded.vqsr import SeededFilters

    return SeededFilters()


def _annotate() -> SeededAnnotate:
    from tests.support.seeded.annotate import SeededAnnotate

    return SeededAnnotate()
