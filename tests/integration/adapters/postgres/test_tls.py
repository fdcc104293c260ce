"""Whether a connection is encrypted: by JOBS_DATABASE_TLS, or by ``sslmode`` in the address."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jobs.adapters.postgres.connection import engine as engine_module
from jobs.adapters.postgres.connection.address import DatabaseOptions, check_address, driver_url
from jobs.adapters.postgres.connection.engine import make_engine
from jobs.bootstrap.database import database_options
from jobs.core.errors import ConfigurationError
from jobs.settings import Settings
from tests.support import ROOT
from tests.warm import warm_run

ADDRESS = "postgresql://u:p@db.example.com/app"


def arguments(query: str = "", **options: Any) -> dict[str, Any]:
    return engine_module._connect_arguments(DatabaseOptions(f"{ADDRESS}?{query}", **options))


@pytest.mark.parametrize("query", ["", "sslmode=require", "sslmode=verify-full", "channel_binding=prefer"])
def test_an_address_that_asks_for_encryption_has_chain_and_host_name_verified(query):
    context = arguments(query)["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_verify_ca_verifies_the_chain_and_leaves_the_host_name_alone():
    context = arguments("sslmode=verify-ca")["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)


def test_disable_connects_in_clear_text_and_does_not_even_offer_encryption():
    assert arguments("sslmode=disable")["ssl_context"] is False


def test_no_parameter_of_encryption_reaches_the_driver():
    query = "sslmode=require&sslrootcert=system&sslcert=a&sslkey=b&channel_binding=prefer"
    assert driver_url(DatabaseOptions(f"{ADDRESS}?{query}")).query == {}


@pytest.mark.parametrize(
    ("query", "options", "why"),
    [
        ("sslmode=prefer", {}, "sslmode=prefer, which may fall back to clear text; write one of disable, require"),
        ("sslmode=allow", {}, "sslmode=allow, which may fall back to clear text"),
        ("sslmode=on", {}, "sslmode=on, which is not a mode of Postgres"),
        ("sslmode=disable", {"tls": True}, "sslmode=disable, and JOBS_DATABASE_TLS is true; take one of them out"),
        ("sslmode=require", {"tls": False}, "sslmode=require, and JOBS_DATABASE_TLS is false; take one of them out"),
        ("sslmode=disable", {"password": lambda: "token"}, "would send the Entra token in clear text"),
        ("channel_binding=on", {}, "channel_binding=on; write one of disable, prefer, require"),
        ("channel_binding=require&sslmode=disable", {}, "channel_binding=require, which needs TLS"),
        ("channel_binding=require", {"tls": False}, "channel_binding=require, which needs TLS"),
        ("sslmode=require&sslmode=disable", {}, "sslmode more than once; write it once"),
        ("sslrootcert=a.pem&sslrootcert=b.pem", {}, "sslrootcert more than once"),
        ("application_name=a&application_name=b", {}, "application_name more than once"),
        ("application_name=%00", {}, "a NUL character"),
        ("host=/a&host=/b", {}, "several hosts; write one"),
        ("host=a,b", {}, "several hosts; write one"),
        ("sslcrl=a.pem", {}, "has sslcrl, which this app does not know; take it out"),
        (
            "ssl=require",
            {},
            "take it out; asyncpg's ssl=require is sslmode=require",
        ),
        ("connect_timeout=3", {}, "has connect_timeout, which this app does not know"),
    ],
)
def test_what_is_unsafe_contradictory_or_unknown_is_refused_with_the_mend(query, options, why):
    options = DatabaseOptions(f"{ADDRESS}?{query}", **options)
    for refused in (check_address, make_engine):
        with pytest.raises(ConfigurationError, match="JOBS_DATABASE_URL has") as told:
            refused(options)
        assert why in str(told.value)


@pytest.mark.parametrize("port", [0, 65_536, 99_999])
def test_a_port_that_there_is_not_is_refused(port):
    with pytest.raises(ConfigurationError, match=f"JOBS_DATABASE_URL has the port {port}; ports go from 1 to 65535"):
        check_address(DatabaseOptions(f"postgresql://app:secret@db.example:{port}/jobs"))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://db.example.com/app", "no user; it looks like postgresql://user@host:5432/database"),
        (
            "postgresql://u@/app?host=db.example.com",
            "host=db.example.com, and only the folder of a Unix socket goes there; write postgresql://user@db.example.com",
        ),
        ("postgresql:///app?host=/run/postgresql", "postgresql://user@/database?host=/folder"),
        ("postgresql://u:p@a.example.com,b.example.com/app", "several hosts; write one"),
        ("postgresql://u:p%00@db.example.com/app", "a NUL character"),
        ("postgresql://u:p@db.example.com/app%00", "a NUL character"),
    ],
)
def test_an_address_by_which_the_driver_would_fail_at_each_connection_is_refused_at_the_start(url, why):
    for refused in (check_address, make_engine):
        with pytest.raises(ConfigurationError, match="JOBS_DATABASE_URL has") as told:
            refused(DatabaseOptions(url))
        assert why in str(told.value)


@pytest.mark.parametrize("parameter", ["sslrootcert", "sslcert", "sslkey"])
def test_a_check_finds_a_file_that_the_address_names_and_that_is_not_there(parameter):
    with pytest.raises(ConfigurationError, match=f"{parameter}=/no/such.pem, and that file is not there"):
        check_address(DatabaseOptions(f"{ADDRESS}?{parameter}=/no/such.pem"))
    check_address(DatabaseOptions(f"{ADDRESS}?sslrootcert=system"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_key_with_a_passphrase_is_refused_rather_than_asked_for_at_the_terminal(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-keyout", key, "-out", certificate, "-subj", "/CN=app",
         "-passout", "pass:secret"],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"certificate\.pem, which cannot be used"):
        arguments(f"sslcert={certificate}&sslkey={key}")


def test_the_name_of_the_program_is_that_of_the_address():
    assert arguments("application_name=shop")["application_name"] == "shop"
    assert arguments()["application_name"] == "jobs"


@pytest.mark.parametrize(
    ("query", "named"),
    [("sslrootcert=/no/such.pem", "sslrootcert in JOBS_DATABASE_URL"), ("sslcert=/no/such.pem", "sslcert in JOBS_")],
)
def test_a_file_of_certificates_that_cannot_be_used_is_named_by_its_parameter(query, named):
    with pytest.raises(ConfigurationError, match=f"{named}.*/no/such.pem, which cannot be used"):
        arguments(query)


def test_the_setting_goes_before_the_address_only_where_it_was_set(monkeypatch):
    monkeypatch.delenv("JOBS_DATABASE_TLS", raising=False)
    url = f"{ADDRESS}?sslmode=disable"
    assert database_options(Settings(database_url=url)).tls is None
    assert database_options(Settings(database_url=url, database_tls=True)).tls is True
    assert database_options(Settings(database_url=url, database_tls=False)).tls is False


def test_a_contradiction_is_a_fault_at_start_that_names_the_setting(tmp_path: Path):
    settings = {"JOBS_SCHEDULER": "timer", "JOBS_DATABASE_URL": f"{ADDRESS}?sslmode=prefer"}
    done = warm_run(["-m", "jobs", "check"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)} | settings)
    assert done.returncode == 1
    assert "JOBS_DATABASE_URL: has sslmode=prefer, which may fall back to clear text" in done.stderr
    assert "p@db" not in done.stderr
