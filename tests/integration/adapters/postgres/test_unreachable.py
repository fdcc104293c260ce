"""What is said where no connection can be made: which setting is at fault, and the mend. Never a password."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from jobs.adapters.postgres.connection.address import DatabaseOptions
from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.connection.driver.encoding import Statement
from jobs.adapters.postgres.schema.migrate import upgrade
from jobs.bootstrap.connecting import in_arguments
from jobs.connecting import connect
from jobs.core.errors import StoreUnavailable

_ROOT = Path(__file__).parents[4]
_ONE = Statement.of(sa.text("select 1"))


def told(options: DatabaseOptions) -> str:
    """What a statement and a migration say; they must agree in the mend."""
    database = Database(options)
    try:
        with pytest.raises(StoreUnavailable) as of_statement:
            database.run(_ONE, {})
        with pytest.raises(StoreUnavailable) as of_migration:
            upgrade(database.engine, "jobs")
    finally:
        database.close()
    text = str(of_statement.value)
    assert told_by_connect(options) == in_arguments(text)
    assert str(of_migration.value) == f"the database could not be migrated: {text}"
    assert "hunter2" not in text
    return text


def told_by_connect(options: DatabaseOptions) -> str:
    """What a program hears that passes the same as arguments."""
    with connect(options.url, tls=options.tls) as jobs, pytest.raises(StoreUnavailable) as refused:
        jobs.find()
    text = str(refused.value)
    assert "JOBS_" not in text
    return text


@contextmanager
def serving(treat: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server on this machine that answers the offer of encryption as ``treat`` does."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, suppress(OSError):
                    client.recv(8)
                    treat(client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"postgresql://me:hunter2@127.0.0.1:{listener.getsockname()[1]}/shop"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(60)


def test_a_server_without_tls_leads_to_the_setting_and_to_what_it_is_for():
    with serving(lambda client: client.sendall(b"N")) as url:
        text = told(DatabaseOptions(url))
    assert (
        "has no TLS: turn it on there or, only if the database is on this machine, set JOBS_DATABASE_TLS=false" in text
    )


def test_a_certificate_that_cannot_be_verified_leads_to_the_file_of_its_ca(tmp_path: Path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def treat(client: socket.socket) -> None:
        client.sendall(b"S")
        with suppress(ssl.SSLError), context.wrap_socket(client, server_side=True) as encrypted:
            encrypted.recv(1)

    with serving(treat) as url:
        text = told(DatabaseOptions(url))
    assert "could not be verified (self-signed certificate): name the file with its CA in JOBS_DATABASE_CA_FILE" in text


@pytest.mark.direct
def test_a_wrong_password_names_the_user_the_server_and_the_setting(server, database_url, sql):
    sql("create role somebody login password 'right'")
    rules = Path(server.handle.pgdata) / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all somebody scram-sha-256\n{before}")
    try:
        sql("select pg_reload_conf()")
        url = sa.make_url(database_url).set(username="somebody", password="hunter2")
        text = told(DatabaseOptions(url.render_as_string(hide_password=False)))
    finally:
        rules.write_text(before)
        sql("select pg_reload_conf()")
        sql("drop role somebody")
    assert "does not take the password of the user 'somebody': mend user or password in JOBS_DATABASE_URL" in text
    assert "write @ in them as %40" in text


@pytest.mark.direct
def test_a_user_whom_the_server_does_not_know_is_named(database_url):
    url = sa.make_url(database_url).set(username="nobody_here")
    text = told(DatabaseOptions(url.render_as_string(hide_password=False)))
    assert "does not let the user 'nobody_here' in: mend the user in JOBS_DATABASE_URL" in text


@pytest.mark.direct
def test_a_database_that_is_not_there_is_named(database_url):
    url = sa.make_url(database_url).set(database="no_such")
    text = told(DatabaseOptions(url.render_as_string(hide_password=False)))
    assert "mend the database's name, 'no_such', in JOBS_DATABASE_URL, or create it" in text


def test_connect_names_its_arguments_where_the_app_names_its_settings():
    with serving(lambda client: client.sendall(b"N")) as url:
        text = told_by_connect(DatabaseOptions(url))
    assert "has no TLS: turn it on there or, only if the database is on this machine, pass tls=False" in text


def test_connect_has_an_argument_for_each_setting_that_an_error_of_a_connection_names():
    folder = _ROOT / "jobs" / "adapters" / "postgres"
    files = [*(folder / "connection").glob("*.py"), folder / "statements" / "jobs.py"]
    named = {name for file in files for name in re.findall(r"JOBS_[A-Z_]+", file.read_text())}
    assert len(named) > 5
    assert [name for name in named if "JOBS_" in in_arguments(name)] == []
