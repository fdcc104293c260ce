"""The dashboard's frame: anybody may load it, and it has nothing that anybody might not see."""

from __future__ import annotations

from urllib.parse import urljoin

import httpx
import pytest

from jobs.entrypoints.devhost.host.host import DevHost
from jobs.entrypoints.functions import build_app
from jobs.entrypoints.http.dashboard.frame import assets
from jobs.settings import Settings
from tests.integration.entrypoints.http.dashboard.elements import elements
from tests.integration.entrypoints.http.test_http_api import problem

MOST_BYTES = 100 * 1024
PAGES = ["/dashboard", "/dashboard/", "/dashboard/jobs", "/dashboard/jobs/01920000-0000-7000-8000-000000000000"]
PAGES += ["/dashboard/handlers/", "/Dashboard"]


def no_runtime():
    pytest.fail("the frame asks for nothing that a database has")


@pytest.fixture(scope="module", params=["", "behind/a/prefix"])
def site(request):
    """An app that nobody may call, which has no database either."""
    app = build_app(no_runtime, Settings(scheduler="timer"))
    with (
        DevHost(app, port=0, route_prefix=request.param) as host,
        httpx.Client(base_url=f"{host.url}/{request.param}".rstrip("/")) as client,
    ):
        yield client


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_the_frame_and_finds_its_files_under_any_prefix(site, path):
    answer = site.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    found = elements(answer.text)
    files = [each.attributes[name] for each in found for name in ("src", "href") if name in each.attributes]
    of_assets = [each for each in files if "assets/" in each]
    assert {each.rpartition("/")[2] for each in of_assets} == {"dashboard.css", "dashboard.js", "icon.svg", "theme.js"}
    for each in of_assets:
        loaded = site.get(urljoin(str(answer.url), each))
        assert loaded.status_code == 200, each
        assert "immutable" in loaded.headers["cache-control"]
    root = str(site.base_url.join("dashboard/")).lower()
    hrefs = [each.attributes["href"] for each in found if each.name == "a" and "href" in each.attributes]
    links = {urljoin(str(answer.url), each).lower() for each in hrefs}
    assert {root, f"{root}jobs", f"{root}recurring", f"{root}handlers"} <= links


@pytest.mark.parametrize(
    "path", ["/dashboard", "/dashboard/assets/any/dashboard.js", "/dashboard/assets/any/dashboard.css"]
)
def test_nothing_but_its_own_files_can_be_loaded_run_or_framed(site, path):
    headers = site.get(path).headers
    policy = dict(each.strip().partition(" ")[::2] for each in headers["content-security-policy"].split(";"))
    assert policy.pop("img-src") == "'self' data:"
    assert {name: policy[name] for name in ("default-src", "script-src", "style-src", "connect-src")} == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
    }
    assert (policy["frame-ancestors"], policy["base-uri"], policy["form-action"]) == ("'none'", "'none'", "'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_the_frame_has_no_script_or_style_of_its_own(site):
    for each in elements(site.get("/dashboard").text):
        assert not [name for name in each.attributes if name == "style" or name.startswith("on")], each
        assert each.name != "style"
        if each.name == "script":
            assert each.text == ""
            assert each.attributes["src"]


def test_a_file_that_the_browser_has_is_not_sent_again(site):
    for path in ("/dashboard", "/dashboard/assets/of-another-release/dashboard.css"):
        first = site.get(path)
        assert first.headers["cache-control"] == "no-cache"
        again = site.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["none.js", "", "../frame.html", "..%2fframe.html", "dashboard.css/x"])
def test_there_is_no_other_file(site, name):
    answer = site.get(f"/dashboard/assets/any/{name}")
    if answer.headers["content-type"] == "application/problem+json":
        problem(answer, 404, "not-found")
    else:  # a path that leads out of the folder is another page, and so the frame
        assert "<!doctype html>" in answer.text


def test_all_of_it_weighs_less_than_it_may(site):
    frame = len(site.get("/dashboard").content)
    assert sum(len(each.body) for each in assets().values()) + frame <= MOST_BYTES


def test_no_file_names_another_host():
    own = {"http://www.w3.org/2000/svg"}
    for name, asset in assets().items():
        text = asset.body.decode()
        for each in own:
            text = text.replace(each, "")
        assert "http://" not in text, name
        assert "https://" not in text, name


def test_without_a_dashboard_there_is_nothing_at_its_address():
    app = build_app(no_runtime, Settings(scheduler="timer", dashboard="off", key_role="read"))
    with DevHost(app, port=0, route_prefix="") as host:
        problem(httpx.get(f"{host.url}/dashboard"), 404, "not-found")
        problem(httpx.get(f"{host.url}/dashboard/view/"), 404, "not-found")
