"""PgBouncer in transaction mode before the tests' Postgres, as many a production has it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MISSING = "PgBouncer is not installed; on Debian it is the package pgbouncer"
_CONFIGURATION = """
[databases]
* = host={server} user=postgres

[pgbouncer]
pool_mode = transaction
unix_socket_dir = {folder}
listen_port = 5432
auth_type = any
default_pool_size = {pool_size}
max_client_conn = 900
server_login_retry = 0.2
log_connections = 0
log_disconnections = 0
"""


def find_pgbouncer() -> str | None:
    """Find the program; Debian puts it where a user's PATH may not lead."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pgbouncer(server_folder: Path, *, pool_size: int = 20) -> Iterator[Path]:
    """Run PgBouncer before the Postgres whose socket is in ``server_folder``; gives the folder of its own socket."""
    program = find_pgbouncer()
    assert program is not None, MISSING
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))  # short: a Unix socket's path may have 107 characters at most
    folder.chmod(0o777)
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(_CONFIGURATION.format(server=server_folder, folder=folder, pool_size=pool_size))
    as_user = ["-u", "pgserver"] if os.geteuid() == 0 else []  # it refuses to be root, as Postgres does
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, *as_user, str(configuration)], stdout=log, stderr=log)
    try:
        until = time.monotonic() + 60
        while not (folder / ".s.PGSQL.5432").exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, "PgBouncer did not come up"
            time.sleep(0.01)
        yield folder
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder)
