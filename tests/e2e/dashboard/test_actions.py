"""Every action of the dashboard, done in a browser."""

from __future__ import annotations

import pytest

from tests.support import until

pytestmark = pytest.mark.slow


def confirm(page, reason=""):
    """Answer the question that a change asks."""
    page.wait_for_selector("#ask[open]")
    if reason:
        page.fill("#ask-reason", reason)
    page.click("#ask-yes")
    page.wait_for_selector("#ask", state="hidden")


@pytest.mark.parametrize("button", ["Run now", "Pause", "Cancel"])
def test_leaving_a_question_changes_nothing(app, open_page, button):
    job = app.enqueue(schedule="P1D")
    page = open_page(f"jobs/{job['id']}")
    page.click(f".head >> text={button}")
    page.wait_for_selector("#ask[open]")
    page.click("#ask-no")
    page.click(f".head >> text={button}")
    page.keyboard.press("Escape")
    page.wait_for_selector("#ask", state="hidden")
    assert app.get(job)["revision"] == job["revision"]


def test_a_job_is_paused_resumed_run_and_retried_each_with_a_reason(app, open_page):
    job = app.enqueue(schedule="P1D")
    page = open_page(f"jobs/{job['id']}")
    page.click(".head >> text=Pause")
    confirm(page, "not now")
    page.wait_for_selector(".badge:has-text('Paused')")
    page.wait_for_selector(".why:has-text('it is paused')")
    page.click(".head >> text=Resume")
    confirm(page, "now then")
    page.click(".head >> text=Run now")
    confirm(page, "at once")
    page.wait_for_selector(".head .badge:has-text('Completed')")
    page.click(".head >> text=Retry >> nth=0")
    confirm(page, "once more")
    until(lambda: app.get(job)["run_count"] == 2)
    found = {(entry["action"], entry["reason"]) for entry in app.audit(job)}
    assert found == {("pause", "not now"), ("resume", "now then"), ("run-now", "at once"), ("retry", "once more")}
    page.wait_for_selector("text=once more")


def test_a_running_job_shows_its_progress_and_is_cancelled(app, open_page):
    job = app.enqueue("Wait")
    page = open_page(f"jobs/{job['id']}")
    page.wait_for_selector("progress")
    page.wait_for_selector("text=half way")
    page.click(".head >> text=Cancel")
    confirm(page, "enough")
    page.wait_for_selector(".head .badge:has-text('Cancelled')")
    assert app.get(job)["status"] == "Cancelled"


def test_an_action_that_is_refused_says_why_and_may_be_left(app, open_page):
    job = app.enqueue(schedule="P1D", job_name="held")
    app.client.delete(f"/api/jobs/{job['id']}")
    app.enqueue(schedule="P1D", job_name="held")
    page = open_page(f"jobs/{job['id']}")
    page.click(".head >> text=Retry >> nth=0")
    page.click("#ask-yes")
    page.wait_for_selector("#ask-fault:has-text('is held by the active job')")
    page.click("#ask-no")
    page.faults.clear()  # the browser logs the 409


def test_a_failed_job_is_edited_and_retried_and_the_old_payload_is_in_the_audit(app, open_page):
    job = app.enqueue("Work", payload={"fail": "a wrong address"})
    app.until_status(job, "Failed")
    page = open_page(f"jobs/{job['id']}")
    page.click("text=Edit and retry")
    page.wait_for_selector("form[data-form=retry]")
    assert page.input_value("[data-pointer='/fail']") == "a wrong address"
    page.fill("[data-pointer='/fail']", "")
    page.fill("#reason", "the address was wrong")
    page.click("text=Retry with this payload")
    page.wait_for_selector(".head .badge:has-text('Completed')")
    [entry] = app.audit(job)
    assert (entry["reason"], entry["before"]) == ("the address was wrong", {"payload": {"fail": "a wrong address"}})
    page.click("text=As it was before")
    page.wait_for_selector("pre:has-text('\"a wrong address\"')")


def test_a_secret_is_not_in_the_form_and_stays_as_it_is(app, open_page):
    job = app.enqueue("Pay", payload={"order": 1, "card": {"number": "4111222233334444"}}, schedule="P1D")
    page = open_page(f"edit/{job['id']}")
    assert page.input_value("[data-pointer='/card/number']") == ""
    assert "4111222233334444" not in page.content()
    page.fill("[data-pointer='/order']", "2")
    page.click("text=Save")
    page.wait_for_selector("h1:has-text('job')")
    page.click(".head >> text=Run now")
    confirm(page)
    assert app.until_status(job, "Completed")["result"] == {"order": 2, "paid_with": "4444"}


