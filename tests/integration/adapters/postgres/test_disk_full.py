"""A database whose disk is full, or that is read-only, still answers; that it takes no writes is said by ``/ready``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from jobs.app.runtime import Runtime
from jobs.core.errors import StoreTakesNoWrites
from jobs.entrypoints.http import operations
from jobs.entrypoints.http.callback_tokens import CallbackTokens
from tests.support import job, until

pytestmark = pytest.mark.direct
NO_WRITES = "the database takes no writes: its disk is full, or it is read-only; give it room"
SIZE = 48 * 1024 * 1024


@pytest.fixture
def small_disk(server) -> Iterator[Path]:
    """A file system of a few megabytes, which the server may write to."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    mounted = shutil.which("mount") is not None and os.geteuid() == 0 and mount(folder)
    if not mounted:
        folder.rmdir()
        pytest.skip("only root may mount a file system here, which is what it takes to fill one")
    space = folder / "space"
    space.mkdir()
    os.chown(space, server.socket_folder.stat().st_uid, -1)
    space.chmod(0o700)
    folder.chmod(0o755)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def mount(folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def on_small_disk(server, database_url, small_disk) -> Iterator[Path]:
    """The test's database, all of which is moved to that file system."""
    name = sa.make_url(database_url).database
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"create tablespace small location '{small_disk / 'space'}'"))
        connection.execute(sa.text(f"alter database {name} set tablespace small"))
    yield small_disk
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"alter database {name} with allow_connections false"))
        ended = "select pg_terminate_backend(pid, 30000) from pg_stat_activity where datname = :name"
        connection.execute(sa.text(ended), {"name": name})
        connection.execute(sa.text(f"alter database {name} set tablespace pg_default"))
        connection.execute(sa.text("checkpoint"))
        connection.execute(sa.text("drop tablespace small"))


def readiness(runtime: Runtime) -> tuple[int, Any]:
    answer = operations.ready(lambda: runtime, CallbackTokens([], open_without_token=True))
    return answer.status_code, json.loads(answer.get_body())


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    return filler


def test_with_the_disk_full_readiness_says_so_and_again_that_all_is_well_once_there_is_room(
    on_small_disk: Path, make_runtime
):
    runtime = make_runtime()
    assert readiness(runtime)[0] == 200
    filler = fill(on_small_disk)
    status, said = readiness(runtime)
    assert (status, said["reason"]) == (
        503,
        NO_WRITES,
    )
    with pytest.raises(StoreTakesNoWrites, match="SQLSTATE 53100"):
        runtime.service.enqueue_many([job(f"{n}", payload={"text": "x" * 50_000}) for n in range(200)])
    filler.unlink()
    until(lambda: readiness(runtime)[0] == 200)
    assert runtime.service.enqueue(job("again")).id


def test_a_database_that_is_read_only_is_not_ready(make_runtime, database_url, server):
    """As a managed one makes itself before its disk is full, and as a primary is after a failover."""
    name = sa.make_url(database_url).database
    runtime = make_runtime()
    assert readiness(runtime)[0] == 200
    runtime.service._store._database.close()
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"alter database {name} set default_transaction_read_only = on"))
    status, said = readiness(runtime)
    assert (status, said["reason"]) == (
        503,
        NO_WRITES,
    )
    with pytest.raises(StoreTakesNoWrites, match="SQLSTATE 25006"):
        runtime.service.enqueue(job())
    with server.admin.connect() as connection:
        connection.execute(sa.text(f"alter database {name} reset default_transaction_read_only"))
    assert readiness(runtime)[0] == 200
