"""What a run folder's own papers say: RunInfo.xml (which run, which flow cell), RunParameters.xml (which instrument).

Both come from outside: they are read without DTDs, entities and external references, and every name in them that we
use is checked.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from chassis.errors import Rejected, reject
from services.ingest.ids import NAME, check_id
from services.ingest.personal import suspicion_of_name

RUN_INFO, RUN_PARAMETERS, SAMPLE_SHEET = "RunInfo.xml", "RunParameters.xml", "SampleSheet.csv"
PLATFORM = "ILLUMINA"
"""SAM's PL: the only layout of run folders that is read."""
MOST_LANES = 16
_SAYS_INSTRUMENT = ("InstrumentType", "Application", "ApplicationName", "InstrumentModel", "SystemSuiteVersion")
_INSTRUMENTS = Path(__file__).with_name("instruments.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInfo:
    """`run` is the run's id, `serial` the instrument's; `lanes` is None where the file does not count them."""

    run: str
    flowcell: str
    serial: str
    lanes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """`optical_distance` in pixels, as MarkDuplicates takes it."""

    model: str
    optical_distance: int


def read_run_info(content: bytes) -> RunInfo:
    """Parse RunInfo.xml. Raises Rejected: FORMAT_MISMATCH (no XML, a DTD in it, an element missing, single-end reads),
    UNSAFE_ID or UNSAFE_PATH (a run id or flow cell that is no plain name)."""
    root = _xml(content, RUN_INFO)
    run = root.find("Run")
    if run is None:
        raise _lacks("the element Run")
    name = run.get("Id") or ""
    check_id(name, what="run id", where=f"{RUN_INFO}, Run")
    if (suspected := suspicion_of_name(name)) is not None:
        raise reject(
            code="PHI_SUSPECTED",
            message=f"the run id holds what looks like {suspected}; the value is withheld",
            where=f"{RUN_INFO}, Run",
            rule="a run's id stands in events, object keys and logs, so it must not point at a person",
            fix="name the run as the instrument does: date, instrument, number, flow cell",
        )
    flowcell = (run.findtext("Flowcell") or "").strip()
    check_id(flowcell, what="flow cell", where=f"{RUN_INFO}, Flowcell")
    serial = (run.findtext("Instrument") or "").strip()
    reads = [read for read in run.iter("Read") if (read.get("IsIndexedRead") or "N").upper() != "Y"]
    if reads and len(reads) != 2:
        raise reject(
            code="FORMAT_MISMATCH",
            message=f"the run has {len(reads)} reads that are no index, where paired-end runs have two",
            where=f"{RUN_INFO}, Reads",
            rule="only paired-end runs are taken",
            fix="sequence paired-end, or take the run folder out of the run root",
        )
    return RunInfo(run=name, flowcell=flowcell, serial=serial, lanes=_lane_count(run))


def read_instrument(parameters: bytes | None, *, serial: str) -> Instrument:
    """The instrument's model from RunParameters.xml, or from its serial where that file is absent or silent.

    Raises Rejected FORMAT_MISMATCH when the file is there and cannot be read.
    """
    said = ""
    if parameters is not None:
        root = _xml(parameters, RUN_PARAMETERS)
        said = " ".join(text for tag in _SAYS_INSTRUMENT for text in _texts(root, tag)).lower()
    table = _instruments()
    distances = table["optical_distance"]
    for model in table["model"]:
        if said and any(part and part in said for part in model["application"]):
            return _instrument(model, distances)
    for model in table["model"]:
        if re.fullmatch(model["serial"], serial, re.IGNORECASE | re.DOTALL):
            return _instrument(model, distances)
    raise AssertionError("the table of instruments ends with one that matches all")


def safe_run_name(folder: str) -> str | None:
    """A folder's name as a run id, for a run whose own id cannot be used; None when it is no plain name, or may name a
    person."""
    return folder if NAME.fullmatch(folder) and suspicion_of_name(folder) is None else None


def _instrument(model: dict[str, Any], distances: dict[str, int]) -> Instrument:
    kind = "patterned" if model["patterned"] else "unpatterned"
    return Instrument(model=model["name"], optical_distance=distances[kind])


@cache
def _instruments() -> dict[str, Any]:
    return tomllib.loads(_INSTRUMENTS.read_text(encoding="utf-8"))


def _texts(root: Element, tag: str) -> list[str]:
    return [element.text for element in root.iter(tag) if element.text]


def _lane_count(run: Element) -> int | None:
    layout = run.find("FlowcellLayout")
    count = None if layout is None else layout.get("LaneCount")
    if count is None:
        return None
    if not re.fullmatch(r"[0-9]{1,2}", count) or not 1 <= int(count) <= MOST_LANES:
        raise reject(
            code="FORMAT_MISMATCH",
            message="LaneCount is no number of lanes",
            where=f"{RUN_INFO}, FlowcellLayout",
            rule=f"a flow cell has 1 to {MOST_LANES} lanes",
            fix="copy RunInfo.xml anew from the instrument",
        )
    return int(count)


def _xml(content: bytes, name: str) -> Element:
    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except DefusedXmlException:
        raise reject(
            code="FORMAT_MISMATCH",
            message="the file declares a document type or entities",
            where=name,
            rule="a run folder's XML holds no DTD, no entities and no external references",
            fix="copy the file anew from the instrument; no instrument writes these",
        ) from None
    except ParseError as error:
        line = error.position[0] if error.position else 1
        raise _no_xml(name, f"line {line}") from None
    except (ValueError, LookupError):  # an encoding that the declaration names and nobody knows, or bytes not of it
        raise _no_xml(name, "line 1") from None
    return root


def _no_xml(name: str, place: str) -> Rejected:
    return reject(
        code="FORMAT_MISMATCH",
        message="the file is no well-formed XML",
        where=f"{name}, {place}",
        rule="the instrument writes XML here",
        fix="copy the file anew from the instrument",
    )


def _lacks(what: str) -> Rejected:
    return reject(
        code="FORMAT_MISMATCH",
        message=f"{what} is missing",
        where=RUN_INFO,
        rule="RunInfo.xml names the run in RunInfo/Run, with its flow cell",
        fix="copy RunInfo.xml anew from the instrument",
    )
