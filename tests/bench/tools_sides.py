"""The three sides of the comparison: each runs once and tells when its two parts began and ended."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import demo_spans
from tests.bench.tools_material import DEPTH, SEED, Material, memory_mb

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = ("bwa", "samtools", "bcftools", "tabix")

Window = tuple[float, float]


def script(material: Material, out: Path) -> tuple[Window, Window, float]:
    out.mkdir()
    environment = os.environ | script_environment(material, out)
    moments = [time.time()]
    for part in ("reads", "panel"):
        status = subprocess.run([str(HERE / "bare_demo.sh"), part], env=environment, check=False).returncode
        if status:
            logs = sorted(out.glob("**/log"), key=lambda log: log.stat().st_mtime)
            said = "\n".join(line for log in logs[-2:] for line in log.read_text(errors="replace").splitlines()[-5:])
            raise SystemExit(f"bare_demo.sh {part} ended with {status}:\n{said}")
        moments.append(time.time())
    return (moments[0], moments[1]), (moments[1], moments[2]), 0.0


def script_environment(material: Material, out: Path) -> dict[str, str]:
    from chassis.tools import gatk, jars, java
    from services.jointcall.engines.gatk import HEAP_FRACTION

    memory = memory_mb()
    quick = (gatk.QUICK,) if memory < gatk.QUICK_BELOW_MB else ()
    reference = material.job["reference"]
    return {
        "RUN": str(material.run),
        "REF": reference["fasta"],
        "GFF": reference["gff"],
        "PLAN": str(material.plan),
        "OUT": str(out),
        "SLOTS": str(max(material.job["slots"].values())),
        "SAMPLES": " ".join(material.samples),
        "JAVA": str(java.find_java()),
        "GATK_JARS": jars.classpath(jars.fetch(jars.load(gatk.PINS))),
        "GATK_FLAGS": " ".join((*gatk.JVM_FLAGS, *quick, *gatk.SYSTEM_PROPERTIES)),
        "HEAP_MB": str(int(memory * gatk.HEAP_FRACTION)),
        "HEAP_JOINT_MB": str(int(memory * HEAP_FRACTION)),
        "PYTHONPATH": str(ROOT),
        **{name.upper(): program(name) for name in PROGRAMS},
    }


def program(name: str) -> str:
    """The program of that name, else the one out of a wheel."""
    return shutil.which(name) or f"{sys.executable} {HERE / 'wheel_tools.py'} {name}"


def loop(material: Material, out: Path, *, shared: bool = False) -> tuple[Window, Window, float]:
    out.mkdir()
    job = out / "job.json"
    job.write_text(json.dumps(material.job | {"out": str(out), "shared": shared}))
    begun = time.time()
    with (out / "log").open("wb") as log:
        ended = subprocess.run(
            [sys.executable, "-m", "tests.bench.bare_loop", str(job)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            check=False,
        )
    if ended.returncode:
        raise SystemExit(f"bare_loop ended with {ended.returncode}:\n{(out / 'log').read_text()[-2000:]}")
    told = json.loads(ended.stdout.splitlines()[-1])
    return (begun, told["called"]), (told["called"], told["released"]), 0.0


def shared_loop(material: Material, out: Path) -> tuple[Window, Window, float]:
    return loop(material, out, shared=True)


def demo(material: Material, out: Path) -> tuple[Window, Window, float]:
    argv = demo_command(len(material.samples), out)
    ended = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if ended.returncode:
        raise SystemExit(f"{' '.join(argv)} ended with {ended.returncode}")
    (out / "demo.json").write_bytes(ended.stdout)
    run_folder = demo_spans.first_run(out / "runs")
    if content_sum(run_folder) != content_sum(material.run):
        raise SystemExit("the demo's reads are not those that the bare sides had: the comparison is void")
    when = demo_spans.moments(out / "state", run_folder)
    return (when.seen, when.called), (when.asked, when.released), when.waited


def demo_command(people: int, out: Path) -> list[str]:
    options = ["--json", "--people", str(people), "--seed", str(SEED), "--depth", str(DEPTH), "--keep", str(out)]
    return [sys.executable, "-m", "console.app", "demo", *options]


def content_sum(run_folder: Path) -> str:
    """Over all FASTQs' names and reads."""
    total = hashlib.sha256()
    for path in sorted(run_folder.rglob("*.fastq.gz")):
        total.update(path.name.encode() + hashlib.sha256(gzip.decompress(path.read_bytes())).digest())
    return total.hexdigest()


def records(vcfs: Sequence[Path]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Place and alleles -> FILTER and genotypes."""
    found = {}
    for vcf in vcfs:
        with gzip.open(vcf, "rt") as lines:
            for line in lines:
                if not line.startswith("#"):
                    columns = line.rstrip("\n").split("\t")
                    key = (columns[0], columns[1], columns[3], columns[4])
                    # phase (0|1) is a matter of active regions, which interval edges move
                    genotypes = (sorted(cell.split(":", 1)[0].replace("|", "/").split("/")) for cell in columns[9:])
                    found[key] = (columns[6], *("/".join(one) for one in genotypes))
    return found


def panels(side: str, out: Path) -> list[Path]:
    where = {
        "script": "panel-*.vcf.gz",
        "loop": "panel/*.vcf.gz",
        "shared": "panel/*.vcf.gz",
        "demo": "panel-1/*.vcf.gz",
    }
    return sorted(out.glob(where[side]))
