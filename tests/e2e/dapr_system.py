"""The whole under Dapr: a scheduler, a sidecar, the app and Postgres, each of which can be killed and started again."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx
import sqlalchemy as sa

from jobs.entrypoints.devhost.dapr import LocalDapr
from tests.ports import HeldPorts
from tests.support import PATIENCE_SECONDS
from tests.warm import WarmProcess

SCRIPT = Path(__file__).with_name("dapr_app.py")
ROOT = SCRIPT.parents[2]
LEASE_SECONDS = 4
GRACE_SECONDS = 3
RECONCILE_SECONDS = 2

SEEN = """
create table if not exists seen (
  id bigint generated always as identity, job_id uuid, run int, attempt int, due_at timestamptz, process int,
  began_at timestamptz default clock_timestamp(), ended_at timestamptz)
"""


class System:
    """Everything, up from ``start`` to ``stop``."""

    def __init__(self, database_url: str, engine: sa.Engine, folder: Path) -> None:
        self._ports = HeldPorts()
        [self._port] = self._ports.take(1)
        self._engine = engine
        self._url = database_url
        self._folder = folder
        self._app: WarmProcess | None = None
        self._output: list[Path] = []
        self.dapr = LocalDapr(folder / "dapr", self._port, self._ports.take)
        self.client = httpx.Client(verify=False, base_url=f"http://127.0.0.1:{self._port}", timeout=120)
        self.sql(SEEN)

    def __enter__(self) -> Self:
        try:
            self.dapr.__enter__()
            self.start_app()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.stop_app()
        self.dapr.__exit__()
        self._ports.close()

    def sql(self, text: str, **values: Any) -> list[Any]:
        with self._engine.begin() as connection:
            result = connection.execute(sa.text(text), values)
            return list(result.fetchall()) if result.returns_rows else []

    @property
    def callback_headers(self) -> dict[str, str]:
        return {"dapr-api-token": self.dapr.environment["JOBS_CALLBACK_TOKENS"]}

    @property
    def log(self) -> str:
        return "".join((folder / "stderr").read_text() for folder in self._output)

    def start_app(self, **settings: str) -> None:
        chosen = {
            "JOBS_DATABASE_URL": self._url,
            "JOBS_KEY_ROLE": "manage",
            "JOBS_LEASE_SECONDS": str(LEASE_SECONDS),
            "JOBS_OVERDUE_GRACE_SECONDS": str(GRACE_SECONDS),
            "JOBS_RECONCILE_SCHEDULE": f"*/{RECONCILE_SECONDS} * * * * *",
            "JOBS_POLL_BUDGET_SECONDS": str(RECONCILE_SECONDS),
            "JOBS_SHUTDOWN_GRACE_SECONDS": "1",
            "PYTHONPATH": str(ROOT),
        }
        self._output.append(self._folder / f"app-{len(self._output)}")
        self._output[-1].mkdir()
        environment = os.environ | self.dapr.environment | chosen | settings
        self._app = WarmProcess([str(SCRIPT), str(self._port)], env=environment, output=self._output[-1])
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            with suppress(httpx.TransportError):
                if self.client.get("/api/health/ready").status_code == 200:
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

    def revive_app(self) -> int | None:
        """Start the app anew if it has ended by itself; returns the status it ended with, None if it runs."""
        status = self._app.poll() if self._app is not None else None
        if status is not None:
            self.start_app()
        return status

    def restart(self, part: str) -> None:
        """Kill a part and start it again."""
        if part == "app":
            self.kill_app()
            self.start_app()
        else:
            self.dapr.kill(part)
            self.dapr.start(part)

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
