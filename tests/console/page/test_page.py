"""The operators' page, asked as a browser asks: what it shows to whom, what it refuses, what it publishes."""

from __future__ import annotations

import re

import pytest
from pydantic import SecretStr

from chassis.settings import LedgerSettings, Settings
from contracts.events import (
    ArtifactRestoreRequested,
    CohortFreezeRequested,
    Command,
    QuarantineDecisionRequested,
    SampleVerdictRequested,
    WorkCancelRequested,
    WorkReviveRequested,
)
from tests.console.page.asgi import Browser
from tests.console.page.conftest import TOKEN, Open
from tests.console.page.planting import (
    FAILED,
    HOSTILE,
    LABELLED,
    RELEASED,
    RUN,
    TRACE,
    WORKING,
    key,
    sha,
)

pytestmark = pytest.mark.stack

PAGES = {
    "/": "Overview",
    "/attention": "Needs a person",
    "/runs": "Runs",
    f"/runs/{RUN}": RUN,
    "/samples": "Samples",
    "/samples?at=align&state=aligning": "Samples",
    f"/samples/{key(1)}": "smp_",
    f"/samples/{key(4)}": "smp_",
    "/cohorts": "Cohorts",
    f"/freezes/{WORKING}": WORKING,
    f"/freezes/{WORKING}?by=time&order=slowest&page=2": WORKING,
    f"/freezes/{WORKING}?by=retries": WORKING,
    f"/freezes/{RELEASED}": RELEASED,
    f"/freezes/{RELEASED}/files": "Files of",
    f"/freezes/{FAILED}": FAILED,
    "/pools": "Pools",
    "/quarantine": "Quarantine",
    "/quarantine?state=replayed": "Quarantine",
    "/quarantine/align/2": "Quarantine",
    "/storage": "Storage",
    f"/artifacts/{sha('fastq1')}": "Artifact",
    "/audit": "Audit",
    "/find?q=biobank": "Find",
    "/sign-in": "Sign in",
}


async def test_every_page_is_whole_says_its_title_and_carries_no_label_for_a_stranger(open_page: Open) -> None:
    browser = open_page()
    for path, title in PAGES.items():
        answer = await browser.get(path)
        assert answer.status == 200, (path, answer.words[:300])
        assert re.search(rf"<title>{re.escape(title)}[^<]* · cohortstream</title>", answer.text), path
        assert answer.text.rstrip().endswith("</html>"), path
        assert answer.text.count("<h1") == 1, path
        assert LABELLED not in answer.text, path
        assert "_R1.fastq.gz" not in answer.text, path
        assert "/instruments/a" not in answer.text, path
        assert "/act/" not in answer.text, path


async def test_whoever_signs_in_sees_labels_escaped_and_file_names(signed_in: Browser) -> None:
    assert LABELLED in (await signed_in.get(f"/samples/{key(1)}")).words
    assert f"{LABELLED}_L001_R1.fastq.gz" in (await signed_in.get(f"/samples/{key(1)}")).words
    for path in (*PAGES, f"/samples/{key(2)}"):
        assert HOSTILE not in (await signed_in.get(path)).text, path
    assert "&lt;script&gt;alert" in (await signed_in.get(f"/samples/{key(2)}")).text
    refused = (await signed_in.get(f"/runs/{RUN}")).words
    assert "FASTQ_TRUNCATED" in refused
    assert "HG00004_L001_R1.fastq.gz" in refused
    assert "HG00004 (GENOMES) ends within a record" in refused
    found = await signed_in.get(f"/find?q={LABELLED}")
    assert (found.status, found.headers["location"]) == (303, f"/samples/{key(1)}")


async def test_a_stranger_finds_nothing_by_a_label(open_page: Open) -> None:
    browser = open_page()
    assert "Nothing is called that" in (await browser.get(f"/find?q={LABELLED}")).words
    assert "No sample is like that" in (await browser.get(f"/samples?q={LABELLED}")).words


async def test_the_overview_puts_what_needs_a_person_first_with_why_and_what_to_do(open_page: Open) -> None:
    words = (await open_page().get("/attention")).words
    order = [words.index(part) for part in ("stuck: aligning", "SHEET_SYNTAX", "BUILD_MISMATCH", "contamination 0.034")]
    assert order == sorted(order)
    assert "pass it, or leave it out" in words
    assert "GVCF_ORDER" in words
    overview = (await open_page().get("/")).words
    assert "need a person" in overview
    assert "1 freeze in work" in overview  # the released one is not


