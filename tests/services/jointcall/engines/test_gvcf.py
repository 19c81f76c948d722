"""What is counted of a good gVCF. What is refused, and by which code: tests/faults/bad_input/test_variants.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from chassis.errors import Rejected
from chassis.reference.local import LocalReference
from contracts.values import Interval
from services.jointcall.engines.gvcf import GvcfRecords, check, check_batch, sample_name_of
from tests.services.jointcall.engines.written import block, het, sequence, write_gvcf, write_reference

BASES = sequence(2000)
CONTIGS = [("c1", 2000)]
SNP = "ACGT"[("ACGT".index(BASES[499]) + 1) % 4]
GOOD = [block(BASES, 1, 499), het(BASES[499], SNP, 500), block(BASES, 501, 2000)]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> LocalReference:
    return write_reference(tmp_path_factory.mktemp("reference"), BASES)


@pytest.fixture
def interval() -> Interval:
    return Interval(contig="c1", start=401, end=1000, contig_length=2000)


def test_a_good_gvcf_is_counted(tmp_path: Path, reference: LocalReference, interval: Interval) -> None:
    gvcf = write_gvcf(tmp_path, "ada", GOOD, contigs=CONTIGS)
    assert sample_name_of(gvcf.path) == "ada"
    assert check(gvcf, interval=interval, reference=reference) == GvcfRecords(records=2, variants=1)


def test_no_sample_is_refused(reference: LocalReference, interval: Interval) -> None:
    with pytest.raises(Rejected) as refused:
        check_batch([], interval=interval, reference=reference)
    assert refused.value.rejection.code == "EMPTY_INPUT"


def test_an_ambiguous_base_of_the_reference_stands_for_several(tmp_path: Path, interval: Interval) -> None:
    reference = write_reference(tmp_path, BASES[:499] + "N" + BASES[500:])
    gvcf = write_gvcf(tmp_path, "ada", GOOD, contigs=CONTIGS)
    assert check(gvcf, interval=interval, reference=reference).variants == 1
