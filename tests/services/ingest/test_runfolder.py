"""RunInfo.xml and RunParameters.xml: what they say, and what is refused."""

from __future__ import annotations

import pytest

from chassis.errors import Rejected
from services.ingest.runfolder import Instrument, read_instrument, read_run_info
from tests.services.ingest.bench import FLOWCELL, RUN, run_info


def test_run_info_names_run_flowcell_and_lanes() -> None:
    info = read_run_info(run_info().encode())
    assert (info.run, info.flowcell, info.serial, info.lanes) == (RUN, FLOWCELL, "A01417", 4)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "FORMAT_MISMATCH"),
        ("<RunInfo>", "FORMAT_MISMATCH"),
        ("<RunInfo/>", "FORMAT_MISMATCH"),
        ("<?xml version='1.0' encoding='klingon'?><RunInfo/>", "FORMAT_MISMATCH"),
        (run_info(run="../x"), "UNSAFE_PATH"),
        (run_info(run="-x"), "UNSAFE_ID"),
        (run_info(flowcell=""), "UNSAFE_ID"),
        (run_info(lanes=99), "FORMAT_MISMATCH"),
        (run_info().replace('IsIndexedRead="N"', 'IsIndexedRead="Y"', 1), "FORMAT_MISMATCH"),
        (
            run_info(run="&leak;").replace(
                '<?xml version="1.0"?>',
                '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY leak SYSTEM "file:///etc/hostname">]>',
            ),
            "FORMAT_MISMATCH",
        ),
        (
            '<!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY c "&a;&a;&a;">]><RunInfo><Run Id="&c;"/></RunInfo>',
            "FORMAT_MISMATCH",
        ),
    ],
)
def test_bad_run_info_is_refused(content: str, code: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_run_info(content.encode())
    assert caught.value.rejection.code == code
    assert caught.value.rejection.where.startswith("RunInfo.xml")


@pytest.mark.parametrize(
    ("said", "serial", "expected"),
    [
        ("<Application>NovaSeq Control Software</Application>", "A01417", ("NovaSeq 6000", 2500)),
        ("<InstrumentType>NovaSeqXPlus</InstrumentType>", "LH00123", ("NovaSeq X", 2500)),
        ("<ApplicationName>NextSeq 1000/2000 Control Software</ApplicationName>", "VH1", ("NextSeq 1000/2000", 2500)),
        ("<ApplicationName>NextSeq Control Software</ApplicationName>", "NB501", ("NextSeq 500/550", 100)),
        ("<ApplicationName>MiSeq Control Software</ApplicationName>", "M0123", ("MiSeq", 100)),
        ("<ApplicationName>HiSeq X Control Software</ApplicationName>", "ST-E00123", ("HiSeq X", 2500)),
        ("", "M0123", ("MiSeq", 100)),
        ("", "MN0123", ("MiniSeq", 100)),
        ("", "Z9", ("unknown", 2500)),
    ],
)
def test_the_instrument_decides_the_optical_distance(said: str, serial: str, expected: tuple[str, int]) -> None:
    parameters = f"<RunParameters>{said}</RunParameters>".encode()
    assert read_instrument(parameters, serial=serial) == Instrument(model=expected[0], optical_distance=expected[1])


def test_the_serial_speaks_where_there_are_no_parameters() -> None:
    assert read_instrument(None, serial="VH00123").model == "NextSeq 1000/2000"


def test_parameters_with_entities_are_refused() -> None:
    with pytest.raises(Rejected) as caught:
        read_instrument(b'<!DOCTYPE r [<!ENTITY a "b">]><RunParameters>&a;</RunParameters>', serial="A1")
    assert caught.value.rejection.code == "FORMAT_MISMATCH"
