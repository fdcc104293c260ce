"""What every view of the dashboard keeps to: rights, escapes, exactness, and that an idle page costs nothing."""

from __future__ import annotations

import json
import re
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict

from jobs.core.handlers.arguments.sensitive import MASK, Sensitive
from jobs.core.handlers.context import JobContext
from jobs.entrypoints.http.dashboard.views.all import VIEWS, VIEWS_OF_ONE
from tests.integration.entrypoints.http.dashboard.elements import elements, text_of
from tests.integration.entrypoints.http.test_http_api import principal, problem, serving_a_new_database

HUGE = 1234567890123456789012345678901234567890
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>'",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)//a/b/../c",
    "\u202egnp.exe\u2066\u200f العربية",
    "x" * 65_536,
]


class Card(BaseModel):
    model_config = ConfigDict(extra="allow")

    number: Annotated[str, Sensitive()] = "4111"


def pay(args: Card, ctx: JobContext) -> None:
    """Pay."""
    ctx.result = {"receipt": HUGE}


@pytest.fixture(scope="module")
def guarded(server):
    """The app with Easy Auth in front of it."""
    with serving_a_new_database(server, easy_auth=True) as api:
        api.runtime.registry.add_handler("Pay", pay)
        yield api


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        api.runtime.registry.add_handler("Pay", pay)
        yield api


def view(api, path="", role=None, **headers):
    """A view's HTML, as the script gets it."""
    answer = api.call("GET", f"/dashboard/view/{path}", headers=(principal(role) if role else {}) | headers)
    assert answer.status_code == 200, answer.text
    return answer.text


def each_view(job):
    """The path of every view there is."""
    return [*VIEWS, *(f"{name}/{job['id']}" for name in VIEWS_OF_ONE if name != "operations")]


WRITING = ("enqueue", "edit/")


def each_view_to_read(job):
    """The path of every view but those that are forms for a change."""
    return [path for path in each_view(job) if not path.startswith(WRITING)]


def names_in(html):
    """Which elements a page consists of."""
    return {each.name for each in elements(html)}


def offers(html):
    """What a page offers to change: the calls of its buttons and the forms that write."""
    found = [each.attributes for each in elements(html)]
    calls = [each["data-path"].rpartition("/")[2] for each in found if "data-write" in each]
    others = [name for each in found for name in ("data-bulk", "data-form", "data-pick") if name in each]
    links = [each["href"] for each in found if re.match("enqueue|edit/", each.get("href", ""))]
    return calls + others + links


def test_a_reader_is_offered_nothing_that_a_reader_may_not_do(guarded):
    made = {"handler_name": "Noop", "job_name": "offered", "schedule": "@daily"}
    job = guarded.call("POST", "/api/jobs", json=made, headers=principal("Jobs.Enqueue")).json()
    for path in each_view_to_read(job):
        assert offers(view(guarded, path, "Jobs.Read")) == [], path
    for path in {*each_view(job)} - {*each_view_to_read(job)}:
        answer = guarded.call("GET", f"/dashboard/view/{path}", headers=principal("Jobs.Read"))
        problem(answer, 403, "forbidden")
    assert f"enqueue?from={job['id']}" in offers(view(guarded, f"jobs/{job['id']}", "Jobs.Enqueue"))
    assert {"run", "pause", job["id"]} <= {*offers(view(guarded, f"jobs/{job['id']}", "Jobs.Manage"))}
    assert "data-pick" in offers(view(guarded, "jobs", "Jobs.Manage"))


def test_a_dashboard_for_reading_offers_nobody_a_change(server):
    with serving_a_new_database(server, dashboard="read-only") as api:
        job = api.later()
        for path in each_view_to_read(job):
            assert offers(view(api, path)) == [], path
        for path in {*each_view(job)} - {*each_view_to_read(job)}:
            problem(api.call("GET", f"/dashboard/view/{path}"), 403, "forbidden")


def test_a_view_needs_the_role_of_a_reader(guarded):
    problem(guarded.call("GET", "/dashboard/view/jobs"), 401, "unauthenticated")
    problem(guarded.call("GET", "/dashboard/view/jobs", headers=principal("Other")), 403, "forbidden")


