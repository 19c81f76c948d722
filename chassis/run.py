"""The two entry points of every service: `consume` turns events into task rows, `work` runs tasks.

What only `consume` needs (migrations, Kafka) is imported there: workers are many and should start fast and stay small.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from chassis.health.expected import Expected, load_expected
from chassis.health.process import STARTING, LedgerAnswers, attended, beside
from chassis.health.pulse import Beat, Pulse
from chassis.health.reach import StoreReached
from chassis.ledger.ledger import Ledger, open_ledger
from chassis.ledger.trouble import TROUBLE
from chassis.service import Running, Service, build
from chassis.settings import HealthSettings, Settings
from chassis.storage import StoreUnavailable, open_store
from chassis.telemetry.setup import meter, telemetry
from chassis.worker.sweeper import sweep_orphans, sweeping
from chassis.worker.worker import PATIENCE_SECONDS, Work, Worker

if TYPE_CHECKING:
    from chassis.health.census import Census
    from chassis.telemetry.scrape import Scrape

log = logging.getLogger(__name__)

DECISION_POLL_SECONDS = 1.0
ORPHAN_SWEEP_SECONDS = 3600.0
KAFKA_REST_SECONDS = 5.0
"""Between two tries to join the consumer group while no broker answers."""
NEXT_DECISION = "select id, item, actor, reason from decision order by id limit 1"
DECIDED = "delete from decision where id = $1"


async def consume(builder: str, settings: Settings) -> None:
    """Run a service's consumer, relay, sweeper and loops until SIGTERM or SIGINT."""
    from chassis.cost.prices import load_prices
    from chassis.health.census import Census
    from chassis.ledger.migrate import migrate
    from chassis.messaging.common import with_common

    service = with_common(build(builder, settings))
    expected = load_expected(service.name, own=settings.watch.expected)
    prices = load_prices(settings.cost.prices)
    with _telemetry(service, "consume", settings) as scrape:
        async with _attended(service, "consume", settings, scrape) as pulse:
            dsn = settings.ledger.url()
            await migrate(dsn=dsn, service=service.name, versions=service.migrations)
            async with (
                open_ledger(dsn=dsn, service=service.name, pool_size=settings.ledger.pool_size) as ledger,
                open_store(settings.store) as store,
            ):
                running = Running(settings=settings, ledger=ledger, store=store)
                census: Census | None = None
                pushed = settings.telemetry.otlp_endpoint is not None and settings.telemetry.otlp_metrics
                if scrape is not None or pushed:
                    census = Census(service=service, prices=prices, meter=meter())
                if scrape is not None and census is not None:
                    scrape.add(census.histograms)
                await _until_told(lambda: _consuming(service, settings, running, pulse, expected, census))


async def work(builder: str, settings: Settings, *, pools: tuple[str, ...], slots: int, until_empty: bool) -> None:
    """Run a worker until SIGTERM or SIGINT; then it drains and releases what it holds."""
    service = build(builder, settings)
    with _telemetry(service, "work", settings) as scrape:
        dsn = settings.ledger.url()
        async with (
            _attended(service, "work", settings, scrape) as pulse,
            open_ledger(dsn=dsn, service=service.name, pool_size=slots + 3) as ledger,
            beside(_asked(pulse, ledger, settings.health), _store_asked(pulse, settings)),
        ):
            pulse.over(STARTING)
            worker = Worker(
                work=Work(
                    service=service,
                    builder=builder,
                    settings=settings,
                    pools=pools,
                    slots=slots,
                    until_empty=until_empty,
                ),
                ledger=ledger,
                pulse=pulse,
            )
            loop = asyncio.get_running_loop()
            for told in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(told, worker.stop)
            await worker.run()


def _telemetry(service: Service, role: str, settings: Settings) -> AbstractContextManager[Scrape | None]:
    return telemetry(
        service=service.name,
        process=role,
        state_dir=settings.state_dir,
        settings=settings.telemetry,
        scraped=settings.health.port is not None,
    )


def _attended(
    service: Service, role: str, settings: Settings, scrape: Scrape | None
) -> AbstractAsyncContextManager[Pulse]:
    return attended(
        service=service.name,
        role=role,
        state_dir=settings.state_dir,
        settings=settings.health,
        metrics=scrape.page if scrape is not None else None,
        scratch=settings.worker.scratch if role == "work" else None,
    )


