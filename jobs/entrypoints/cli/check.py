"""``python -m jobs check``: whether the app would start, for a pipeline, before anything is deployed."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from jobs.core.errors import ConfigurationError
from jobs.core.handlers.loading.undeployed import undeployed_imports
from jobs.core.handlers.loading.which_packages import app_folder, packages_of, which_packages

if TYPE_CHECKING:
    import argparse
    from collections.abc import MutableMapping

    from jobs.entrypoints.cli.parts import Parts

_logger = logging.getLogger("jobs")
_SCHEDULER = "JOBS_SCHEDULER"
_TOKENS = {"JOBS_CALLBACK_TOKENS", "APP_API_TOKEN"}
_AZURE = {"WEBSITE_SITE_NAME", "WEBSITE_INSTANCE_ID", "CONTAINER_APP_NAME"}
_ENVIRONMENTS = ("AZURE_FUNCTIONS_ENVIRONMENT", "JOBS_ENVIRONMENT")


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "check",
        help="check whether the app would start with these settings and handlers",
        description="Read the settings and load the handlers as the app does. On Azure an app with a fault in them "
        "starts, and says so instead of working; this finds it before. It needs no database. Without JOBS_SCHEDULER it "
        "checks a local start by the timer, as `make run` is one, unless it runs on Azure or a callback token is set.",
    )
    parser.set_defaults(run=_check)


def _check(_chosen: argparse.Namespace, parts: Parts) -> int:
    folder = app_folder()
    if folder is None:
        raise ConfigurationError(
            "there is no host.json here, so there is no app to check; run this in the app's folder"
        )
    if check_a_local_start(os.environ):
        _logger.info(
            "JOBS_SCHEDULER is not set here, so the timer is checked, as `make run` uses it; an app on Azure uses dapr "
            "by default: for a deployment check with the JOBS_SCHEDULER and JOBS_CALLBACK_TOKENS that it has"
        )
    made = parts.create_app()
    made.close()
    for warning in undeployed_imports(which_packages(packages_of(os.environ), folder), folder):
        _logger.warning("%s", warning)
    print(f"the app starts, with {len(made.app.get_functions())} functions")
    return 0


def check_a_local_start(environment: MutableMapping[str, str]) -> bool:
    """Set JOBS_SCHEDULER and the environment as ``make run`` does where nothing describes a deployment.

    Returns whether it did.

    Dapr, the default on Azure, needs a token for its callback, which a developer's machine and most pipelines lack. A
    scheduler or a token that is set, and Azure's own variables, describe a deployment: nothing is changed then.
    """
    names = {name.upper() for name in environment}
    kind = next((environment[name] for name in _ENVIRONMENTS if name in environment), "Development")
    on_azure = bool(names & _AZURE) or kind.lower() != "development"
    if on_azure or names & {_SCHEDULER, *_TOKENS}:
        return False
    environment[_SCHEDULER] = "timer"
    environment.setdefault(_ENVIRONMENTS[0], "Development")  # where the API is open to its own machine
    return True
