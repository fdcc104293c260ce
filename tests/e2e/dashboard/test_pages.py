"""Every view in a browser: nothing fails, axe finds nothing, and hostile text does nothing."""

from __future__ import annotations

import pytest

from tests.e2e.dashboard.conftest import violations

pytestmark = pytest.mark.slow
VIEWS = [
    "",
    "?step=hour",
    "jobs",
    "recurring",
    "handlers",
    "failures",
    "workers",
    "schedules",
    "audit",
    "enqueue",
    "enqueue?handler=Pay",
]
VIEWS += ["schedules?schedule=30+2+*+*+*&timezone=Europe/Berlin&after=2027-03-27T00:00:00Z", "schedules?schedule=never"]
MARKUP = "<img src=x onerror=\"window.pwned=1\"><script>window.pwned=1</script></textarea><svg onload='window.pwned=1'>"
SIZES = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def jobs(app):
    """Jobs of every kind and state."""
    failed = app.enqueue("Work", job_name="fails", payload={"fail": "nothing there"}, metadata={"OrderId": 7})
    paid = app.enqueue("Pay", job_name="pays", payload={"order": 10**39 + 7, "card": {"number": "4111111111111111"}})
    recurring = app.enqueue("Work", job_name="recurs", schedule="0 2 * * *", timezone="Europe/Berlin")
    paused = app.enqueue("Work", job_name="is-paused", schedule="P1D")
    app.command(paused, "pause", reason="until Monday")
    often = app.enqueue("Work", job_name="runs-often", schedule="@every 1s")
    app.until_status(failed, "Failed")
    app.until_status(paid, "Completed")
    return {"failed": failed, "paid": paid, "recurring": recurring, "paused": paused, "often": often}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_has_a_fault_that_axe_finds_or_is_wider_than_the_window(app, jobs, open_page, scheme, size):
    page = open_page(color_scheme=scheme, viewport=SIZES[size])
    paths = VIEWS + [f"jobs/{job['id']}" for job in jobs.values()]
    paths += [f"edit/{jobs['failed']['id']}", f"edit/{jobs['paid']['id']}", f"enqueue?from={jobs['paid']['id']}"]
    for path in paths:
        page.goto(f"{app.url}/dashboard/{path}")
        page.wait_for_selector("#view[data-title]")
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_names_payloads_and_errors_full_of_markup_do_nothing(app, open_page):
    job = app.enqueue(
        "Work", job_name=MARKUP, payload={"fail": MARKUP, MARKUP: MARKUP}, metadata={MARKUP: MARKUP}
    )  # fmt: skip
    app.until_status(job, "Failed")
    again = app.enqueue("Work", job_name=f"again {MARKUP}", schedule="@daily", payload={"fail": MARKUP})
    app.command(again, "pause", reason=MARKUP)
    paths = ["", "jobs", "recurring", "handlers", "audit", f"jobs/{job['id']}", f"jobs/{again['id']}"]
    for path in [
        *paths,
        f"edit/{job['id']}",
        f"enqueue?from={job['id']}",
        f"jobs?q={MARKUP}",
        f"enqueue?handler={MARKUP}",
    ]:
        page = open_page(path)
        assert page.evaluate("window.pwned") is None, path
        assert page.locator("#view script, #view img").count() == 0, path
    page = open_page(f"jobs/{job['id']}")
    assert MARKUP in page.inner_text("h1")
    assert f"ValueError: {MARKUP}" in page.inner_text("#view")
    page.click("text=Retry")
    assert MARKUP in page.inner_text("#ask-title")


def test_times_are_in_the_readers_zone_with_utc_beside_them(app, jobs, open_page):
    page = open_page(f"jobs/{jobs['recurring']['id']}")
    shown = page.locator(".facts time").first
    assert shown.get_attribute("title").endswith(" UTC")
    utc, local = shown.get_attribute("title")[11:16], shown.inner_text()
    minutes = (int(utc[:2]) * 60 + int(utc[3:]) + 330) % 1440  # Kolkata is 5 h 30 min ahead
    assert f"{minutes // 60:02}:{minutes % 60:02}" in local


def test_integers_of_forty_digits_are_shown_and_sent_exactly(app, open_page):
    number = "1234567890123456789012345678901234567890"
    page = open_page("enqueue?handler=Pay")
    page.fill("#job_name", "exact")
    page.fill("[data-pointer='/order']", number)
    page.fill("[data-pointer='/card/number']", "4111")
    page.click("button:has-text('Enqueue')")
    page.wait_for_selector("h1:has-text('exact')")
    page.locator(f"pre:has-text('{number}')").first.wait_for()
    assert number in app.client.get("/api/jobs?job_name=exact&include=payload").text


def test_the_navigation_leads_to_each_view_from_wherever_one_is(app, jobs, open_page):
    page = open_page("")
    page.click("nav.sections >> text=Jobs")
    page.click("#view >> text=fails >> nth=0")
    page.wait_for_selector("h1:has-text('fails')")
    for name in page.locator("nav.sections a").all_inner_texts():
        page.click(f"nav.sections >> text={name}")
        page.wait_for_selector(f"nav.sections [aria-current]:has-text('{name}')")
        page.wait_for_selector("#view[data-title] h1")
        assert page.locator("#notice").is_hidden()
    assert page.url.startswith(f"{app.url}/dashboard/")


def test_without_a_view_at_its_path_a_page_says_so(open_page):
    page = open_page("none", shown=False)
    page.wait_for_selector("#notice:has-text('the dashboard has no such page')")
    page.faults.clear()  # the browser logs the 404
    page.click("nav >> text=Jobs")
    page.wait_for_selector("h1:has-text('Jobs')")
    assert page.locator("#notice").is_hidden()
