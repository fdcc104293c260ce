"""The sample services, made as the framework makes them: many attempts at once, and the same one again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples import dependencies
from examples.dependencies import CardDeclined, GatewayBusy, PaymentGateway, ReportsFolder

payment_gateway = contextmanager(dependencies.payment_gateway)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the samples write to in a test; the folders do not exist yet."""
    place = tmp_path / "new" / "folder"
    monkeypatch.setenv("SAMPLE_OUTBOX", str(place / "outbox.jsonl"))
    monkeypatch.setenv("SAMPLE_REPORTS", str(place / "reports"))
    monkeypatch.setenv("SAMPLE_PAYMENTS", str(place / "payments.sqlite3"))
    return place


def test_mails_of_many_threads_are_whole_lines_in_the_outbox(place: Path) -> None:
    body = "é\n" * 20_000

    def send(number: int) -> None:
        sender = dependencies.email_sender()
        sender.send(to="a@example.com", subject=f"mail {number}", body=body, message_id=str(number))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(send, range(100)))

    mails = [json.loads(line) for line in (place / "outbox.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {mail["subject"] for mail in mails} == {f"mail {number}" for number in range(100)}
    assert all(mail["body"] == body for mail in mails)


@pytest.fixture
def folder() -> ReportsFolder:
    return dependencies.reports_folder()


def test_a_report_takes_the_place_of_the_one_before(folder: ReportsFolder) -> None:
    store = dependencies.report_store(folder)
    store.save("sales.csv", "first")
    store.save("sales.csv", "second\r\n")
    assert [(file.name, file.read_bytes()) for file in folder.path.iterdir()] == [("sales.csv", b"second\r\n")]


def test_a_report_that_cannot_be_written_whole_leaves_the_old_one_as_it_was(folder: ReportsFolder) -> None:
    store = dependencies.report_store(folder)
    store.save("sales.csv", "first")
    with pytest.raises(UnicodeEncodeError):
        store.save("sales.csv", "second \ud800")
    assert [(file.name, file.read_bytes()) for file in folder.path.iterdir()] == [("sales.csv", b"first")]


@pytest.mark.parametrize("name", ["../sales.csv", "/tmp/sales.csv", "a/b.csv", "..", ""])
def test_a_report_is_saved_in_its_folder_only(folder: ReportsFolder, name: str) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        dependencies.report_store(folder).save(name, "content")


def charge(gateway: PaymentGateway, key: str, card_token: str = "tok_visa") -> str:
    return gateway.charge(card_token, 1999, "EUR", idempotency_key=key)


def charges(place: Path) -> Iterator[str]:
    connection = sqlite3.connect(place / "payments.sqlite3")
    yield from (key for (key,) in connection.execute("select key from charges order by key"))
    connection.close()


def test_charging_a_key_again_is_one_charge_with_one_receipt(place: Path) -> None:
    with payment_gateway() as gateway:
        first = charge(gateway, "job/1")
    with payment_gateway() as gateway:
        assert charge(gateway, "job/1") == first
        assert charge(gateway, "job/2") != first
    assert list(charges(place)) == ["job/1", "job/2"]


def test_a_key_that_many_threads_charge_at_once_is_one_charge(place: Path) -> None:
    def attempt(_: int) -> str:
        with payment_gateway() as gateway:
            return charge(gateway, "job/1")

    with ThreadPoolExecutor(8) as threads:
        receipts = set(threads.map(attempt, range(40)))

    assert len(receipts) == 1
    assert list(charges(place)) == ["job/1"]


def test_the_special_tokens_charge_nothing(place: Path) -> None:
    with payment_gateway() as gateway:
        with pytest.raises(CardDeclined):
            charge(gateway, "job/1", "tok_declined")
        with pytest.raises(GatewayBusy):
            charge(gateway, "job/2", "tok_busy")
    assert list(charges(place)) == []


def test_they_say_how_a_service_lives_as_long_as_the_app() -> None:
    assert dependencies.__doc__ is not None
    assert '@provider(scope="app"' in dependencies.__doc__
    assert "functools.cache" not in dependencies.__doc__
