"""A test's Postgres is in memory where there is enough of it, and where its socket can be reached anywhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.testing.postgres import folder
from jobs.testing.postgres.folder import server_parent

GIB = 1024**3


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Returns what makes a machine with so much memory, of which so much is free for files."""

    def machine(available: int, free: int, temporary: str = "/tmp"):
        monkeypatch.setattr(folder, "_MEMORY", tmp_path)
        monkeypatch.setattr(folder, "_available_memory", lambda: available)
        monkeypatch.setattr(folder, "disk_usage", lambda _: type("Usage", (), {"free": free}))
        monkeypatch.setattr(folder, "gettempdir", lambda: temporary)

    return machine


def test_it_is_in_memory_where_there_is_enough(machine, tmp_path):
    machine(available=8 * GIB, free=8 * GIB)
    assert server_parent() == str(tmp_path)


@pytest.mark.parametrize(("available", "free"), [(GIB, 8 * GIB), (8 * GIB, 64 * 1024**2), (0, 8 * GIB)])
def test_it_is_on_disk_where_memory_is_short_as_in_a_container(machine, available, free):
    machine(available, free)
    assert server_parent() is None


def test_on_disk_the_path_is_short_enough_for_a_socket(machine):
    machine(
        available=0, free=0, temporary="/a/very/long/folder/for/temporary/files/as/some/machines/have/one/by/default"
    )
    assert server_parent() == "/tmp"


def test_the_memory_of_this_machine_is_known_on_linux_and_otherwise_said_to_be_none():
    assert (folder._available_memory() > 0) == Path("/proc/meminfo").exists()
