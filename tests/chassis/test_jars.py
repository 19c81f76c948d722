"""Pinned jars: only what was pinned is used, a broken download starts again, and a full cache needs no network."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from chassis.errors import Rejected
from chassis.tools import jars
from chassis.tools.jars import Jar, JarSet, classpath, fetch, fetch_with_bar, load, missing

ROOT = Path(__file__).parents[2]
CONTENT = {f"org.example:tool-{letter}:1.{letter}0": letter.encode() * 1000 for letter in "123"}


@pytest.fixture
def pinned() -> JarSet:
    return JarSet(
        name="example",
        jars=tuple(
            Jar(coordinate=name, sha256=hashlib.sha256(content).hexdigest(), size=len(content))
            for name, content in CONTENT.items()
        ),
    )


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "RETRY_PAUSE_S", 0.0)


class Repository:
    """Stands in for jgo: hands out what it is told to, and counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: dict[str, list[bytes | Exception]] = {}

    def __call__(self, jar: Jar, folder: Path, came: Callable[[int], None]) -> Path:
        self.asked.append(jar.coordinate)
        queue = self.answers.get(jar.coordinate)
        answer = queue.pop(0) if queue else CONTENT[jar.coordinate]
        if isinstance(answer, Exception):
            raise answer
        assert not any(folder.iterdir()), "each try gets an empty folder"
        path = folder / "came.jar"
        path.write_bytes(answer)
        came(len(answer))
        return path


@pytest.fixture
def repository() -> Repository:
    return Repository()


def nobody(jar: Jar, folder: Path, came: Callable[[int], None]) -> Path:
    raise AssertionError(f"the network was touched for {jar.coordinate}")


# -- pins files


@pytest.mark.parametrize(
    ("file", "count"), [("chassis/tools/pins/gatk-4.6.2.0.pins", 58), ("deploy/embedded/pins/kafka-4.3.1.pins", 46)]
)
def test_the_shipped_pins_load(file: str, count: int) -> None:
    assert len(load(ROOT / file).jars) == count


@pytest.mark.parametrize(
    "line",
    [
        "org.example:tool " + "0" * 64 + " 10",
        "org.example:../../tool:1 " + "0" * 64 + " 10",
        "org.example:tool:.. " + "0" * 64 + " 10",
        "org.example:tool:1 " + "z" * 64 + " 10",
        "org.example:tool:1 " + "0" * 64 + " 0",
        "org.example:tool:1 " + "0" * 64,
        "org.example:first:1 " + "0" * 64 + " 10",
    ],
)
def test_a_bad_pin_names_its_line(tmp_path: Path, line: str) -> None:
    pins = tmp_path / "some.pins"
    pins.write_text("# a comment\n\norg.example:first:1 " + "0" * 64 + f" 10\n{line}\n")
    with pytest.raises(Rejected) as refused:
        load(pins)
    assert refused.value.rejection.code == "PIN_FORMAT"
    assert refused.value.rejection.where == "some.pins, line 4"


# -- fetching


def test_jars_come_in_class_path_order_and_stay(pinned: JarSet, repository: Repository, tmp_path: Path) -> None:
    paths = fetch(pinned, cache=tmp_path, resolve=repository)

    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert classpath(paths).split(os.pathsep) == [str(path) for path in paths]
    assert sorted(repository.asked) == sorted(CONTENT)
    assert not list(tmp_path.glob("incoming-*"))
    assert fetch(pinned, cache=tmp_path, resolve=nobody) == paths


