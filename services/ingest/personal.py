"""Does an id look as if it pointed at a person by itself? Heuristics, stated here, wrong now and then on purpose:
a refused pseudonym costs a new id, a personal one in a released panel cannot be called back.

An id is suspected to be

- **a record number**: digits alone, seven or more; three-two-four digits (US social security); three-three-four (NHS);
  six-four digits (Nordic and Korean-like, birth date first); eight digits and a letter (DNI); six letters and digits
  in the form of an Italian fiscal code; seventeen digits and a digit or X (China); or a word such as MRN, SSN, NHS, DOB
  (`record_words` in personal.toml) followed by four digits or more;
- **a name**: a part of it, split at everything that is no letter and at humps, is a frequent given name
  (`given_names`); or it begins with a title; or it holds `^`, as HL7 and DICOM write names, or a comma; or it is two
  words of letters;
- **a birth date**: it holds a date of the calendar between 1900 and 2099 as year-month-day, day-month-year or
  month-day-year with separators, or eight digits as year-month-day or day-month-year, alone or after one or two letters
  (initials). Three letters or more before eight digits are an accession.
"""

from __future__ import annotations

import re
import tomllib
from datetime import date
from functools import cache
from pathlib import Path

_WORDS = Path(__file__).with_name("personal.toml")
_HUMP = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_RECORD_NUMBERS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\d{7,}",
        r"\d{3}[-_. ]\d{2}[-_. ]\d{4}",
        r"\d{3}[-_. ]\d{3}[-_. ]\d{4}",
        r"\d{6}[-+_. ]\d{4}",
        r"\d{8}-?[A-Z]",
        r"[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]",
        r"\d{17}[\dX]",
    )
)
_YEAR, _MONTH, _DAY = r"(?P<y>(?:19|20)\d\d)", r"(?P<m>\d{1,2})", r"(?P<d>\d{1,2})"
_MONTH_2, _DAY_2 = r"(?P<m>\d\d)", r"(?P<d>\d\d)"
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?<!\d){_YEAR}(?P<s>[-_./ ]){_MONTH}(?P=s){_DAY}(?!\d)",
        rf"(?<!\d){_DAY}(?P<s>[-_./ ]){_MONTH}(?P=s){_YEAR}(?!\d)",
        rf"(?<!\d){_MONTH}(?P<s>[-_./ ]){_DAY}(?P=s){_YEAR}(?!\d)",
        rf"(?<![A-Za-z]{{3}})(?<!\d){_YEAR}{_MONTH_2}{_DAY_2}(?!\d)",
        rf"(?<![A-Za-z]{{3}})(?<!\d){_DAY_2}{_MONTH_2}{_YEAR}(?!\d)",
    )
)


def suspicion(value: str) -> str | None:
    """What the id looks like, in words that do not repeat it; None when nothing is suspected."""
    if _holds_date(value):
        return "a birth date"
    if _is_record_number(value):
        return "a record number"
    if _is_name(value):
        return "a person's name"
    return None


def suspicion_in_words(text: str) -> str | None:
    """As `suspicion`, of a sentence: any date of the calendar, record numbers, titles before a word, and given names
    with a capital. Two words are no name here, and a comma is none."""
    if _holds_date(text):
        return "a birth date"
    words = re.findall(r"[^\s,;:!?()\"']+", text)
    if any(_is_record_number(word.strip(".")) for word in (*words, text)):
        return "a record number"
    titled = re.search(rf"(?i:\b(?:{'|'.join(_words('titles'))}))\b\.? +[A-Z]", text)
    given = {piece.lower() for piece in re.findall(r"[^\W\d_]+", text) if piece[0].isupper()} & _words("given_names")
    return "a person's name" if titled or given or "^" in text else None


def suspicion_of_name(name: str) -> str | None:
    """As `suspicion`, of what people call a cohort, a tag or a run: it may hold a date, which is hardly of a birth."""
    parts = [part for part in re.split(r"[_. ]", name) if part and not _holds_date(part)]
    if any(map(_is_record_number, parts)) or (not _holds_date(name) and _is_record_number(name)):
        return "a record number"
    return "a person's name" if any(map(_is_name, parts)) else None


def _is_record_number(value: str) -> bool:
    if any(pattern.fullmatch(value) for pattern in _RECORD_NUMBERS):
        return True
    return (
        re.search(rf"(?<![a-z])(?:{'|'.join(_words('record_words'))})[-_.# :]*[a-z]?\d{{4,}}", value.lower())
        is not None
    )


def _is_name(value: str) -> bool:
    if "^" in value or "," in value:
        return True
    if re.fullmatch(r"[^\W\d_]{2,}(?: [^\W\d_]+\.?)+", value):
        return True
    pieces = [piece.lower() for piece in re.findall(r"[^\W\d_]+", value)]
    if len(pieces) > 1 and pieces[0] in _words("titles"):
        return True
    humps = {hump.lower() for hump in _HUMP.findall(value)}
    return bool((humps | set(pieces)) & _words("given_names"))


def _holds_date(value: str) -> bool:
    for pattern in _DATES:
        for found in pattern.finditer(value):
            try:
                date(int(found["y"]), int(found["m"]), int(found["d"]))
            except ValueError:
                continue
            return True
    return False


@cache
def _words(kind: str) -> frozenset[str]:
    return frozenset(tomllib.loads(_WORDS.read_text(encoding="utf-8"))[kind])
