"""Azurite for tests; where it is not installed they are skipped, and say how to get it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.adapters.schedulers.queue import CONNECTIONS
from jobs.adapters.storage_queue.account import StorageAccount
from jobs.adapters.storage_queue.queue import StorageQueue
from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.azurite import LocalAzurite, find_azurite
from tests.ports import HeldPorts


@contextmanager
def running_azurite(folder: Path) -> Iterator[LocalAzurite]:
    """Run Azurite, which may be killed and started again on its port; skip the test where there is none."""
    try:
        find_azurite()
    except ConfigurationError as error:
        pytest.skip(str(error))
    with HeldPorts() as ports, LocalAzurite(folder, ports.take(1)[0]) as azurite:
        yield azurite


def queues_of(azurite: LocalAzurite, name: str) -> tuple[StorageQueue, StorageQueue]:
    """The queue of that name, and its poison queue. Their calls wait for as long as a busy machine may take."""
    account = StorageAccount.of({"Azurite": azurite.connection_string}, "Azurite")
    queue, poison = (
        StorageQueue(account, each, connections=CONNECTIONS, timeout_seconds=60) for each in (name, f"{name}-poison")
    )
    return queue, poison
