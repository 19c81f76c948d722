"""One warm GATK for the session."""

from __future__ import annotations

import pytest

from chassis.tools.gatk import Gatk, gatk_for


@pytest.fixture(scope="session")
def gatk() -> Gatk:
    # the process has one JVM, so the heap is that of the joint genotyping tests
    return gatk_for(memory_mb=1500, heap_fraction=0.6)
