"""Write ref.fa, r1.fq.gz and r2.fq.gz: pairs of every kind that bwa treats in a way of its own. See README.md."""

import gzip
import random
from pathlib import Path

HERE = Path(__file__).parent
READ_BP = 100
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


def reverse(bases: str) -> str:
    return bases.translate(_COMPLEMENT)[::-1]


def main() -> None:
    rng = random.Random(17)

    def bases(length: int) -> str:
        return "".join(rng.choices("ACGT", k=length))

    repeat = bases(400)
    contigs = {
        "one": bases(1500) + repeat + bases(900) + repeat + bases(800),
        "two": bases(700) + reverse(repeat) + bases(1200),
    }

    def cut(contig: str, start: int) -> str:
        return contigs[contig][start : start + READ_BP]

    def pair(contig: str, insert: int) -> tuple[str, str]:
        start = rng.randrange(len(contigs[contig]) - insert)
        ends = cut(contig, start), reverse(cut(contig, start + insert - READ_BP))
        return ends if rng.random() < 0.5 else (ends[1], ends[0])

    def chimera() -> str:
        at = rng.randrange(40, 60)
        left, right = cut("one", rng.randrange(1300)), cut("two", rng.randrange(1500))
        read = left[:at] + (right if rng.random() < 0.5 else reverse(right))[: READ_BP - at]
        return read if rng.random() < 0.5 else reverse(read)

    pairs = [pair(rng.choice(("one", "one", "two")), max(150, round(rng.gauss(300, 30)))) for _ in range(280)]
    pairs += [pair("one", rng.randrange(600, 2500)) for _ in range(12)]  # too far apart
    pairs += [pair("one", insert) for insert in range(380, 480, 4)]  # about the longest proper distance
    pairs += [(pair("one", 300)[0], pair("two", 300)[1]) for _ in range(12)]  # on two contigs
    pairs += [(cut("one", a), cut("one", a + 200)) for a in rng.sample(range(1200), 8)]  # both forward
    pairs += [(reverse(cut("one", a)), cut("one", a + 250)) for a in rng.sample(range(1200), 8)]  # facing outwards
    pairs += [(pair("one", 300)[0], bases(READ_BP)) for _ in range(10)]  # the mate is from elsewhere
    pairs += [(bases(READ_BP), pair("two", 300)[0]) for _ in range(10)]
    pairs += [(bases(READ_BP), bases(READ_BP)) for _ in range(5)]
    pairs += [(chimera(), pair("two", 300)[1]) for _ in range(15)] + [
        (pair("one", 300)[0], chimera()) for _ in range(15)
    ]
    rng.shuffle(pairs)

    (HERE / "ref.fa").write_text("".join(f">{name}\n{text}\n" for name, text in contigs.items()))
    for mate in (0, 1):
        # no time in the gzip header: the same bytes from each run
        with (HERE / f"r{mate + 1}.fq.gz").open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
            for number, reads in enumerate(pairs):
                read = "".join(rng.choice("ACGTN") if rng.random() < 0.01 else base for base in reads[mate])
                qualities = "".join(rng.choice("#,:F") if rng.random() < 0.1 else "F" for _ in read)
                out.write(f"@M1:1:FC:1:1:{number}:7 {mate + 1}:N:0:ACGT\n{read}\n+\n{qualities}\n".encode())


if __name__ == "__main__":
    main()
