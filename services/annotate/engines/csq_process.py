"""`bcftools csq` once, in a process of its own: `python -m services.annotate.engines.csq_process ARGUMENTS`.

bcftools is a program that ends, and was never meant to be called twice: csq keeps the last position that it saw in a
static variable, so that a second call in one process (the next interval, or any call after a failed one) ends with
"The file is not sorted".
"""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    import pysam.bcftools
    from pysam.utils import SamtoolsError

    try:
        pysam.bcftools.csq(*arguments, catch_stdout=False)
    except SamtoolsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write(pysam.bcftools.csq.get_messages() or "")  # type: ignore[no-untyped-call]
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