async def _consuming(
    service: Service, settings: Settings, running: Running, pulse: Pulse, expected: Expected, census: Census | None
) -> None:
    from chassis.health.census import LONGEST_REST as LONGEST_COUNT
    from chassis.health.census import LOOK_S, counting
    from chassis.health.stuck import LONGEST_REST, watching
    from chassis.messaging.catchup import catching_up
    from chassis.messaging.consumer import group_of
    from chassis.messaging.relay import relay

    ledger, ttl = running.ledger, timedelta(seconds=settings.worker.lease_seconds)
    async with asyncio.TaskGroup() as group:
        group.create_task(_asked(pulse, ledger, settings.health))
        group.create_task(_listening(service, settings, ledger, pulse))
        group.create_task(relay(ledger, settings.kafka, beat=pulse.expect("relay", within_s=PATIENCE_SECONDS)))
        group.create_task(catching_up(ledger, settings.kafka, group=group_of(service.name)))
        beat = pulse.expect("sweeper", within_s=ttl.total_seconds() + PATIENCE_SECONDS)
        group.create_task(sweeping(ledger, service, ttl=ttl, beat=beat))
        group.create_task(_orphans(running, ttl=ttl))
        group.create_task(_replays(ledger, service, pulse.expect("replays", within_s=PATIENCE_SECONDS)))
        beat = pulse.expect("watchdog", within_s=LONGEST_REST * settings.watch.every_seconds + PATIENCE_SECONDS)
        group.create_task(watching(service, ledger, expected, every_s=settings.watch.every_seconds, beat=beat))
        if census is not None:
            beat = pulse.expect("census", within_s=LONGEST_COUNT * LOOK_S + PATIENCE_SECONDS)
            group.create_task(counting(census, ledger, beat=beat))
        for loop in service.loops:
            group.create_task(loop(running))
        pulse.over(STARTING)


async def _listening(service: Service, settings: Settings, ledger: Ledger, pulse: Pulse) -> None:
    """Consume; while no broker answers at the start, try again: the relay gauges the outbox meanwhile, the sweeper
    sweeps. Raises ConsumerSilent when polling stops later."""
    from aiokafka.errors import KafkaError

    from chassis.messaging.consumer import SILENCE_SECONDS, Consumption

    beat = pulse.expect("consumer", within_s=SILENCE_SECONDS + PATIENCE_SECONDS)
    consumption: Consumption | None = None
    trouble: str | None = None

    def why_not() -> str | None:
        said = consumption.why_not() if consumption is not None else None
        return said and (trouble or said)

    while True:
        consumption = Consumption(service=service, ledger=ledger, settings=settings.kafka)
        pulse.require("Kafka", why_not)
        try:
            await consumption.start()
            trouble = None
            await consumption.watch(beat)
        except (KafkaError, OSError) as error:
            trouble = f"cannot be reached ({type(error).__name__})"
            log.warning("Kafka cannot be reached; trying again", extra={"error": type(error).__name__})
        finally:
            await consumption.stop()
        beat()
        await asyncio.sleep(KAFKA_REST_SECONDS)


async def _asked(pulse: Pulse, ledger: Ledger, settings: HealthSettings) -> None:
    answers = LedgerAnswers(ledger, beat_s=settings.beat_seconds)
    pulse.require("ledger", answers.why_not)
    await answers.asking(pulse.expect("ledger asked", within_s=PATIENCE_SECONDS))


async def _store_asked(pulse: Pulse, settings: Settings) -> None:
    reached = StoreReached(settings.store)
    pulse.require("store", reached.why_not)
    await reached.asking()


async def _replays(ledger: Ledger, service: Service, beat: Beat) -> None:
    from chassis.messaging.receive import replay

    while True:
        beat()
        try:
            async with ledger.connection() as conn:
                row = await conn.fetchrow(NEXT_DECISION)
            if row is None:
                await asyncio.sleep(DECISION_POLL_SECONDS)
                continue
            await replay(ledger, service.subscriptions, row["item"], actor=row["actor"], reason=row["reason"])
            async with ledger.connection() as conn:
                await conn.execute(DECIDED, row["id"])
        except TROUBLE:
            await asyncio.sleep(DECISION_POLL_SECONDS)


async def _orphans(running: Running, *, ttl: timedelta) -> None:
    while True:
        await asyncio.sleep(ORPHAN_SWEEP_SECONDS)
        try:
            removed = await sweep_orphans(running.ledger, running.store, older_than=2 * ttl)
        except (*TROUBLE, StoreUnavailable) as error:
            log.warning("no sweep of abandoned attempts this time", extra={"error": type(error).__name__})
            continue
        if removed:
            log.info("abandoned attempts removed", extra={"objects": len(removed)})


async def _until_told(body: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run until the body ends, or SIGTERM or SIGINT cancels it."""
    running = asyncio.ensure_future(body())
    told = False

    def stop() -> None:
        nonlocal told
        told = True
        running.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await running
    except asyncio.CancelledError:
        if not told:
            raise
    except Exception:
        # the supervisor starts this process again; the log must say why it was needed
        log.exception("the service ends")
        raise
