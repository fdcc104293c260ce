"""The README promises no more than there is, and what is said in two places is the same in both."""

from __future__ import annotations

import azure.functions as func

from jobs.bootstrap import create_closable_app
from jobs.handlers import dependencies
from tests.support import ROOT

README = " ".join((ROOT / "README.md").read_text().split())


def test_the_readme_promises_no_deployment_that_never_was() -> None:
    if "None of this has been deployed yet" in (ROOT / "infra/README.md").read_text():
        assert "Deployed without" not in README
        assert "not deployed yet" in README.partition("## Two commands")[0]
        assert "none of it has been deployed yet" in README.partition("## On Azure")[2]


def test_the_readme_says_that_calls_on_azure_need_a_function_key_as_they_do() -> None:
    app, close, _ = create_closable_app()
    close()
    triggers = [function.get_trigger().get_dict_repr() for function in app.get_functions()]
    api = [each for each in triggers if each["type"] == "httpTrigger" and each["route"].startswith("api/")]
    open_to_all = {each["route"] for each in api if each["authLevel"] == func.AuthLevel.ANONYMOUS}
    assert open_to_all == {"api/health/live", "api/health/ready"}
    assert "On Azure each call under `/api` but the two health probes needs a function key" in README
    assert "x-functions-key" in README


def test_the_readme_says_that_a_changed_app_is_started_anew_and_how_python_comes_by_its_packages() -> None:
    assert "Start it anew after a change of the code" in README
    assert README.index(". .venv/bin/activate") < README.index("python -m jobs preview")


def test_the_samples_say_as_the_readme_does_how_a_service_lives_as_long_as_the_app() -> None:
    assert dependencies.__doc__ is not None
    for told in (README, dependencies.__doc__):
        assert '@provider(scope="app"' in told
        assert "functools.cache" not in told
