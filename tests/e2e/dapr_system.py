"""The whole under Dapr: a scheduler and a sidecar, each of which can be killed and started again."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from jobs.entrypoints.devhost.dapr import LocalDapr
from tests.e2e.system import System


class DaprSystem(System):
    """The system under Dapr."""

    def __init__(self, database_url: str, engine: sa.Engine, folder: Path) -> None:
        super().__init__(database_url, engine, folder)
        self._scheduler = self.dapr = LocalDapr(folder / "dapr", self._port, self._ports.take)
        self._environment = self.dapr.environment

    @property
    def callback_headers(self) -> dict[str, str]:
        return {"dapr-api-token": self.dapr.environment["JOBS_CALLBACK_TOKENS"]}

    def restart(self, part: str) -> None:
        """Kill a part and start it again."""
        if part == "app":
            self.restart_app()
        else:
            self.dapr.kill(part)
            self.dapr.start(part)
