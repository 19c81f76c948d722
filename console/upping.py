"""`cohortstream up`: a site in the foreground, and what goes on in it, live."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from console.exits import Unreachable, WorkFailed
from console.output import console, span, state, table
from console.site import running_site
from console.snapshot import Snapshot, take
from console.stuck import said_of
from console.views import open_views

if TYPE_CHECKING:
    from rich.console import Console

    from chassis.settings import Settings
    from console.site import RunningSite
    from console.supervisor import Health

LOOK_S = 1.0
"""Between two looks at the ledgers: quick enough to watch, too seldom to load anything."""
LINES = 10
UP_DRAIN_S = 15.0
"""How long a chunk in hand may go on after Ctrl-C where the configuration does not say: a person is waiting."""


def run(settings: Settings) -> None:
    """Run until Ctrl-C or SIGTERM. Raises WorkFailed when a server ends by itself."""
    from deploy.embedded.progress import drawn

    if "drain_seconds" not in settings.worker.model_fields_set:
        worker = settings.worker.model_copy(update={"drain_seconds": UP_DRAIN_S})
        settings = settings.model_copy(update={"worker": worker})
    screen = console()
    with _told_to_leave():
        started = time.monotonic()
        with contextlib.ExitStack() as bars:
            progress = bars.enter_context(drawn(screen)) if screen.is_terminal else None
            say = lambda sentence: screen.print(sentence, style="dim")  # noqa: E731
            site = running_site(settings, progress=progress, say=say, grace_s=settings.worker.drain_seconds + 10)
            try:
                with site as running:
                    bars.close()
                    _greet(screen, running, time.monotonic() - started)
                    asyncio.run(_watch(running, screen))
                    screen.print("stopping: a chunk in hand may end, the rest is released; Ctrl-C again ends at once")
            except KeyboardInterrupt:
                screen.print("stopping")
    screen.print("stopped; `cohortstream up` goes on where it was")


def _greet(screen: Console, site: RunningSite, seconds: float) -> None:
    screen.print(f"the site is up after {span(seconds)}", style="bold green", markup=False)
    screen.print(f"  state    {site.settings.state_dir}", soft_wrap=True, markup=False)
    screen.print(f"  store    {site.settings.store.base}", soft_wrap=True, markup=False)
    roots = ", ".join(str(root) for root in site.settings.ingest.roots)
    screen.print(f"  runs     {roots or 'no folder is watched: set [ingest] roots'}", soft_wrap=True, markup=False)
    if site.settings.align.reference is None:
        screen.print(
            "  note     no reference is named in [align] reference: samples wait for one", style="yellow", markup=False
        )
    screen.print("Ctrl-C stops it. From another terminal: cohortstream status | doctor | cohort freeze NAME --all\n")


async def _watch(site: RunningSite, screen: Console) -> None:
    """Show what goes on until told to leave."""
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, leave.set)
    shown = _Live(screen) if screen.is_terminal else _Plain(screen)
    with shown:
        while not leave.is_set():
            with contextlib.suppress(Unreachable):  # Postgres that has gone shows in `ended` at the next look
                async with open_views(site.settings) as views:
                    while not leave.is_set():
                        shown.show(await take(views, subjects=200), site.services.health())
                        await _rest(site, leave)
            await _rest(site, leave)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.remove_signal_handler(number)


async def _rest(site: RunningSite, leave: asyncio.Event) -> None:
    if ended := site.ended():
        where = site.settings.state_dir / "logs"
        raise WorkFailed(f"{', '.join(ended)} ended by itself; its log is in {where}. Start `up` again.")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(leave.wait(), LOOK_S)


@contextlib.contextmanager
def _told_to_leave() -> Iterator[None]:
    """SIGTERM and a closed terminal end us as Ctrl-C does, also while servers start."""

    def leave(*_: Any) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = [signal.signal(number, leave) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class _Live:
    """A table that is drawn anew at each look."""

    def __init__(self, screen: Console) -> None:
        from rich.live import Live

        self._live = Live(console=screen, auto_refresh=False)

    def __enter__(self) -> _Live:
        self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._live.__exit__(*error)

    def show(self, snapshot: Snapshot, health: tuple[Health, ...]) -> None:
        self._live.update(frame(snapshot, health), refresh=True)


class _Plain:
    """A line for each change, for a log or a pipe."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._said: dict[tuple[str, str], str] = {}
        self._restarts: dict[str, int] = {}
        self._words: dict[str, str] = {}
        self._stuck: set[tuple[str, str, str, str]] = set()

    def __enter__(self) -> _Plain:
        return self

    def __exit__(self, *_: Any) -> None:
        return None

    def show(self, snapshot: Snapshot, health: tuple[Health, ...]) -> None:
        for line in reversed(snapshot.lines):
            said = f"{line.state}{f', waits for {line.waits_for}' if line.waits_for else ''}"
            if self._said.get((line.kind, line.subject)) != said:
                self._said[line.kind, line.subject] = said
                self._print(f"{line.kind} {snapshot.labels.shown(line.subject)}: {said}")
        for stuck in snapshot.stuck:
            if stuck.key not in self._stuck:
                self._print(f"stuck: {said_of(stuck, snapshot.labels)}")
        self._stuck = {stuck.key for stuck in snapshot.stuck}
        for one in health:
            if one.word == "hung" and self._words.get(one.name) != "hung":
                self._print(f"{one.name} hangs ({one.why_not}) and is killed if that lasts")
            self._words[one.name] = one.word
            if one.restarts != self._restarts.get(one.name, 0) or one.state == "refused":
                if self._restarts.get(one.name) == one.restarts:
                    continue
                self._restarts[one.name] = one.restarts
                self._print(f"{one.name} ended with status {one.last_status} ({one.state}); see {one.log}")

    def _print(self, sentence: str) -> None:
        self._screen.print(f"{datetime.now():%H:%M:%S}  {sentence}", markup=False, soft_wrap=True)


