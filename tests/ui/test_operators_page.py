"""The operators' page in a real browser: seen, walked by keyboard, left open, acted on."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.page.planting import LABELLED, RELEASED, RUN, WORKING, key
from tests.ui.conftest import Look, Served

pytestmark = [pytest.mark.ui, pytest.mark.stack]

AUDIT = (Path(__file__).parent / "audit.js").read_text(encoding="utf-8")
PAGES = (
    "/",
    "/attention",
    "/runs",
    f"/runs/{RUN}",
    "/samples",
    f"/samples/{key(5)}",
    "/cohorts",
    f"/freezes/{WORKING}",
    f"/freezes/{WORKING}?by=time",
    f"/freezes/{WORKING}?by=retries",
    f"/freezes/{RELEASED}",
    "/pools",
    "/quarantine",
    "/quarantine/align/1",
    "/storage",
    "/audit",
    "/find?q=nothing",
)
CHARTED = ("/pools", "/storage", f"/freezes/{WORKING}", f"/freezes/{RELEASED}")


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 400), ("dark", 400)])
async def test_every_page_is_accessible_fits_and_stays_at_home(look: Look, shots: Path, theme: str, width: int) -> None:
    looked = await look("/", theme=theme, width=width, sign_in=True)
    found: dict[str, list[str]] = {}
    for path in PAGES:
        await looked.page.goto(path)
        if path in CHARTED:
            await looked.page.locator(".chart").scroll_into_view_if_needed()
            await expect(looked.page.locator(".plot .main-svg").first).to_be_visible(timeout=60_000)
        wrong = await looked.page.evaluate(AUDIT)
        if wrong:
            found[path] = wrong
        await looked.page.screenshot(path=shots / f"{name_of(path)}-{theme}-{width}.png", full_page=True)
    assert found == {}
    assert looked.wrong == []
    assert looked.elsewhere == []


def name_of(path: str) -> str:
    parts = urlsplit(path)
    return "-".join(
        filter(None, (parts.path.strip("/").replace("/", "-").replace(":", "-") or "overview", parts.query))
    )


FOCUSED = """
(() => { const one = document.activeElement; return one.getAttribute("aria-label") || one.innerText || one.name })()
"""


async def focused(page: Page) -> str:
    return str(await page.evaluate(FOCUSED))


async def test_the_keyboard_reaches_everything_and_shows_where_it_is(look: Look) -> None:
    page = (await look(f"/freezes/{WORKING}")).page
    await page.keyboard.press("Tab")
    assert await focused(page) == "Skip to the page"
    assert await page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert await focused(page) == "Cohorts"  # the crumb: the header was skipped
    stops = []
    for _ in range(200):
        await page.keyboard.press("Tab")
        stops.append(await focused(page))
        ring = await page.evaluate(
            "(() => { const one = document.activeElement; const style = getComputedStyle(one);"
            " const inner = one.querySelector('.cell'); return style.outlineStyle !== 'none' || !!inner; })()"
        )
        assert ring, f"no focus ring on {stops[-1]}"
        if "Pause updates" in stops[-1]:
            break
    cells = [stop for stop in stops if stop.startswith("chr") and "," in stop]
    assert len(cells) == 1, "the map is one stop"
    assert {"state", "time", "retries", "Pause updates"} <= set(stops)


async def test_arrow_keys_walk_the_map_and_a_line_says_each_interval(look: Look) -> None:
    page = (await look(f"/freezes/{WORKING}")).page
    await page.locator(".spot").first.focus()
    first = await focused(page)
    await page.keyboard.press("ArrowRight")
    second = await focused(page)
    assert first.startswith("chr1:1-")
    assert second.startswith("chr1:4,980,001-")
    await expect(page.locator("#map-said")).to_have_text(second)
    await page.keyboard.press("ArrowDown")
    assert (await focused(page)).startswith("chr2:")
    await page.keyboard.press("End")
    assert (await focused(page)).startswith("chrX:")


async def test_an_open_page_follows_what_happens_and_disturbs_nobody(look: Look, served: Served) -> None:
    page = (await look(f"/samples/{key(12)}", sign_in=True)).page
    await page.evaluate("window.untouched = true")
    await page.get_by_text("Hold…").click()
    reason = page.locator("#act-hold input[name=reason]")
    await expect(reason).to_be_focused()
    await reason.fill("half a sen")
    opened = page.locator("details[id^=attempts]").first
    await opened.locator("summary").click()
    await reason.focus()
    await page.evaluate("window.scrollTo(0, 240)")
    await served.tell("update align.sample_version set state = 'calling', since = now() where sample = $1", key(12))
    try:
        await expect(page.locator(".way")).to_contain_text("calling", timeout=10_000)
        assert await page.evaluate("window.untouched") is True
        assert await page.evaluate("window.scrollY") == 240
        await expect(reason).to_be_focused()
        await expect(reason).to_have_value("half a sen")
        await expect(opened).to_have_attribute("open", "")
    finally:
        await served.tell("update align.sample_version set state = 'called' where sample = $1", key(12))


async def test_updates_can_be_paused(look: Look) -> None:
    page = (await look("/pools")).page
    await page.get_by_role("button", name="Pause updates").click()
    await expect(page.get_by_role("button", name="Resume updates")).to_have_attribute("aria-pressed", "true")
    await page.wait_for_load_state("networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.evaluate("new Promise(done => setTimeout(done, 1500))")
    assert asked == []


async def test_an_operator_signs_in_and_replays_with_a_reason(look: Look, served: Served) -> None:
    looked = await look("/quarantine/align/1")
    page = looked.page
    assert await page.get_by_text("Replay…").count() == 0
    await page.get_by_role("link", name="Sign in").first.click()
    await page.get_by_label("Your name").fill("alice")
    await page.get_by_label("Token").fill("a-token-that-nobody-guesses")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{served.address}/quarantine/align/1")
    await page.get_by_text("Replay…").click()
    await page.get_by_role("button", name="Replay").click()
    await expect(page.locator("#reason-replay:invalid")).to_be_focused()  # without a reason nothing is sent
    await page.keyboard.type("the reference is registered now")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Asked: replay align/1")
    await expect(page.locator(".way")).to_contain_text("not noted yet by align")
    request = await page.locator("#live > p code").inner_text()
    await served.tell(
        "insert into align.audit (request_id, type, subject, actor, reason, received_at)"
        " values ($1, 'quarantine.decision.requested', 'align/1', 'alice', 'the reference is registered now', now())",
        request,
    )
    await expect(page.locator(".way")).to_contain_text("noted by align", timeout=10_000)
    await page.goto("/audit")
    await expect(page.locator("tbody tr").first).to_contain_text("alice")
    assert looked.wrong == []
    assert looked.elsewhere == []


async def test_labels_are_for_who_is_signed_in(look: Look) -> None:
    stranger = (await look(f"/samples/{key(1)}")).page
    await expect(stranger.get_by_role("heading", level=1)).to_contain_text("smp_")
    operator = (await look(f"/samples/{key(1)}", sign_in=True)).page
    await expect(operator.get_by_role("heading", level=1)).to_contain_text(LABELLED)


async def test_without_scripts_it_all_stands_there(chromium: Browser, served: Served) -> None:
    context = await chromium.new_context(java_script_enabled=False, base_url=served.address)
    try:
        page = await context.new_page()
        await page.goto(f"/freezes/{WORKING}")
        assert await page.locator("svg.chromosome").count() == 4
        assert await page.locator("tbody tr").count() >= 50
        await page.goto("/runs")
        assert "reload the page" in await page.locator("footer").inner_text()
    finally:
        await context.close()
