"""Two jobs, enqueued through the app's own HTTP API, and what becomes of them as it happens."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobs.core.diagnostics.message_throttle import MessageThrottle
from jobs.entrypoints.devhost.demo_handler import DEMO_HANDLER
from jobs.entrypoints.devhost.host.headers import WATCHER

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_SECONDS = 0.3
_JUST_DUE_SECONDS = 2.0
_RELOAD_CALLS = 30
"""For so many calls nothing listens where the app is loaded again: for ten seconds, on a busy machine."""
_READY = "/api/health/ready"
_UNAVAILABLE = 503

WELCOME = {
    "handler_name": DEMO_HANDLER,
    "job_name": "welcome",
    "schedule": "@once",
    "metadata": {"Domain": "Demo"},
    "on_conflict": "return_existing",
}
RECURRING = {
    "handler_name": DEMO_HANDLER,
    "job_name": "demo-every-15-seconds",
    "schedule": "@every 15s",
    "metadata": {"Domain": "Demo"},
    "on_conflict": "return_existing",
}


class Demo:
    """Enqueues a one-time and a recurring job and prints each change of their state until ``stop`` is set."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._seen: dict[str, tuple[Any, ...]] = {}
        self._told = MessageThrottle()
        self._unanswered = 0

    def start(self, stop: threading.Event) -> None:
        """Watch on a thread of its own. The host logs no line for its reads of the API."""
        self._begin(self._watch, stop)

    def cancel_recurring(self, stop: threading.Event) -> None:
        """Cancel, on a thread of its own, the recurring job that an earlier demo has left, which would never end."""
        self._begin(self._cancel, stop)

    def _begin(self, act: Callable[[threading.Event], None], stop: threading.Event) -> None:
        threading.Thread(target=self._run, args=(act, stop), name="jobs-demo", daemon=True).start()

    def _run(self, act: Callable[[threading.Event], None], stop: threading.Event) -> None:
        """Act, again and again while the app does not answer."""
        try:
            while not stop.is_set():
                try:
                    act(stop)
                except _Away as error:
                    if error.lasts and self._told.is_due("away", str(error)) and not stop.is_set():
                        _say(f"the demo waits: {error}")
                    stop.wait(_POLL_SECONDS)
                else:
                    return
        except (OSError, ValueError, KeyError) as error:
            if not stop.is_set():
                _say(f"the demo cannot go on: {error}")

    def _watch(self, stop: threading.Event) -> None:
        """Enqueue the jobs and watch them; raises ``_Away`` while the app or its database does not answer."""
        if not self._seen:
            self._see_that_it_is_ready()
            self._seen = {self._enqueue(job)["id"]: () for job in (WELCOME, RECURRING)}
        while not stop.wait(_POLL_SECONDS):
            for job_id in self._seen:
                self._tell(self._call("GET", f"/api/jobs/{job_id}"))

    def _cancel(self, _stop: threading.Event) -> None:
        name = RECURRING["job_name"]
        found = self._call("GET", f"/api/jobs?handler_name={DEMO_HANDLER}&job_name={name}&status=Scheduled,Running")
        for job in found["jobs"]:
            self._call("DELETE", f"/api/jobs/{job['id']}")
            _say(f"{name} of an earlier demo is cancelled; `make run`, or --demo, brings it back")

    def _enqueue(self, job: dict[str, Any]) -> Any:
        """Enqueue a job, or take the one of its name that is there, unless another handler runs that."""
        standing = self._call("POST", "/api/jobs", job)
        if standing.get("handler_name", DEMO_HANDLER) != DEMO_HANDLER:
            self._call("DELETE", f"/api/jobs/{standing['id']}")
            standing = self._call("POST", "/api/jobs", job)
        return standing

    def _see_that_it_is_ready(self) -> None:
        """Raise ``_Away`` unless the app is ready; services that do not answer hold up no job of the demo."""
        try:
            self._call("GET", _READY)
        except _Away as error:
            if not error.services:
                raise
            _say(f"these services do not answer: {', '.join(error.services)}; the log says why, and the demo goes on")

    def _tell(self, job: dict[str, Any]) -> None:
        state = (job["status"], job["run_count"], job["attempt"], job["next_run_at"])
        if state == self._seen[job["id"]]:
            return
        before, self._seen[job["id"]] = self._seen[job["id"]], state
        ran = bool(before) and job["run_count"] > before[1]
        parts = [
            f"run {job['run_count']} Succeeded ->" if ran and job["recurring"] and not job["last_error"] else "",
            job["status"],
        ]
        if job["status"] == "Scheduled":
            parts.append(_when(datetime.fromisoformat(job["next_run_at"])))
        if job["last_error"]:
            parts.append(f"last error: {job['last_error']}")
        _say(f"{job['job_name']:<24} {' '.join(part for part in parts if part)}")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  our own loopback address
            self._url + path, data=data, method=method, headers={"content-type": "application/json", WATCHER: "demo"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  our own loopback address
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            said = f"{method} {path} answered {error.code}: {text[:300]}"
            if error.code == _UNAVAILABLE:
                raise _Away(said, _services_in(text)) from None
            raise OSError(said) from None
        except OSError as error:  # of an app that is not up yet, is loaded again, or is too busy to answer
            self._unanswered += 1
            lasts = self._unanswered > _RELOAD_CALLS
            raise _Away(f"{method} {path} is not answered: {error}", lasts=lasts) from None
        self._unanswered = 0
        return found


class _Away(OSError):
    """The app does not answer, or cannot do its work now; it says which ``services`` are all that it lacks.

    ``lasts`` is false while it may only be loaded again.
    """

    def __init__(self, why: str, services: tuple[str, ...] = (), *, lasts: bool = True) -> None:
        super().__init__(why)
        self.services = services
        self.lasts = lasts


def _services_in(answer: str) -> tuple[str, ...]:
    try:
        return tuple(json.loads(answer)["services"])
    except (ValueError, KeyError, TypeError):
        return ()


def _when(due: datetime) -> str:
    """Say when a job is to run; of one that is late, since when: it waits for the scheduler, or for a poll."""
    late = (datetime.now(UTC) - due).total_seconds()
    at = f"{due.astimezone():%H:%M:%S}"
    if late < 0:
        return f"next at {at}"
    return "and due" if late < _JUST_DUE_SECONDS else f"and due since {at}"


def _say(text: str) -> None:
    print(f"{datetime.now().astimezone():%H:%M:%S} > {text}", flush=True)
