"""What a local start with a storage queue runs beside the app, and what it uses that runs already."""

from __future__ import annotations

import os
import socket

import pytest

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost import local_scheduler as module
from jobs.entrypoints.devhost.azurite import LocalAzurite, find_azurite
from jobs.entrypoints.devhost.local_scheduler import local_scheduler, name_own_queues
from jobs.entrypoints.devhost.options import DevOptions
from jobs.entrypoints.devhost.processes import command_of
from tests.ports import HeldPorts
from tests.support import until

STORAGE = "AzureWebJobsStorage"
THRESHOLD = "AzureFunctionsJobHost__extensions__queues__newBatchThreshold"
EMULATED = "UseDevelopmentStorage=true"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.delenv("JOBS_QUEUE_CONNECTION", raising=False)
    monkeypatch.delenv(STORAGE, raising=False)
    monkeypatch.setenv("JOBS_SCHEDULER", "queue")
    return monkeypatch


@pytest.fixture
def no_emulator(environment):
    """Nothing listens where a storage emulator would."""
    with HeldPorts() as ports:
        environment.setattr(module, "_EMULATED_QUEUES", ("127.0.0.1", ports.take(1)[0]))
        yield


@pytest.fixture
def installed():
    try:
        find_azurite()
    except ConfigurationError as error:
        pytest.skip(str(error))


def started(tmp_path):
    return local_scheduler(DevOptions(data=str(tmp_path)))


@pytest.mark.usefixtures("no_emulator", "installed")
def test_a_start_without_a_storage_account_runs_azurite_and_ends_it(tmp_path, environment):
    environment.setenv(STORAGE, EMULATED)
    with started(tmp_path):
        assert "QueueEndpoint=http://127.0.0.1:" in os.environ[STORAGE]
        noted = (tmp_path / "azurite" / "azurite-queue.pid").read_text()
        process_id = int(noted.split(":")[1].split(",")[0])
        assert "azurite-queue" in command_of(process_id)
    until(lambda: not command_of(process_id))


@pytest.mark.usefixtures("no_emulator", "installed")
@pytest.mark.parametrize(("queue", "named"), [(None, ""), ("jobs-wake", ""), ("jobs-mine", ", queue='jobs-mine'")])
def test_a_start_with_azurite_shows_how_another_program_sets_its_alarms(tmp_path, environment, queue, named):
    if queue:
        environment.setenv("JOBS_QUEUE", queue)
    environment.setenv(STORAGE, EMULATED)
    with started(tmp_path) as shown:
        assert f'scheduler="queue", queue_connection={os.environ[STORAGE]!r}{named})' in shown
    environment.setenv(STORAGE, "AccountName=shop;AccountKey=a2V5")
    with started(tmp_path) as shown:
        assert shown == "", "what the reader has set is no secret to show"


@pytest.mark.usefixtures("no_emulator")
def test_a_storage_account_that_is_set_is_used_as_it_is(tmp_path, environment):
    environment.setenv(STORAGE, "AccountName=shop;AccountKey=a2V5")
    name_own_queues()
    with started(tmp_path):
        assert os.environ[STORAGE] == "AccountName=shop;AccountKey=a2V5"
    assert list(tmp_path.iterdir()) == []


def test_an_emulator_that_runs_already_is_used(tmp_path, environment):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        environment.setattr(module, "_EMULATED_QUEUES", listening.getsockname())
        name_own_queues()
        with started(tmp_path):
            assert os.environ[STORAGE] == EMULATED
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, {STORAGE: EMULATED}),
        ({"AzureWebJobsStorage__queueServiceUri": "https://shop.queue.core.windows.net"}, {}),
        ({"JOBS_QUEUE_CONNECTION": "Orders"}, {"Orders": EMULATED}),
        ({"JOBS_SCHEDULER": "timer"}, {}),
        ({"JOBS_SCHEDULER": "timer", "JOBS_SCALE_OUT": "true"}, {STORAGE: EMULATED, THRESHOLD: "0"}),
    ],
)
def test_the_emulator_is_chosen_only_where_nothing_says_which_account(environment, settings, named):
    for name, value in settings.items():
        environment.setenv(name, value)
    before = dict(os.environ)
    environment.setattr(os, "environ", before.copy())
    name_own_queues()
    assert dict(os.environ) == before | named


def test_where_azurite_is_missing_the_start_says_how_to_get_it(tmp_path, environment):
    environment.setenv("PATH", str(tmp_path))
    environment.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="make azurite"):
        LocalAzurite(tmp_path, 1)


def test_one_that_does_not_come_up_is_told_of_with_its_log(tmp_path, environment):
    program = tmp_path / "azurite-queue"
    program.write_text("#!/bin/sh\necho cannot start\nexit 3\n")
    program.chmod(0o755)
    environment.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ConfigurationError, match=r"azurite-queue\.log"), LocalAzurite(tmp_path / "data", 1):
        pass
    assert "cannot start" in (tmp_path / "data" / "azurite-queue.log").read_text()
