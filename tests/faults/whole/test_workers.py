"""Faults of workers, struck in the whole system: run folder in, panel out, the same as if nothing had happened."""

from __future__ import annotations

import os
import signal

from console.supervisor import SERVICES
from tests.faults.whole.rows import seeded, seeded_and_real
from tests.support.flow.plant import Plant
from tests.support.working import alive

ENDINGS = "select ending from attempt where task_key like $1 and ending <> 'waiting' order by ended_at"
LARGER = """
select key, memory_class from task
where state = 'done' and exists (select from attempt where task_key = key and ending = 'crash')
"""
LOST = "select losses, crashes from task where losses > 0 and key like $1"


async def endings(plant: Plant, service: str, like: str) -> list[str]:
    return [row["ending"] for row in await plant.rows(service, ENDINGS, like)]


@seeded_and_real
async def test_fault_01_a_worker_killed_in_mid_interval(plant: Plant) -> None:
    going = await plant.submit()
    await going.called()
    plant.arm("jointcall.after-upload", signal.SIGSTOP)
    await going.freeze()
    await plant.struck("jointcall.after-upload")
    await plant.kill("jointcall", "work")
    assert await going.panel() == plant.undisturbed
    assert (await endings(plant, "jointcall", f"interval:{going.cohort}:%")).count("loss") == 1


@seeded_and_real
async def test_fault_02_a_worker_of_every_service_is_killed_when_all_is_stored_and_nothing_committed(
    plant: Plant,
) -> None:
    for service in SERVICES:
        plant.arm(f"{service}.before-commit", signal.SIGKILL)
    going = await plant.submit()
    assert await going.panel() == plant.undisturbed
    for service in SERVICES:
        await plant.struck(f"{service}.before-commit")
    aligned = [one for key in going.keys for one in await endings(plant, "align", f"%:{key}:%")]
    assert sorted(aligned) == ["done"] * 6 + ["loss"]


@seeded_and_real
async def test_fault_03_a_worker_of_every_service_is_killed_just_after_its_commit(plant: Plant) -> None:
    for service in SERVICES:
        plant.arm(f"{service}.after-commit", signal.SIGKILL)
    going = await plant.submit()
    assert await going.panel() == plant.undisturbed
    for service in SERVICES:
        await plant.struck(f"{service}.after-commit")
    for service in ("jointcall", "vqsr", "annotate"):
        ended = await endings(plant, service, f"%:{going.cohort}:%")
        assert set(ended) == {"done"}, "what was committed stays"


@seeded_and_real
async def test_fault_06_a_worker_that_sleeps_through_its_lease(plant: Plant) -> None:
    plant.arm("vqsr.before-commit", signal.SIGSTOP)
    going = await plant.submit()
    await going.called()
    await going.freeze()
    zombie = await plant.struck("vqsr.before-commit")
    async with plant.another("vqsr", "work"):
        assert await going.panel() == plant.undisturbed
        os.kill(zombie, signal.SIGCONT)
        await plant.quiet()
    assert sorted(set(await endings(plant, "vqsr", f"%:{going.cohort}:%"))) == ["done", "loss"]


@seeded_and_real
async def test_fault_10_a_worker_that_is_told_to_go(plant: Plant) -> None:
    """As before a spot machine is taken away: it gives its task back, and nobody waits for a lease to end."""
    plant.arm("align.after-upload", signal.SIGSTOP)
    going = await plant.submit()
    held = await plant.struck("align.after-upload")
    plant.signal("align", "work", signal.SIGTERM)
    assert await going.panel() == plant.undisturbed
    ended = [one for key in going.keys for one in await endings(plant, "align", f"align:{key}:%")]
    assert sorted(ended) == ["done", "done", "done", "preemption"]
    assert not alive(held), "its child has gone with it"


@seeded
async def test_fault_11_a_host_that_vanishes_is_a_loss_and_no_crash(plant: Plant) -> None:
    plant.arm("annotate.after-upload", signal.SIGSTOP)
    going = await plant.submit()
    await going.called()
    await going.freeze()
    await plant.struck("annotate.after-upload")
    await plant.kill("annotate", "work")
    assert await going.panel() == plant.undisturbed
    [lost] = await plant.rows("annotate", LOST, f"annotate:{going.cohort}:%")
    assert tuple(lost) == (1, 0)


@seeded
async def test_fault_13_workers_that_race(plant: Plant) -> None:
    async with plant.another("jointcall", "work", slots=2), plant.another("align", "work"):
        going = await plant.submit()
        assert await going.panel() == plant.undisturbed
    assert set(await endings(plant, "jointcall", f"interval:{going.cohort}:%")) == {"done"}
    epochs = await plant.rows("jointcall", "select epoch from task where key like $1", f"interval:{going.cohort}:%")
    assert {row["epoch"] for row in epochs} == {1}


@seeded
async def test_fault_32_work_that_wants_more_memory(plant: Plant) -> None:
    """Every seventh attempt runs out of it, and is made again in the next class."""
    told = plant.settings.state_dir / "flaky.toml"
    told.write_text('crash_rate = 0.15\nseed = 32\nmost_crashes = 1\nways = ["memory"]\n', encoding="utf-8")
    try:
        going = await plant.submit()
        assert await going.panel() == plant.undisturbed
        await plant.quiet()
    finally:
        told.unlink()
    classes = [row for service in SERVICES for row in await plant.rows(service, LARGER)]
    assert len(classes) > 3 and {row["memory_class"] for row in classes} == {"medium"}
