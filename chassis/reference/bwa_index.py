"""Make bwa's index in a process of its own: bwa prints as it goes, and an hour's work should not hold a person's."""

from __future__ import annotations

import sys


def main() -> None:
    import pybwa

    pybwa.BwaIndex.index(sys.argv[1])


if __name__ == "__main__":
    main()
