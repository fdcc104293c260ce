"""Two sample jobs, enqueued through the app's own HTTP API, and what becomes of them as it happens."""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.error
import urllib.request
from datetime import datetime
from typing import Any

_POLL_SECONDS = 0.3
_START_SECONDS = 60

WELCOME = {
    "handler_name": "SendEmail",
    "job_name": "welcome",
    "schedule": "@once",
    "payload": {"to": "you@example.com", "subject": "Welcome", "body": "Your first job has run."},
    "metadata": {"Domain": "Demo"},
    "on_conflict": "return_existing",
}
RECURRING = {
    "handler_name": "SendEmail",
    "job_name": "demo-every-15-seconds",
    "schedule": "@every 15s",
    "payload": {"to": "you@example.com", "subject": "Tick", "body": "A recurring job has run."},
    "metadata": {"Domain": "Demo"},
    "on_conflict": "return_existing",
}


class Demo:
    """Enqueues a one-time and a recurring job and prints each change of their state until it is told to stop."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._seen: dict[str, tuple[Any, ...]] = {}

    def start(self, stop: threading.Event) -> None:
        """Watch on a thread of its own. Its reads of the API are kept out of the access log."""
        logging.getLogger("jobs.devhost").addFilter(self._is_not_ours)
        threading.Thread(target=self._run, args=(stop,), name="jobs-demo", daemon=True).start()

    def _is_not_ours(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return not (text.startswith("GET ") and any(job_id in text for job_id in self._seen))

    def _run(self, stop: threading.Event) -> None:
        try:
            self._wait_until_ready(stop)
            ids = [self._call("POST", "/api/jobs", job)["id"] for job in (WELCOME, RECURRING)]
            self._seen = dict.fromkeys(ids, ())
            while not stop.wait(_POLL_SECONDS):
                for job_id in ids:
                    self._tell(self._call("GET", f"/api/jobs/{job_id}"))
        except (OSError, ValueError, KeyError) as error:
            if not stop.is_set():
                _say(f"the demo cannot go on: {error}")

    def _wait_until_ready(self, stop: threading.Event) -> None:
        until = time.monotonic() + _START_SECONDS
        while not stop.is_set():
            try:
                self._call("GET", "/api/health/ready")
            except OSError:
                if time.monotonic() > until:
                    raise
                stop.wait(_POLL_SECONDS)
            else:
                return

    def _tell(self, job: dict[str, Any]) -> None:
        state = (job["status"], job["run_count"], job["attempt"], job["next_run_at"])
        if state == self._seen[job["id"]]:
            return
        before, self._seen[job["id"]] = self._seen[job["id"]], state
        ran = bool(before) and job["run_count"] > before[1]
        parts = [
            f"run {job['run_count']} Succeeded →" if ran and job["recurring"] and not job["last_error"] else "",
            job["status"],
        ]
        if job["status"] == "Scheduled":
            parts.append(f"next at {_local(job['next_run_at'])}")
        if job["last_error"]:
            parts.append(f"last error: {job['last_error']}")
        _say(f"{job['job_name']:<24} {' '.join(part for part in parts if part)}")

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310  our own loopback address
            self._url + path, data=data, method=method, headers={"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  our own loopback address
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise OSError(f"{method} {path} answered {error.code}: {error.read().decode()[:300]}") from None


def _local(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%H:%M:%S}"


def _say(text: str) -> None:
    print(f"{datetime.now().astimezone():%H:%M:%S} ▸ {text}", flush=True)
