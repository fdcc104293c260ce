"""The whole: the app in a process of its own, Postgres and a scheduler, each of which can be killed and restarted."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, Self

import httpx
import sqlalchemy as sa

from tests.ports import HeldPorts
from tests.support import PATIENCE_SECONDS, ROOT
from tests.warm import WarmProcess

SCRIPT = Path(__file__).with_name("system_app.py")
LEASE_SECONDS = 4
GRACE_SECONDS = 3
RECONCILE_SECONDS = 2

SEEN = """
create table if not exists seen (
  id bigint generated always as identity, job_id uuid, run int, attempt int, due_at timestamptz, process int,
  began_at timestamptz default clock_timestamp(), ended_at timestamptz)
"""


class System:
    """Everything, up within a ``with`` block: the app, and what ``_scheduler`` brings up and ``_environment`` names."""

    def __init__(self, database_url: str, engine: sa.Engine, folder: Path) -> None:
        self._ports = HeldPorts()
        [self._port] = self._ports.take(1)
        self._engine = engine
        self._url = database_url
        self._folder = folder
        self._app: WarmProcess | None = None
        self._output: list[Path] = []
        self._scheduler: AbstractContextManager[object] = nullcontext()
        self._environment: dict[str, str] = {}
        self.client = httpx.Client(verify=False, base_url=f"http://127.0.0.1:{self._port}", timeout=120)
        self.sql(SEEN)

    def __enter__(self) -> Self:
        try:
            self._scheduler.__enter__()
            self.start_app()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.stop_app()
        self._scheduler.__exit__(None, None, None)
        self._ports.close()

    def sql(self, text: str, **values: Any) -> list[Any]:
        with self._engine.begin() as connection:
            result = connection.execute(sa.text(text), values)
            return list(result.fetchall()) if result.returns_rows else []

    @property
    def log(self) -> str:
        return "".join((folder / "stderr").read_text() for folder in self._output)

    def _settings(self) -> dict[str, str]:
        return {
            "JOBS_DATABASE_URL": self._url,
            "JOBS_KEY_ROLE": "manage",
            "JOBS_LEASE_SECONDS": str(LEASE_SECONDS),
            "JOBS_OVERDUE_GRACE_SECONDS": str(GRACE_SECONDS),
            "JOBS_RECONCILE_SCHEDULE": f"*/{RECONCILE_SECONDS} * * * * *",
            "JOBS_POLL_BUDGET_SECONDS": str(RECONCILE_SECONDS),
            "JOBS_SHUTDOWN_GRACE_SECONDS": "1",
            "PYTHONPATH": str(ROOT),
        }

    @property
    def port(self) -> int:
        return self._port

    def start_app(self, expected_status: int = 200, **settings: str) -> None:
        self._app = self._started(self._port, settings)
        self._wait_for(self._port, expected_status)

    def _started(self, port: int, settings: Mapping[str, str]) -> WarmProcess:
        self._output.append(self._folder / f"app-{len(self._output)}")
        self._output[-1].mkdir()
        environment = os.environ | self._environment | self._settings() | settings
        return WarmProcess([str(SCRIPT), str(port)], env=environment, output=self._output[-1])

    def _wait_for(self, port: int, expected_status: int = 200) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}/api/health/ready", verify=False).status_code == expected_status:
                    return
            assert time.monotonic() < until, self.log
            time.sleep(0.05)

    def stop_app(self) -> None:
        if self._app is not None:
            self._app.terminate()
            try:
                self._app.wait(60)
            except subprocess.TimeoutExpired:
                self.kill_app()
            self._app = None

    def kill_app(self) -> None:
        if self._app is not None:
            self._app.kill()
            self._app.wait()
            self._app = None

    def restart_app(self) -> None:
        """Kill the app and start it again."""
        self.kill_app()
        self.start_app()

    def revive_app(self) -> int | None:
        """Start the app anew if it has ended by itself; returns the status it ended with, None if it runs."""
        status = self._app.poll() if self._app is not None else None
        if status is not None:
            self.start_app()
        return status

    def enqueue(self, name: str, seconds: float = 0.0, **fields: Any) -> str:
        body = {"handler_name": "Work", "job_name": name, "payload": {"seconds": seconds}} | fields
        answer = self.client.post("/api/jobs", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def enqueue_many(self, names: list[str], seconds: float = 0.0, **fields: Any) -> list[str]:
        jobs = [{"handler_name": "Work", "job_name": name, "payload": {"seconds": seconds}} | fields for name in names]
        answer = self.client.post("/api/jobs/batch", json={"jobs": jobs})
        assert answer.status_code == 200, answer.text
        return [str(each["job"]["id"]) for each in answer.json()["results"]]

    def get(self, job_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get(f"/api/jobs/{job_id}").json()
        return answer

    def statuses(self) -> dict[str, int]:
        return {row[0]: row[1] for row in self.sql("select status, count(*) from jobs.jobs group by 1")}

    def completed(self, count: int) -> bool:
        """Whether there are so many jobs, and all have completed."""
        return self.statuses() == {"Completed": count}

    def assert_each_completed_once(self) -> None:
        twice = "select job_id from jobs.job_attempts where outcome = 'Succeeded' group by 1 having count(*) > 1"
        assert self.sql(twice) == []
        assert self.sql("select id from jobs.jobs where run_count <> 1") == []

    def assert_none_began_early(self) -> None:
        assert self.sql("select * from seen where began_at < due_at") == []
