"""A page keeps itself fresh without getting in its reader's way, and asks for a key where one is needed."""

from __future__ import annotations

import pytest

from tests.e2e.dashboard.conftest import KEY, serving
from tests.support import until

pytestmark = pytest.mark.slow


def answers(page, path="/dashboard/view/"):
    """Collect the statuses of the views that a page asks for from now on."""
    found = []
    page.on("response", lambda answer: found.append(answer.status) if path in answer.url else None)
    return found


def often(page):
    page.select_option("#interval", "2")


def test_what_happens_appears_by_itself_and_an_idle_page_costs_304s(app, open_page):
    page = open_page("jobs?q=name:fresh-*")
    often(page)
    page.wait_for_selector("text=No job matches")
    app.enqueue(job_name="fresh-1", schedule="P1D")
    page.wait_for_selector("text=fresh-1")
    found = answers(page)
    page.wait_for_function("document.querySelector('#live').textContent === 'Live'")
    until(lambda: page.wait_for_timeout(100) or found.count(304) >= 2)
    assert set(found) == {304}


def test_what_is_open_focused_and_scrolled_stays_so(app, open_page):
    job = app.enqueue("Work", payload={"fail": "x" * 500}, schedule="P1D")
    for _ in range(8):
        app.command(job, "pause")
        app.command(job, "resume")
    page = open_page(f"jobs/{job['id']}", viewport={"width": 900, "height": 400})
    often(page)
    page.click("summary")  # closes it
    page.evaluate("document.querySelector('.head button').focus(); scrollTo(0, 200)")

    def place():
        return page.locator("h2:text-is('Attempts')").bounding_box()["y"]

    before = place()
    app.command(job, "pause", reason="while you look")
    page.wait_for_selector("text=while you look")
    assert abs(place() - before) < 2  # what is above may have grown: what is in sight does not move
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    assert page.locator("details#payload").get_attribute("open") is None


def test_nothing_moves_while_text_is_selected_something_is_typed_or_jobs_are_chosen(app, open_page):
    job = app.enqueue(job_name="steady-1", schedule="P1D")
    page = open_page("jobs?q=name:steady-*")
    often(page)
    page.check(f"[data-pick='{job['id']}']")
    page.wait_for_selector("#live:has-text('Paused: jobs are chosen')")
    app.enqueue(job_name="steady-2", schedule="P1D")
    page.uncheck(f"[data-pick='{job['id']}']")
    page.wait_for_selector("text=steady-2")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#view td.wide'))")
    page.wait_for_selector("#live:has-text('Paused: text is selected')")
    page.evaluate("getSelection().removeAllRanges()")
    page.wait_for_selector("#live:has-text('Live')")
    page.focus("#q")
    page.wait_for_selector("#live:has-text('Paused: you are typing')")


def test_the_address_has_every_filter_and_the_history_leads_back(app, open_page):
    app.enqueue(job_name="addressed", schedule="P1D", metadata={"OrderId": 41})
    page = open_page("jobs")
    page.fill("#q", "metadata.OrderId:41 handler:Wo")
    page.wait_for_selector("[role=option]:has-text('handler:Work')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.input_value("#q") == "metadata.OrderId:41 handler:Work "
    page.keyboard.press("Enter")
    page.wait_for_selector("text=addressed")
    assert "q=metadata.OrderId%3A41%20handler%3AWork" in page.url
    assert page.locator("#view tbody tr").count() == 1
    page.click("nav.tabs >> text=Failed")
    page.wait_for_selector("text=No job matches")
    page.reload()
    page.wait_for_selector("text=No job matches")
    assert "status:Failed" in page.input_value("#q")
    page.go_back()
    page.wait_for_selector("text=addressed")


def test_a_search_that_cannot_be_read_says_why(open_page):
    page = open_page("jobs?q=colour:red")
    assert "there is no qualifier colour" in page.inner_text("#view [role=alert]")


def test_a_schedule_is_explained_while_it_is_typed(open_page):
    page = open_page("schedules")
    page.fill("#timezone", "Europe/Berlin")
    page.locator("#schedule").press_sequentially("0 9 * * MON-FRI")
    page.wait_for_selector("h2:has-text('At 09:00')")
    assert page.input_value("#schedule") == "0 9 * * MON-FRI"
    assert page.evaluate("document.activeElement.id") == "schedule"
    assert "schedule=0+9" in page.url


def test_the_theme_is_kept_and_the_keyboard_is_enough(open_page):
    page = open_page("jobs", color_scheme="light")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    page.wait_for_selector("#view[data-title]")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_while_the_app_is_away_a_page_keeps_what_it_shows(server, browser, app, open_page, tmp_path):
    with serving(server, tmp_path) as other:
        other.enqueue(job_name="still here", schedule="P1D")
        page = open_page("jobs", base=other.url)
        often(page)
        page.wait_for_selector("text=still here")
    page.wait_for_selector("#notice:has-text('What you see is old')")
    assert page.locator("text=still here").is_visible()
    page.faults.clear()  # the browser logs that nobody answers


# --- signing in. The Functions host checks keys, and the development host has none: it is played here.


def guard(page, key=KEY):
    """Answer calls without the key as the Functions host does."""

    def check(route):
        if route.request.headers.get("x-functions-key") == key:
            route.continue_()
        else:
            route.fulfill(status=401, body="")

    page.route("**/dashboard/view/**", check)
    page.route("**/api/**", check)


def test_a_key_is_asked_for_kept_in_memory_only_and_sent_with_each_call(app, open_page):
    job = app.enqueue(schedule="P1D")
    page = open_page("schedules")
    guard(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{app.url}/dashboard/jobs/{job['id']}")
    page.wait_for_selector("text=This app asks for a function key.")
    page.fill("[name=key]", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=The function key is missing or wrong.")
    page.fill("[name=key]", KEY)
    page.keyboard.press("Enter")
    page.wait_for_selector(".head >> text=Pause")
    page.click(".head >> text=Pause")
    page.click("#ask-yes")
    page.wait_for_selector(".badge:has-text('Paused')")
    assert not [url for url in asked if KEY in url]
    assert KEY not in page.url
    assert KEY not in page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
    page.click("text=Sign out")
    page.wait_for_selector("text=This app asks for a function key.")
    assert page.locator("#view >> text=Pause").count() == 0
    page.faults.clear()  # the browser logs the 401s


def test_where_sign_in_is_before_the_app_its_page_is_offered_and_no_key(open_page):
    page = open_page("schedules")
    headers = {"www-authenticate": "Bearer", "content-type": "application/problem+json"}
    body = '{"type": "urn:jobs:problem:unauthenticated", "detail": "sign in first", "status": 401}'
    page.route("**/dashboard/view/**", lambda route: route.fulfill(status=401, headers=headers, body=body))
    page.reload()
    link = page.locator("text=Sign in with Microsoft")
    link.wait_for()
    assert link.get_attribute("href").startswith("/.auth/login/aad?post_login_redirect_uri=%2Fdashboard%2Fschedules")
    assert page.locator("[name=key]").count() == 0
    page.faults.clear()