def test_progress_grows_to_the_total(pinned: JarSet, repository: Repository, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    fetch(pinned, cache=tmp_path, resolve=repository, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (pinned.size, pinned.size)


def test_a_jar_with_a_wrong_sum_is_refused_and_set_aside(
    pinned: JarSet, repository: Repository, tmp_path: Path
) -> None:
    victim = pinned.jars[1]
    repository.answers[victim.coordinate] = [b"x" * victim.size]

    with pytest.raises(Rejected) as refused:
        fetch(pinned, cache=tmp_path, resolve=repository)

    rejection = refused.value.rejection
    target = victim.path_in(tmp_path)
    assert rejection.code == "JAR_SUM"
    assert victim.coordinate in rejection.message and victim.sha256 in rejection.rule and rejection.fix
    assert rejection.where == f"{target}.refused" and Path(rejection.where).exists()
    assert not target.exists()
    assert victim in missing(pinned, cache=tmp_path)


def test_a_jar_that_is_too_long_is_refused(pinned: JarSet, repository: Repository, tmp_path: Path) -> None:
    victim = pinned.jars[0]
    repository.answers[victim.coordinate] = [CONTENT[victim.coordinate] + b"more"]
    with pytest.raises(Rejected, match="JAR_SUM"):
        fetch(pinned, cache=tmp_path, resolve=repository)


def test_a_download_that_breaks_off_starts_again(pinned: JarSet, repository: Repository, tmp_path: Path) -> None:
    victim = pinned.jars[2]
    repository.answers[victim.coordinate] = [ConnectionError("reset"), CONTENT[victim.coordinate][:100]]
    paths = fetch(pinned, cache=tmp_path, resolve=repository)
    assert paths[2].read_bytes() == CONTENT[victim.coordinate]
    assert repository.asked.count(victim.coordinate) == 3


def test_a_truncated_jar_in_the_cache_is_fetched_anew(pinned: JarSet, repository: Repository, tmp_path: Path) -> None:
    paths = fetch(pinned, cache=tmp_path, resolve=repository)
    paths[0].write_bytes(paths[0].read_bytes()[:10])
    repository.asked.clear()

    fetch(pinned, cache=tmp_path, resolve=repository)

    assert repository.asked == [pinned.jars[0].coordinate]
    assert paths[0].read_bytes() == CONTENT[pinned.jars[0].coordinate]


def test_a_jar_changed_in_the_cache_is_set_aside_and_fetched_anew(
    pinned: JarSet, repository: Repository, tmp_path: Path
) -> None:
    paths = fetch(pinned, cache=tmp_path, resolve=repository)
    written = paths[0].stat().st_mtime_ns
    paths[0].write_bytes(b"x" * pinned.jars[0].size)
    os.utime(paths[0], ns=(written + 1, written + 1))

    fetch(pinned, cache=tmp_path, resolve=repository)

    assert paths[0].read_bytes() == CONTENT[pinned.jars[0].coordinate]
    assert paths[0].with_name(paths[0].name + ".refused").read_bytes() == b"x" * pinned.jars[0].size


def test_a_jar_that_cannot_be_had_says_how_to_go_on(pinned: JarSet, repository: Repository, tmp_path: Path) -> None:
    victim = pinned.jars[0]
    repository.answers[victim.coordinate] = [ConnectionError("no route")] * jars.FETCH_TRIES
    with pytest.raises(Rejected) as refused:
        fetch(pinned, cache=tmp_path, resolve=repository)
    assert refused.value.rejection.code == "JAR_UNREACHABLE"
    assert "COHORTSTREAM_CACHE" in refused.value.rejection.fix


def test_a_full_cache_needs_neither_network_nor_resolver(
    pinned: JarSet, repository: Repository, tmp_path: Path
) -> None:
    """The real `fetch`, with its real resolver, in a process that has neither sockets nor jgo."""
    pins = tmp_path / "example.pins"
    pins.write_text("".join(f"{jar.coordinate} {jar.sha256} {jar.size}\n" for jar in pinned.jars))
    cache = tmp_path / "cache" / "jars"
    fetch(pinned, cache=cache, resolve=repository)

    def offline(folder: Path) -> subprocess.CompletedProcess[str]:
        program = """
            import socket, sys
            from pathlib import Path
            sys.modules["jgo"] = sys.modules["requests"] = None
            def refuse(*arguments, **more):
                raise OSError("offline")
            socket.socket = socket.create_connection = refuse
            from chassis.tools.jars import fetch, load
            print(len(fetch(load(Path(sys.argv[1])))))
        """
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program), str(pins)],
            env={**os.environ, "COHORTSTREAM_CACHE": str(folder), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    warm = offline(tmp_path / "cache")
    assert (warm.returncode, warm.stdout.strip()) == (0, "3"), warm.stderr
    assert offline(tmp_path / "empty").returncode != 0, "the same process with an empty cache must fail"


def test_two_processes_that_fetch_at_once_fetch_each_jar_once(pinned: JarSet, tmp_path: Path) -> None:
    program = """
        import os, sys
        from pathlib import Path
        from chassis.tools.jars import fetch, load
        pins, cache, asked = map(Path, sys.argv[1:])
        def resolve(jar, folder, came):
            with asked.open("a") as log:
                log.write(jar.coordinate + "\\n")
            path = folder / "came.jar"
            path.write_bytes(jar.coordinate.split("-")[1][0].encode() * jar.size)
            return path
        for path in fetch(load(pins), cache=cache, resolve=resolve):
            assert path.exists()
    """
    pins, asked = tmp_path / "example.pins", tmp_path / "asked"
    pins.write_text("".join(f"{jar.coordinate} {jar.sha256} {jar.size}\n" for jar in pinned.jars))
    command = [sys.executable, "-c", textwrap.dedent(program), str(pins), str(tmp_path / "cache"), str(asked)]
    running = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert sorted(asked.read_text().splitlines()) == sorted(CONTENT)


def test_the_bar_names_the_set_and_is_not_drawn_for_a_full_cache(
    pinned: JarSet, repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "_through_jgo", repository)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    paths = fetch_with_bar(pinned, tmp_path, console)
    assert "fetching example" in screen.getvalue()

    screen.truncate(0)
    assert fetch_with_bar(pinned, tmp_path, console) == paths
    assert "fetching" not in screen.getvalue()