def frame(snapshot: Snapshot, health: tuple[Health, ...]) -> Any:
    """Services with their work, then the subjects that moved last."""
    from rich.console import Group

    return Group(services_table(snapshot, health), subjects_table(snapshot), *_complaints(snapshot, health))


def services_table(snapshot: Snapshot, health: tuple[Health, ...]) -> Any:
    by_service: dict[str, list[Any]] = {}
    for pool in snapshot.pools:
        by_service.setdefault(pool.service, []).append(pool)
    rows = []
    for name in dict.fromkeys(one.service for one in health):
        mine = [one for one in health if one.service == name]
        unwell = next((one for one in mine if not one.well), None)
        work = by_service.get(name, [])
        outbox = sum(o.backlog for o in snapshot.outboxes if o.service == name)
        rows.append(
            (
                name,
                "well" if unwell is None else state(unwell.word),
                *(str(sum(getattr(pool, what) for pool in work)) for what in ("queued", "running", "done", "failed")),
                str(outbox),
                str(snapshot.held.get(name, 0)),
                str(sum(one.restarts for one in mine)),
            )
        )
    columns = ("service", "process", "#queued", "#running", "#done", "#failed", "#outbox", "#quarantine", "#restarts")
    return table(columns, rows)


def subjects_table(snapshot: Snapshot) -> Any:
    latest = sorted(snapshot.lines, key=lambda line: line.since, reverse=True)[:LINES]
    rows = [
        (line.kind, snapshot.labels.shown(line.subject), state(line.state), _clock(line.since), line.waits_for or "")
        for line in latest
    ]
    return table(("", "subject", "state", "since", "waits for"), rows)


def _complaints(snapshot: Snapshot, health: tuple[Health, ...]) -> list[Any]:
    from rich.text import Text

    said = [
        Text(f"{one.name} {one.state} (status {one.last_status}): {one.last_words(1)[:300]}", style="red")
        for one in health
        if one.state == "refused" or (one.state == "resting" and one.restarts >= 1)
    ]
    said += [
        Text(f"{one.name} {one.word}: {one.why_not[:300]}", style="yellow")
        for one in health
        if one.state == "running" and not one.well
    ]
    said += [Text(f"stuck: {said_of(one, snapshot.labels)}", style="yellow") for one in snapshot.stuck[:LINES]]
    return said + [Text(note, style="dim") for note in snapshot.notes]


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"