async def test_the_interval_map_says_every_cell_in_words_and_where_it_lies(open_page: Open) -> None:
    text = (await open_page().get(f"/freezes/{WORKING}")).text
    cells = re.findall(r'<g role="listitem" aria-label="([^"]+)"[^>]*>.*?x="([\d.]+)%"[^>]*width="([\d.]+)%"', text)
    assert len(cells) == 142
    first, *_ = cells
    assert first[0].startswith("chr1:1-4,980,000, genotyped, ")
    assert "variants" in first[0]
    assert (float(first[1]), round(float(first[2]))) == (0.0, 2)
    assert any("running" in words for words, _, _ in cells)
    assert any("tried again (" in words for words, _, _ in cells)
    assert 'aria-label="chr20, 64,000,000 bases, 13 intervals: ' in text


async def test_long_lists_come_in_pages(open_page: Open) -> None:
    browser = open_page()
    first = await browser.get(f"/freezes/{WORKING}")
    second = await browser.get(f"/freezes/{WORKING}?page=2")
    assert "1–50 of 142 intervals" in first.words
    assert "51–100 of 142 intervals" in second.words
    assert "chr2:1-5,041,666" not in first.words.partition("Every interval")[2]
    assert "chr2:1-5,041,666" in second.words.partition("Every interval")[2]
    assert (await browser.get("/samples?page=nonsense")).status == 200
    assert (await browser.get("/runs?page=99999999999999999999")).status == 200


async def test_traces_are_linked_where_a_place_for_them_is_set(open_page: Open, planted: Settings) -> None:
    linked = planted.telemetry.model_copy(update={"traces_url": "https://traces.example.org/{trace_id}"})
    browser = open_page(settings=planted.model_copy(update={"telemetry": linked}))
    assert f'href="https://traces.example.org/{TRACE}"' in (await browser.get(f"/freezes/{WORKING}")).text
    plain = await open_page().get(f"/samples/{key(1)}")
    assert f"cohortstream trace {key(1)}" in plain.words


async def test_htmx_gets_the_live_region_alone(open_page: Open) -> None:
    answer = await open_page().get("/pools", hx_request="true")
    assert answer.text.lstrip().startswith('<div id="live"')
    assert "<html" not in answer.text


