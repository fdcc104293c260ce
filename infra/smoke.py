"""Run a job on a deployment, from its API to its end: fails unless the job completes within two minutes.

    python infra/smoke.py --resource-group jobs --app func-jobs-1a2b3c --url https://func-jobs-1a2b3c.azurewebsites.net

It asks Azure for a function key, by `az`, unless JOBS_API_KEY has one. Where callers sign in, --client-id is the app
registration's, and whoever runs this needs its app role Jobs.Enqueue. azd and the workflow call it too; azd's environment
says what is left out. It needs no package: any Python 3.11 or newer runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from operations import ROOT, Failed, az

HANDLER = "SmokeTest"  # jobs/entrypoints/smoke_handler.py
ENDED = {"Completed", "Failed", "Cancelled"}
WAIT_SECONDS = 20
POLL_SECONDS = float(os.environ.get("OPERATIONS_POLL_SECONDS", "3"))


class Answer(NamedTuple):
    """What a call was answered with; the status is 0 where there was no answer."""

    status: int
    body: Any

    def __str__(self) -> str:
        said = self.body
        if isinstance(said, dict):
            said = said.get("detail") or said.get("title") or said
        return f"{self.status or 'no answer'}: {said}".rstrip(": ")


class Api:
    """The API of a deployment, asked as a caller does."""

    def __init__(self, url: str, headers: dict[str, str], wait_seconds: int = WAIT_SECONDS) -> None:
        if urlsplit(url).scheme != "https" and urlsplit(url).hostname not in {"127.0.0.1", "localhost"}:
            raise Failed(f"{url or 'an empty --url'} is not the address of a deployment: the output appUrl")
        self._url = url.rstrip("/")
        self._headers = headers | {"content-type": "application/json", "prefer": f"wait={wait_seconds}"}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Call the API; an instance that goes away meanwhile, or has not come up yet, is an answer too."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, data, self._headers | named, method=method)
        try:
            with urlopen(request, timeout=WAIT_SECONDS + 20) as answer:
                return Answer(answer.status, _read(answer.read()))
        except HTTPError as refused:
            return Answer(refused.code, _read(refused.read()))
        except OSError as error:
            return Answer(0, str(error))


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")[:200]


def function_key(group: str, app: str) -> str:
    """Ask Azure for a function key of the app's host."""
    where = ("--resource-group", group, "--name", app)
    if app.startswith("ca-"):  # on Container Apps
        found = az("containerapp", "function", "keys", "list", *where, "--key-type", "hostKey")
    else:
        found = az("functionapp", "keys", "list", *where)
    key = next(_keys(found), None)
    if key is None:
        raise Failed(f"{app} has no function key `default`; the host makes it once it is up")
    return key


def _keys(found: Any) -> Iterator[str]:
    """Find the keys named ``default`` in an answer, by name or as a member; a key of the system's is not among them."""
    if isinstance(found, dict):
        if found.get("name") == "default" and isinstance(found.get("value"), str):
            yield found["value"]
        for name, inner in found.items():
            if name == "default" and isinstance(inner, str):
                yield inner
            elif name != "systemKeys":
                yield from _keys(inner)
    elif isinstance(found, list):
        for one in found:
            yield from _keys(one)


def credentials(given: argparse.Namespace) -> dict[str, str]:
    """Give the headers that a caller of the API needs."""
    headers = {"x-functions-key": os.environ.get("JOBS_API_KEY") or function_key(given.resource_group, given.app)}
    if given.client_id:
        token = az("account", "get-access-token", "--scope", f"api://{given.client_id}/.default")["accessToken"]
        headers["authorization"] = f"Bearer {token}"
    return headers


def once_up(seconds: float, given: argparse.Namespace) -> dict[str, str]:
    """Give the headers once Azure tells a key, which it asks the app's host for: that may not be up yet."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return credentials(given)
        except Failed:
            if time.monotonic() > deadline:
                raise
            time.sleep(POLL_SECONDS)


def completed(api: Api, commit: str, seconds: float) -> str:
    """Enqueue a job and wait for its end; gives its id. Raises ``Failed`` unless it completes in time."""
    deadline = time.monotonic() + seconds
    name = f"smoke test {uuid.uuid4()}"
    job = {"handler_name": HANDLER, "job_name": name, "payload": {"release": commit}}
    answer = api.ask("POST", "/api/jobs", job, idempotency_key=name)
    while answer.status not in {200, 201, 202}:  # it may take a while for an instance to have started
        if time.monotonic() > deadline:
            raise Failed(f"no job could be enqueued within {seconds:.0f} s; the API last answered {answer}")
        time.sleep(POLL_SECONDS)
        answer = api.ask("POST", "/api/jobs", job, idempotency_key=name)
    found = answer.body
    path = f"/api/jobs/{found['id']}"
    while found["status"] not in ENDED:
        if time.monotonic() > deadline:
            why = found.get("waiting_for_detail") or found.get("waiting_for") or ""
            raise Failed(f"{path} is still {found['status']} after {seconds:.0f} s {why}".rstrip())
        time.sleep(POLL_SECONDS)
        answer = api.ask("GET", path)
        found = answer.body if answer.status == 200 else found
    if found["status"] != "Completed":
        raise Failed(f"{path} ended as {found['status']}: {json.dumps(api.ask('GET', path + '/attempts').body)[:2000]}")
    return str(found["id"])


def release() -> str:
    """Name the commit that is checked out; empty where this is no checkout."""
    asked = ["git", "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, variable, told in (
        ("--resource-group", "AZURE_RESOURCE_GROUP", "the resource group"),
        ("--app", "appName", "the output appName"),
        ("--url", "appUrl", "the output appUrl"),
    ):
        default = os.environ.get(variable)
        parser.add_argument(option, default=default, required=default is None, help=told)
    parser.add_argument(
        "--client-id", default=os.environ.get("API_CLIENT_ID"), help="apiClientId, where callers sign in"
    )
    parser.add_argument("--seconds", type=float, default=120, help="how long to wait")
    given = parser.parse_args()
    began = time.monotonic()
    try:
        headers = once_up(given.seconds, given)
        api = Api(given.url, headers, max(1, min(WAIT_SECONDS, int(given.seconds))))
        job = completed(api, release(), given.seconds - (time.monotonic() - began))
    except Failed as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 1
    print(f"job {job} completed after {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
