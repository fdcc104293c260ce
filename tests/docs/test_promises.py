"""The README and the guides promise no more than there is, and what is said in two places is the same in both."""

from __future__ import annotations

import re

import azure.functions as func

from jobs.bootstrap import create_closable_app
from jobs.core.lifecycle.waiting import WaitingFor
from jobs.entrypoints.http.callback_tokens import CallbackTokens
from jobs.entrypoints.http.operations import stats
from jobs.settings import Settings, setting_name
from jobs.testing import JobsHarness
from tests.docs.blocks import ROOT, blocks_of, pages


def words_of(page: str) -> str:
    return " ".join((ROOT / page).read_text().split())


README = words_of("README.md")


def test_no_page_promises_a_deployment_that_never_was() -> None:
    if "None of this has been deployed yet" in (ROOT / "infra/README.md").read_text():
        assert "Deployed without" not in README
        assert "Not deployed yet" in README.partition("## Two commands")[0]
        assert "None of it has been deployed yet" in words_of("docs/how-to/deploy.md")


def test_calls_on_azure_need_a_function_key_as_the_guide_says() -> None:
    app, close, *_ = create_closable_app()
    close()
    triggers = [function.get_trigger().get_dict_repr() for function in app.get_functions()]
    api = [each for each in triggers if each["type"] == "httpTrigger" and each["route"].startswith("api/")]
    open_to_all = {each["route"] for each in api if each["authLevel"] == func.AuthLevel.ANONYMOUS}
    assert open_to_all == {"api/health/live", "api/health/ready"}
    guide = words_of("docs/how-to/use-the-http-api.md")
    assert "On Azure each call under `/api` but the two health probes needs a function key" in guide
    assert "x-functions-key" in guide


def test_the_readme_is_short_and_its_commands_are_those_of_the_makefile() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
    makefile = (ROOT / "Makefile").read_text()
    for page in pages():
        for block in blocks_of(page):
            for target in re.findall(r"^make ([\w-]+)", block.text, re.MULTILINE):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{block.place}: make {target}"


def test_the_python_versions_that_are_named_are_those_that_the_makefile_takes() -> None:
    [first, last] = re.findall(r"Python ([\d.]+).* or ([\d.]+) is needed", (ROOT / "Makefile").read_text())[0]
    for page in ("README.md", "docs/tutorial/index.md", "docs/how-to/run-locally.md"):
        assert f"Python {first} to {last}" in words_of(page), page


GUIDES = [page for page in pages() if page.startswith(("README", "docs/tutorial/", "docs/how-to/"))]


def test_the_settings_that_the_guides_name_are_there() -> None:
    known = {setting_name(field) for field in Settings.model_fields}
    for page in GUIDES:
        assert set(re.findall(r"\bJOBS_[A-Z_]+", (ROOT / page).read_text())) <= known, page


def test_what_the_guides_name_of_the_statistics_is_answered_and_waiting_jobs_say_what_they_name() -> None:
    with JobsHarness([]) as jobs:
        answer = stats(jobs.runtime, CallbackTokens((), open_without_token=True))
    for page in GUIDES:
        for outer, inner in re.findall(r"`(due|recent|alarms)\.(\w+)`", (ROOT / page).read_text()):
            assert inner in answer[outer], f"{page}: {outer}.{inner}"
    _, why = (ROOT / "docs/how-to/operate.md").read_text().split("## Why", 1)
    reasons = re.findall(r"^\| (`.*?`) \|", why, re.MULTILINE)
    assert set(re.findall(r"`([a-z-]+)`", " ".join(reasons))) - {"waiting_for"} >= set(WaitingFor)