def test_a_path_without_a_view_is_told_so(api):
    for path in ("none", "jobs/1/2", "handlers/a/b"):
        problem(api.call("GET", f"/dashboard/view/{path}"), 404, "not-found")
    problem(api.call("GET", "/dashboard/view/jobs/no-id"), 404, "job-not-found")
    problem(api.call("GET", "/dashboard/view/jobs/01920000-0000-7000-8000-000000000000"), 404, "job-not-found")


def test_a_view_is_kept_by_no_cache_and_costs_a_304_while_nothing_happens(api):
    job = api.later(job_name="idle")
    for path in each_view(job):
        first = api.call("GET", f"/dashboard/view/{path}")
        assert (first.status_code, first.headers["cache-control"]) == (200, "no-store"), path
        assert first.headers["content-security-policy"].startswith("default-src 'none'")
        again = api.call("GET", f"/dashboard/view/{path}", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path
    api.command(job, "pause")
    changed = api.call("GET", "/dashboard/view/jobs", headers={"if-none-match": first.headers["etag"]})
    assert changed.status_code == 200


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_text_of_a_caller_stays_text(api, text):
    job = api.later(
        job_name=text[:200], payload={"text": text}, metadata={text[:100]: text}, handler_name="Noop"
    )  # fmt: skip
    api.command(job, "pause", json={"reason": text[:500]})
    plain = api.later(metadata={"a": "b"})
    api.command(plain, "pause", json={"reason": "plain"})
    html = view(api, f"jobs/{job['id']}")
    assert names_in(html) == names_in(view(api, f"jobs/{plain['id']}"))
    [name] = [each.text for each in elements(html, "h1")]
    assert name == " ".join(text[:200].split())
    assert json.dumps(text, ensure_ascii=False) in "".join(elements(html, "pre")[0].pieces)
    for path in each_view(job):
        for each in elements(view(api, path)):
            assert each.name not in {"script", "style", "img", "iframe", "object", "link", "base"}
            assert not [key for key in each.attributes if key == "style" or key.startswith("on")], each
            assert not each.attributes.get("href", "").strip().lower().startswith(("javascript:", "data:"))


def test_an_error_full_of_markup_stays_text(api):
    job = api.enqueue(handler_name="Fail", job_name="fails")
    api.run(job)
    html = view(api, f"jobs/{job['id']}")
    assert "LookupError: the address is unknown" in text_of(html)
    assert "raise LookupError" in next(
        each.text for each in elements(html, "pre") if "Traceback" in each.text or "raise" in each.text
    )


def test_integers_of_forty_digits_stay_exact(api):
    job = api.enqueue(handler_name="Pay", payload={"number": "4111", "amount": HUGE}, metadata={"Order": HUGE})
    api.run(job)
    html = view(api, f"jobs/{job['id']}")
    assert text_of(html).count(str(HUGE)) >= 3  # in payload, metadata and result


def test_sensitive_values_are_masked_for_every_role(guarded):
    made = {"handler_name": "Pay", "job_name": "paid", "schedule": "P1D", "payload": {"number": "4111222233334444"}}
    job = guarded.call("POST", "/api/jobs", json=made, headers=principal("Jobs.Manage")).json()
    changed = guarded.call(
        "PATCH", f"/api/jobs/{job['id']}", json={"payload": {"number": "5500"}}, headers=principal("Jobs.Manage")
    )
    assert changed.status_code == 200
    for role in ("Jobs.Read", "Jobs.Manage"):
        for path in each_view(job) if role == "Jobs.Manage" else each_view_to_read(job):
            html = view(guarded, path, role)
            assert "4111222233334444" not in html
            assert "5500" not in html
        assert MASK in view(guarded, f"jobs/{job['id']}", role)


def test_a_name_with_slashes_leads_to_its_job(api):
    job = api.later(job_name="a/b/../c?d#e")
    links = [each.attributes["href"] for each in elements(view(api, "jobs"), "a")]
    assert f"jobs/{job['id']}" in links


def test_the_environment_is_named(server):
    with serving_a_new_database(server, dashboard_environment="Test <1>", dashboard_colour="red") as api:
        root = next(each for each in elements(view(api)) if each.attributes.get("id") == "view")
        assert (root.attributes["data-environment"], root.attributes["data-colour"]) == ("Test <1>", "red")
