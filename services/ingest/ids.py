"""Which names from outside may be used: in file names, object keys, read groups and VCF columns."""

from __future__ import annotations

import re

from chassis.errors import reject
from services.ingest import personal

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_id(value: str, *, what: str, where: str, person: bool = False) -> None:
    """Raise Rejected when `value` cannot serve as an id; the value itself is never in the rejection.

    UNSAFE_PATH: it would step through folders. PHI_SUSPECTED (with `person`): see personal.py. UNSAFE_ID: anything
    else than letters, digits, `.`, `_` and `-`, or a start that tools and spreadsheets take for something else.
    """
    if "/" in value or "\\" in value or value.startswith(".."):
        raise reject(
            code="UNSAFE_PATH",
            message=f"the {what} would be a path",
            where=where,
            rule="ids become parts of file names and object keys: they hold no slash, no backslash, no leading dots",
            fix=f"give a {what} of letters, digits, '.', '_' and '-'",
        )
    if person and (rule := personal.suspicion(value)) is not None:
        raise reject(
            code="PHI_SUSPECTED",
            message=f"the {what} looks like {rule}; the value is withheld",
            where=where,
            rule="ids travel into files that leave the laboratory, so they must not point at a person by themselves",
            fix=f"give a pseudonymous {what}, such as a project's prefix with a running number",
        )
    if not NAME.fullmatch(value):
        raise reject(
            code="UNSAFE_ID",
            message=f"the {what} {'is empty' if not value else 'holds characters that no id may hold'}",
            where=where,
            rule="an id has 1 to 100 of A-Z a-z 0-9 . _ - and starts with a letter or digit",
            fix=f"give a {what} of letters, digits, '.', '_' and '-'",
        )