async def test_every_answer_is_guarded_and_nothing_comes_from_elsewhere(open_page: Open) -> None:
    browser = open_page()
    for path in ("/", "/nowhere", "/static/0/page.css", "/live"):
        headers = (await browser.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
    page = (await browser.get("/storage")).text
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert not re.search(r"<script(?![^>]* src=)(?![^>]*application/json)", page)
    assert not re.search(r'\s(?:style|on[a-z]+)="', page)
    for address in set(re.findall(r'(?:src|href|data-plotly)="(/static/[^"]+)"', page)):
        static = await browser.get(address)
        assert static.status == 200, address
        assert "immutable" in static.headers["cache-control"]


async def test_other_hosts_and_forms_of_other_sites_are_refused(signed_in: Browser, published: list[Command]) -> None:
    fields = {"subject": key(1), "reason": "because", "form_token": await form_token(signed_in)}
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec_fetch_site": "cross-site"}):
        assert (await signed_in.post("/act/hold", fields, **headers)).status == 403
    signed_in.host = "evil.example"
    assert (await signed_in.get("/")).status == 421
    assert published == []


async def test_without_a_token_nobody_signs_in_and_every_post_is_refused(
    open_page: Open, published: list[Command]
) -> None:
    browser = open_page(token=False)
    assert "read-only" in (await browser.get("/")).words
    assert (await browser.get("/sign-in")).status == 404
    for path in ("/sign-in", "/sign-out", *(f"/act/{verb}" for verb in ("hold", "pass", "cancel", "replay", "freeze"))):
        fields = {"subject": key(1), "reason": "because", "form_token": "x", "name": "alice", "token": TOKEN}
        assert (await browser.post(path, fields)).status == 403, path
    assert published == []


async def form_token(browser: Browser) -> str:
    return (await browser.get(f"/samples/{key(1)}")).token("/act/hold")


async def test_a_form_needs_its_token_and_a_reason(signed_in: Browser, published: list[Command]) -> None:
    token = await form_token(signed_in)
    stranger = await signed_in.post("/act/hold", {"subject": key(1), "reason": "because", "form_token": "guess"})
    assert stranger.status == 403
    silent = await signed_in.post("/act/hold", {"subject": key(1), "reason": "  ", "form_token": token})
    assert silent.status == 422
    assert "REASON_MISSING" in silent.words
    wrong = await signed_in.post("/act/hold", {"subject": "nobody", "reason": "because", "form_token": token})
    assert wrong.status == 422
    telling = {"subject": key(1), "reason": "asked by Jane Doe, born 1980-02-01", "form_token": token}
    assert "PHI_SUSPECTED" in (await signed_in.post("/act/hold", telling)).words
    assert published == []


async def test_actions_publish_the_command_with_who_asked_and_say_what_became_of_it(
    signed_in: Browser, published: list[Command]
) -> None:
    token = await form_token(signed_in)
    asked = (
        ("hold", key(1), SampleVerdictRequested),
        ("pass", key(11), SampleVerdictRequested),
        ("cancel", key(5), WorkCancelRequested),
        ("revive", key(4), WorkReviveRequested),
        ("replay", "align/1", QuarantineDecisionRequested),
        ("discard", "align/2", QuarantineDecisionRequested),
        ("restore", sha("fastq1"), ArtifactRestoreRequested),
        ("freeze", "biobank", CohortFreezeRequested),
    )
    for verb, subject, model in asked:
        fields = {"subject": subject, "reason": f"to {verb} it", "form_token": token, "back": f"/samples/{key(1)}"}
        answer = await signed_in.post(f"/act/{verb}", fields)
        assert answer.status == 303, (verb, answer.words)
        command = published[-1]
        assert isinstance(command, model), verb
        assert command.subject == subject
        assert command.model_dump()["actor"]["name"] == "alice"
        assert command.model_dump()["reason"] == f"to {verb} it"
        told = await signed_in.get(answer.headers["location"])
        assert "not noted yet by" in told.words
        assert str(command.request_id) in told.words
    assert [command.model_dump().get("verdict") for command in published[:2]] == ["hold", "pass"]
    assert [command.model_dump().get("decision") for command in published[4:6]] == ["replay", "discard"]


async def test_what_cannot_be_done_is_refused_in_the_words_of_the_command_line(
    signed_in: Browser, published: list[Command]
) -> None:
    token = await form_token(signed_in)
    for verb, subject, code in (
        ("revive", key(1), "NOTHING_DEAD"),
        ("revive", FAILED, "NOTHING_DEAD"),
        ("replay", "align/999", "QUARANTINE_UNKNOWN"),
        ("replay", "../1", "QUARANTINE_UNKNOWN"),
    ):
        answer = await signed_in.post(f"/act/{verb}", {"subject": subject, "reason": "try", "form_token": token})
        assert answer.status == 422
        assert code in answer.words
    assert (await signed_in.post("/act/purge", {"subject": "x", "reason": "y", "form_token": token})).status == 404
    assert published == []


async def test_a_session_is_a_strict_cookie_that_signing_out_ends_for_good(signed_in: Browser) -> None:
    kept = dict(signed_in.cookies)
    (cookie,) = (await signed_in.sign_in("alice", TOKEN)).cookies[:1]
    assert {"httponly", "samesite=strict"} <= {part.strip().lower() for part in cookie.split(";")}
    page = await signed_in.get("/")
    assert (await signed_in.post("/sign-out", {"form_token": page.token("/sign-out")})).status == 303
    assert "Sign out" not in (await signed_in.get("/")).words
    signed_in.cookies = kept
    assert "Sign out" in (await signed_in.get("/")).words  # an earlier session of hers is another one
    name, _, signature = kept["cohortstream_session"].partition(".")
    signed_in.cookies = {"cohortstream_session": f"{name}.{signature[:-2]}AA"}
    assert "Sign out" not in (await signed_in.get("/")).words


async def test_tokens_are_tried_only_a_few_times(open_page: Open) -> None:
    browser = open_page()
    statuses = [(await browser.sign_in("alice", f"guess {at}")).status for at in range(7)]
    assert statuses == [403] * 5 + [429] * 2
    assert (await browser.sign_in("alice", TOKEN)).status == 429
    assert int((await browser.sign_in("alice", TOKEN)).headers["retry-after"]) > 0


async def test_where_signing_in_leads_stays_on_this_page(open_page: Open) -> None:
    for back in ("//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"):
        browser = open_page()
        page = await browser.get("/sign-in")
        fields = {"name": "alice", "token": TOKEN, "back": back, "form_token": page.token("/sign-in")}
        assert (await browser.post("/sign-in", fields)).headers["location"] == "/"


async def test_without_a_database_the_page_says_so_and_recovers_by_itself(open_page: Open, planted: Settings) -> None:
    browser = open_page()
    site = browser.app.state.site
    site.ledgers._settings = planted.model_copy(
        update={"ledger": LedgerSettings(dsn=SecretStr("postgresql://nobody:secret@127.0.0.1:1/none"))}
    )
    answer = await browser.get("/runs")
    assert answer.status == 503
    assert "The ledger (Postgres) at 127.0.0.1:1/none cannot be reached" in answer.words
    assert "secret" not in answer.text
    assert (await browser.get("/ready")).status == 503
    assert (await browser.get("/live")).status == 200
    site.ledgers._settings = planted
    await site.ledgers.close()
    site.ledgers._pools.clear()
    assert (await browser.get("/runs")).status == 200
