"""Whether a connection is encrypted: by JOBS_DATABASE_TLS, or by ``sslmode`` in the address."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from jobs.adapters.postgres.connection import engine as engine_module
from jobs.adapters.postgres.connection.engine import DatabaseOptions, check_address, make_engine
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
    assert engine_module._url(DatabaseOptions(f"{ADDRESS}?{query}")).query == {}


@pytest.mark.parametrize(
    ("query", "options", "why"),
    [
        ("sslmode=prefer", {}, "sslmode=prefer, which may fall back to clear text; write one of disable, require"),
        ("sslmode=allow", {}, "sslmode=allow, which may fall back to clear text"),
        ("sslmode=on", {}, "sslmode=on, which is not a mode of Postgres"),
        ("sslmode=disable", {"tls": True}, "sslmode=disable, and JOBS_DATABASE_TLS is true; take one of them out"),
        ("sslmode=require", {"tls": False}, "sslmode=require, and JOBS_DATABASE_TLS is false; take one of them out"),
        ("sslmode=disable", {"password": lambda: "token"}, "would send the Entra token in clear text"),
        ("sslcrl=a.pem", {}, "has sslcrl, which this app does not know; take it out"),
        ("connect_timeout=3", {}, "has connect_timeout, which this app does not know"),
    ],
)
def test_what_is_unsafe_contradictory_or_unknown_is_refused_with_the_mend(query, options, why):
    options = DatabaseOptions(f"{ADDRESS}?{query}", **options)
    for refused in (check_address, make_engine):
        with pytest.raises(ConfigurationError, match="JOBS_DATABASE_URL has") as told:
            refused(options)
        assert why in str(told.value)


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