def test_what_the_schema_refuses_is_said_at_its_field(app, open_page):
    page = open_page("enqueue?handler=Pay")
    page.fill("#job_name", "refused")
    page.fill("[data-pointer='/order']", "many")
    page.click("button:has-text('Enqueue')")
    page.wait_for_selector("[data-fault-at='/order'] .fault:has-text('whole number')")
    page.fill("[data-pointer='/order']", "1")
    page.fill("[data-pointer='/card/number']", "4111")
    page.fill("[data-pointer='/tags']", "[1]")
    page.click("button:has-text('Enqueue')")
    page.wait_for_selector("[data-fault-at='/tags'] .fault")
    page.faults.clear()  # the browser logs the 422
    page.fill("[data-pointer='/tags']", '["a"]')
    page.fill("#schedule", "whenever")
    page.wait_for_selector("[data-preview]:has-text('schedule')")
    page.fill("#schedule", "P1D")
    page.wait_for_selector("[data-preview]:has-text('Once, 1 day from now')")
    page.click("button:has-text('Enqueue')")
    page.wait_for_selector("h1:has-text('refused')")
    page.faults.clear()
    assert app.client.get("/api/jobs?job_name=refused&include=payload").json()["jobs"][0]["payload"]["tags"] == ["a"]


def test_a_job_is_duplicated(app, open_page):
    job = app.enqueue("Work", job_name="original", payload={"a": [1]}, metadata={"k": "v"}, schedule="P1D")
    page = open_page(f"jobs/{job['id']}")
    page.click("text=Duplicate")
    page.wait_for_selector("form[data-form=enqueue]")
    page.fill("#job_name", "copy")
    page.click("button:has-text('Enqueue')")
    page.wait_for_selector("h1:has-text('copy')")
    [copy] = app.client.get("/api/jobs?job_name=copy&include=payload").json()["jobs"]
    assert (copy["payload"], copy["metadata"], copy["schedule"]) == ({"a": [1]}, {"k": "v"}, "P1D")


def test_chosen_jobs_are_changed_and_the_others_are_not(app, open_page):
    jobs = [app.enqueue(job_name=f"some-{number}", schedule="P1D") for number in range(3)]
    page = open_page("jobs?q=name:some-*")
    for job in jobs[:2]:
        page.check(f"[data-pick='{job['id']}']")
    page.wait_for_selector("text=2 chosen")
    page.click("[data-bulk-action=cancel]")
    confirm(page, "two of them")
    page.wait_for_selector("#toast:has-text('2 changed')")
    assert [app.get(job)["status"] for job in jobs] == ["Cancelled", "Cancelled", "Scheduled"]
    assert app.audit(jobs[0])[0]["reason"] == "two of them"


def test_all_that_match_are_previewed_and_then_changed_as_an_operation(app, open_page):
    jobs = [app.enqueue(job_name=f"every-{number}", schedule="P1D") for number in range(60)]
    other = app.enqueue(job_name="other", schedule="P1D")
    page = open_page("jobs?q=name:every-*")
    page.check("[data-pick-all]")
    page.wait_for_selector("text=50 chosen")
    page.click("text=Choose all that match")
    page.click("[data-bulk-action=pause]")
    page.wait_for_selector("#ask-title:has-text('Pause: 60 jobs?')")
    assert "every-59" in page.inner_text("#ask-more")
    assert app.get(jobs[0])["paused"] is False
    confirm(page, "all of them")
    page.wait_for_selector("h1:has-text('Pause 60 jobs')")
    page.wait_for_selector(".badge:has-text('Completed')")
    assert all(app.get(job)["paused"] for job in jobs)
    assert app.get(other)["paused"] is False
    assert app.audit(jobs[0])[0]["reason"] == "all of them"


def test_a_recurring_job_is_paused_with_a_reason_that_its_list_then_shows(app, open_page):
    job = app.enqueue(job_name="hourly-thing", schedule="@hourly")
    page = open_page("recurring?q=name:hourly-thing")
    page.wait_for_selector("text=Every hour, in UTC")
    page.click(f"#job-{job['id']} >> text=Pause")
    confirm(page, "the shop moves")
    page.wait_for_selector("text=the shop moves")
    page.click(f"#job-{job['id']} >> text=Resume")
    confirm(page)
    page.wait_for_selector(f"#job-{job['id']} >> text=Scheduled")


def test_a_group_of_failures_is_retried_at_once(app, open_page):
    jobs = [app.enqueue("Work", payload={"fail": f"no route to shop {number}"}) for number in range(3)]
    other = app.enqueue("Work", payload={"fail": "something else"})
    for job in (*jobs, other):
        app.until_status(job, "Failed")
    page = open_page("failures")
    row = page.locator(".card:has-text('no route to shop')")
    assert "3 times" in row.inner_text()
    row.locator("button").click()
    page.wait_for_selector("#ask-title:has-text('Retry: 3 jobs?')")
    confirm(page, "the route is back")
    page.wait_for_selector("h1:has-text('Retry 3 jobs')")
    page.wait_for_selector(".head .badge:has-text('Completed')")

    def attempts(job):
        return len(app.client.get(f"/api/jobs/{job['id']}/attempts").json()["attempts"])

    until(lambda: [attempts(job) for job in jobs] == [2, 2, 2])
    assert attempts(other) == 1
    assert app.audit(jobs[0])[0]["reason"] == "the route is back"
