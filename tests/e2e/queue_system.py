"""The whole on a storage queue, with as many instances of the app as are asked for."""

from __future__ import annotations

import random
from pathlib import Path

import sqlalchemy as sa

from jobs.adapters.storage_queue.queue import StorageQueue
from jobs.bootstrap.schedulers import open_queues
from jobs.entrypoints.devhost.azurite import LocalAzurite
from tests.e2e.system import System
from tests.support import PATIENCE_SECONDS
from tests.warm import WarmProcess

QUEUE = "jobs-wake"


class QueueSystem(System):
    """The system on a storage queue. ``queue`` and ``poison`` are its queues."""

    def __init__(self, database_url: str, engine: sa.Engine, folder: Path, *, access_log: bool = False) -> None:
        super().__init__(database_url, engine, folder)
        port = self._ports.take(1)[0]
        self._scheduler = self.azurite = LocalAzurite(folder / "azurite", port, access_log=access_log)
        self._environment = {
            "JOBS_SCHEDULER": "queue",
            "JOBS_QUEUE": QUEUE,
            "AzureWebJobsStorage": self.azurite.connection_string,
        }
        self.queue, self.poison = self._open()
        self._more: list[WarmProcess] = []

    def __exit__(self, *exception: object) -> None:
        self.stop_more()
        super().__exit__(*exception)
        self.queue.close()
        self.poison.close()

    def _open(self) -> tuple[StorageQueue, StorageQueue]:
        return open_queues("AzureWebJobsStorage", QUEUE, self._environment)

    def requests(self, method: str) -> int:
        """How many requests of this method the emulator has answered; with ``access_log`` only."""
        return (self._folder / "azurite" / "azurite-queue.log").read_text().count(f'"{method} /')

    def poisoned(self) -> int:
        """How many messages the host has given up."""
        self.poison.create()
        return self.poison.count()

    def restart_azurite(self) -> None:
        self.azurite.kill()
        self.azurite.start()

    def put_alarms(self, times: int = 1) -> None:
        """Put a message for each job that waits, so many times, in any order."""
        waiting = self.sql("select id, generation from jobs.jobs where status = 'Scheduled'")
        names = [f"{row.id.hex}-{row.generation}" for row in waiting] * times
        random.shuffle(names)
        for name in names:
            self.queue.put(name)

    def start_more(self, count: int, **settings: str) -> None:
        """Start further instances of the app, each on a port of its own; ``stop_more`` stops them."""
        for port in self._ports.take(count):
            self._more.append(self._started(port, settings))
            self._wait_for(port)

    def stop_more(self) -> None:
        for process in self._more:
            process.terminate()
        for process in self._more:
            process.wait(PATIENCE_SECONDS)
        self._more.clear()
