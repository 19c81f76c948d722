"""Identifiers that nobody could mistake, and a run folder with one in every field that a person or an instrument fills.

Each word stands nowhere else in the project, so that finding it anywhere is a leak.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from console.demo.runplan import RunPlan, SamplePlan
from tests.support.flow import material

LABELS = ("QZXLABEL-0417", "QZXLABEL-0981")
"""Of good samples: the laboratory's own ids, which a site may declare pseudonymous."""
BROKEN = "QZXBROKEN-0552"
"""Of a sample whose second mates are cut."""
LIBRARY = "QZXLIB1"
STEM = "QZXSTEM"
OPERATOR = "Zyxwvutquist"
PERSON = "JaneQzxdoe"
BIRTH = "1971-03-12"
RECORD = "MRN0012345"
COMMENT = "QZXCOMMENT"
NEVER = (OPERATOR, PERSON, BIRTH, "19710312", RECORD, COMMENT)
"""Must not be anywhere, in no mode, save in a FASTQ as it came (COMMENT stands in its headers)."""
OF_SAMPLES = (*LABELS, BROKEN, LIBRARY, "QZXLABEL", "QZXBROKEN")
"""Stand inside artifacts where the site declares its ids pseudonymous, and nowhere else."""
PROJECT = "PRJQ"


class _Commented(material.Reads):
    """Reads whose headers have a comment more than instruments write."""

    def __call__(self, *, run: RunPlan, sample: SamplePlan) -> Mapping[int, tuple[bytes, bytes]]:
        found = super().__call__(run=run, sample=sample)
        if sample.sample in self.broken:
            return found
        return {lane: (_commented(r1, 1), _commented(r2, 2)) for lane, (r1, r2) in found.items()}


def _commented(packed: bytes, mate: int) -> bytes:
    lines = gzip.decompress(packed).split(b"\n")
    lines[0::4] = [line.split()[0] + f" {mate}:N:0:ACGT {COMMENT}".encode() if line else line for line in lines[0::4]]
    return gzip.compress(b"\n".join(lines), 1)


def plan(*, number: int = 1) -> RunPlan:
    made = material.plan_of(PROJECT, (*LABELS, BROKEN), number=number)
    return replace(made, samples=tuple(replace(one, library=f"{one.sample}-{LIBRARY}") for one in made.samples))


def arrive(runs: Path, scratch: Path, *, number: int = 1) -> str:
    """Put the run folder into the run root at once, whole; returns the run's id."""
    run = plan(number=number)
    people = dict(zip((*LABELS, BROKEN), material.PEOPLE, strict=True))
    source = _Commented(people=people, edition=number, broken=frozenset({BROKEN}))
    folder = material.arrive(scratch, plan=run, reads=source)
    sheet = folder / "SampleSheet.csv"
    text = sheet.read_text(encoding="utf-8")
    text = text.replace(
        "InstrumentPlatform,NovaSeq\n",
        f"InstrumentPlatform,NovaSeq\nInvestigator Name,{OPERATOR}\nExperiment Name,{PERSON} {BIRTH}\n"
        f"Description,{RECORD} {COMMENT}\n",
    )
    rows = text.index("[BCLConvert_Data]")
    end = text.index("\n\n", rows)
    # a person in place of an id: refused, and for it the sheet stays where it is
    named = f"4,{PERSON},TTTTTTTTTT,TTTTTTTTTT,{PROJECT}\n4,{RECORD},TTTTTTTTTA,TTTTTTTTTA,{PROJECT}"
    text = f"{text[:end]}\n{named}{text[end:]}"
    text += f"\n[Notes]\n# {OPERATOR} on {BIRTH}\n{RECORD}\n"
    sheet.write_text(text, encoding="utf-8")
    parameters = folder / "RunParameters.xml"
    said = f"<Operator>{OPERATOR}</Operator><Comment>{RECORD} {BIRTH}</Comment></RunParameters>"
    parameters.write_text(parameters.read_text(encoding="utf-8").replace("</RunParameters>", said), encoding="utf-8")
    shutil.move(folder, runs / f"{folder.name}_{OPERATOR}")
    return run.name


def arrive_misnamed(runs: Path, scratch: Path) -> None:
    """Two runs that cannot be taken: one without a RunInfo.xml that can be read, in a folder that names a person; one
    whose id names a record."""
    personal = f"<Run Id='240613_{RECORD}_0003'><Flowcell>HX</Flowcell><Instrument>{OPERATOR}</Instrument></Run>"
    for name, content in (
        (f"240612_{PERSON}_0002_AX", f"<RunInfo><Run Id='{OPERATOR}'"),
        ("240613_A01417_0003_AHX", f"<RunInfo>{personal}</RunInfo>"),
    ):
        folder = scratch / name
        folder.mkdir(parents=True)
        (folder / "RunInfo.xml").write_text(content, encoding="utf-8")
        (folder / "CopyComplete.txt").touch()
        folder.rename(runs / name)
