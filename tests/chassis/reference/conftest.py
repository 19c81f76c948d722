"""Small references: random sequences from a seed, runs of N where a test wants them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from chassis.storage.file import FileStore


def bases(length: int, seed: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=length))


def write_fasta(path: Path, contigs: dict[str, str], *, width: int = 60) -> Path:
    lines = []
    for name, sequence in contigs.items():
        lines.append(f">{name} any description")
        lines += [sequence[at : at + width] for at in range(0, len(sequence), width)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def genome() -> dict[str, str]:
    return {"chr1": bases(400, 1) + "N" * 60 + bases(300, 2), "chr2": bases(500, 3)}


@pytest.fixture
def fasta(genome: dict[str, str], tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "genome.fa", genome)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(root=tmp_path / "store")
