"""Azurite for tests; where it is not installed they are skipped, and say how to get it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.adapters.storage_queue.queue import StorageQueue
from jobs.bootstrap.schedulers import open_queues
from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.azurite import LocalAzurite, find_azurite
from tests.ports import HeldPorts

try:
    find_azurite()
    _WHY_NOT = ""
except ConfigurationError as error:
    _WHY_NOT = str(error)

needs_azurite = pytest.mark.skipif(bool(_WHY_NOT), reason=_WHY_NOT)


@contextmanager
def running_azurite(folder: Path) -> Iterator[LocalAzurite]:
    """Run Azurite, which may be killed and started again on its port."""
    with HeldPorts() as ports, LocalAzurite(folder, ports.take(1)[0]) as azurite:
        yield azurite


def queues_of(azurite: LocalAzurite, name: str) -> tuple[StorageQueue, StorageQueue]:
    """The queue of that name, and its poison queue."""
    return open_queues("AzureWebJobsStorage", name, azurite.environment)
