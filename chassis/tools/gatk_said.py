"""What GATK said when it ended badly, as the error that tells the worker what to do next."""

from __future__ import annotations

import re

from chassis.errors import Rejected, ToolFailed, reject

_USER_ERROR = re.compile(r"A USER ERROR has occurred: (.*?)\n\**\s*\n", re.DOTALL)
_FOLDERS = re.compile(r"(?:file://)?(?<![\w.])/(?:[^\s/:,;'\"\])]+/)+")
_TELLING = re.compile(
    r"ERROR|FATAL|Exception|Caused by|OutOfMemory|Killed|not found|Invalid|Can't parse|terminate called"
)

CODES = (
    (re.compile(r"incompatible contigs|[Bb]adly formed genome|No overlapping contigs"), "BUILD_MISMATCH"),
    (re.compile(r"MD5|different sequence"), "REFERENCE_MISMATCH"),
    (re.compile(r"index (file )?.*(is older|out of date)|index is required|traversal by intervals"), "INDEX_STALE"),
    (re.compile(r"(file )?truncated|premature", re.IGNORECASE), "INPUT_TRUNCATED"),
)
"""What GATK words as a user error, in our catalogue's codes; all else is TOOL_INPUT."""

OUR_FAULT = re.compile(r"[Nn]o space left|[Cc]ould(n't| not) (create|write)|Failure working with the tmp directory")
"""User errors in GATK's eyes that no other input would mend: the machine is at fault, so another may try."""


def failure(
    *, tool: str, status: int | str, said: str, is_user_error: bool, out_of_memory: bool
) -> Rejected | ToolFailed:
    """The error to raise. `said` may name folders of this machine; they are cut down to file names."""
    said = without_folders(said)
    if not is_user_error or out_of_memory or OUR_FAULT.search(said):
        return ToolFailed(tool=f"GATK {tool}", status=status, said=said, out_of_memory=out_of_memory)
    code = next((code for pattern, code in CODES if pattern.search(said)), "TOOL_INPUT")
    return reject(
        code=code,
        message=said,
        where=f"GATK {tool}",
        rule="GATK reads the input and finds it consistent with the reference",
        fix="mend or replace the input that the message names",
    )


def user_error_in(said: str) -> str | None:
    """The sentence after `A USER ERROR has occurred:`, or None when there is none."""
    found = _USER_ERROR.search(said)
    return " ".join(found.group(1).split()) if found else None


def last_lines(said: str, *, count: int = 6) -> str:
    """The last telling lines of a log: those that look like errors, else simply the last."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.search(line) and not line.startswith("at ")]
    return " | ".join((telling or lines)[-count:]) or "nothing"


def without_folders(text: str) -> str:
    """`/scratch/x/sample.cram` becomes `sample.cram`: a folder may tell what is nobody's business elsewhere."""
    return _FOLDERS.sub("", text)
