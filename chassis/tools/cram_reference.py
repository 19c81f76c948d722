"""A CRAM holds differences from a reference: which one, by the MD5 of each sequence, and that it is on this disk.

htslib looks for a sequence that it does not find where REF_PATH points, which may be a server, and keeps it under
REF_CACHE: decoding would hang on a network, and tell it which samples are worked on. Here it may not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from chassis.errors import Rejected, reject


def never_from_a_network() -> None:
    """From now on htslib takes sequences from the FASTA that it is given, in this process and its children."""
    os.environ["REF_PATH"] = os.devnull  # a file: nothing lies below it
    os.environ.pop("REF_CACHE", None)


def require_reference(cram: Path, *, fasta: Path) -> None:
    """Each sequence of the CRAM's header is in `fasta`, with the same MD5 (by the `.dict` beside it).

    Raises Rejected: CRAM_REFERENCE when the FASTA or one of the sequences is not there, REFERENCE_MISMATCH when one
    differs, FORMAT_MISMATCH when the header cannot be read.
    """
    dictionary = fasta.with_suffix(".dict")
    if not fasta.is_file() or not dictionary.is_file():
        raise _absent(cram, "the FASTA and its dictionary are not on this disk")
    here = _sequences(dictionary)
    for name, md5 in _sequences(cram).items():
        if name not in here:
            raise _absent(cram, f"sequence {name} is not in the reference")
        if md5 is None or md5 != here[name]:
            raise reject(
                code="REFERENCE_MISMATCH",
                message=f"sequence {name} has {'no MD5' if md5 is None else 'another MD5'} than the reference's",
                where=f"{cram.name}, @SQ line of {name}",
                rule="a CRAM is decoded with the very sequences that it was written against, told by their MD5s",
                fix="register the reference that it was written against (`cohortstream reference add`), or align again",
            )


def _absent(cram: Path, message: str) -> Rejected:
    return reject(
        code="CRAM_REFERENCE",
        message=message,
        where=f"{cram.name}, @SQ lines",
        rule="the reference of a CRAM is registered and lies on this disk; it is never fetched from a network",
        fix="register the reference that it was written against (`cohortstream reference add`)",
    )


def _sequences(path: Path) -> Mapping[str, str | None]:
    from pysam import AlignmentFile

    try:
        with AlignmentFile(str(path), check_sq=False) as opened:
            return {line["SN"]: line.get("M5") for line in opened.header.to_dict().get("SQ", [])}
    except (OSError, ValueError) as error:
        raise reject(
            code="FORMAT_MISMATCH",
            message="its header cannot be read",
            where=path.name,
            rule="alignments are BAM or CRAM",
            fix="copy or write the file again",
        ) from error
