"""The services that the sample handlers are given, and the providers that make them.

They write to local files, so that the samples run without a mail server, a blob store or a payment account; on Azure,
where the app's own folder may be read-only, point the SAMPLE_ settings at a folder under /tmp. Take over into your own
package what is of use to you: only the handlers beside this file know it.

How a handler comes by a service: it annotates a parameter with a type, and the ``@provider`` whose return annotation
is that type is called, once per attempt. A provider may take other services as parameters (``report_store``), and one
that yields is resumed after the attempt, to clean up (``payment_gateway``). What should live as long as the process,
such as a connection pool, has ``@provider(scope="app")``: it is made once, when first wanted, many threads use it at
once, and one that yields is cleaned up when the app ends.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from jobs import provider

# ---- Mail ----------------------------------------------------------------------------------------------------------


class EmailSender(Protocol):
    """Sends mail."""

    def send(self, *, to: str, subject: str, body: str, message_id: str) -> None:
        """Send one mail. A sender that is given the same ``message_id`` again may leave the second mail out."""


class OutboxFile:
    """A sample ``EmailSender``: appends each mail to a file, as one line of JSON."""

    _one_at_a_time = threading.Lock()  # of the class: every attempt has a sender of its own

    def __init__(self, file: Path) -> None:
        self._file = file

    def send(self, *, to: str, subject: str, body: str, message_id: str) -> None:
        """Append the mail. It does not look for the ``message_id``, so a mail that is sent twice is there twice."""
        mail = {"message_id": message_id, "to": to, "subject": subject, "body": body}
        line = json.dumps(mail, ensure_ascii=False) + "\n"
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._one_at_a_time, self._file.open("ab") as outbox:
            outbox.write(line.encode())


@provider
def email_sender() -> EmailSender:
    """Write mail to SAMPLE_OUTBOX."""
    return OutboxFile(Path(os.environ.get("SAMPLE_OUTBOX", ".local/outbox.jsonl")))


# ---- Reports -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ReportsFolder:
    """Where the sample reports lie. A type of its own: services are found by type, and a ``Path`` could be any."""

    path: Path


class ReportStore(Protocol):
    """Keeps finished reports."""

    def save(self, name: str, content: str) -> None:
        """Keep ``content`` under ``name``, in place of what was there. A reader sees all of it or none of it."""


class ReportFiles:
    """A sample ``ReportStore``: one file per report."""

    def __init__(self, folder: ReportsFolder) -> None:
        self._folder = folder.path

    def save(self, name: str, content: str) -> None:
        """Write to a temporary name, then rename: an attempt that dies half-way leaves the old report as it was."""
        if Path(name).name != name or not name.strip("."):
            raise ValueError(f"{name!r} is not a plain file name; a report is saved in the reports folder only")
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = self._folder / f"{name}.{uuid4().hex}.tmp"
        try:
            unfinished.write_text(content, encoding="utf-8", newline="")
            unfinished.replace(self._folder / name)
        finally:
            unfinished.unlink(missing_ok=True)


@provider
def reports_folder() -> ReportsFolder:
    """Name the folder SAMPLE_REPORTS."""
    return ReportsFolder(Path(os.environ.get("SAMPLE_REPORTS", ".local/reports")))


@provider
def report_store(folder: ReportsFolder) -> ReportStore:
    """Keep reports in the reports folder."""
    return ReportFiles(folder)


# ---- Payments ------------------------------------------------------------------------------------------------------


class CardDeclined(Exception):
    """The bank said no, and will say no again."""


class GatewayBusy(Exception):
    """The gateway takes no requests now; it asks to wait ``retry_after`` seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"the payment gateway is busy for {retry_after:g} s")
        self.retry_after = retry_after


class PaymentGateway(Protocol):
    """Takes money."""

    def charge(self, card_token: str, amount: int, currency: str, *, idempotency_key: str) -> str:
        """Charge a card once per ``idempotency_key``, and give the receipt's number.

        A key that was charged before returns its receipt again. Raises ``CardDeclined`` and ``GatewayBusy``.
        """


class ChargesTable:
    """A sample ``PaymentGateway``: a table of charges in SQLite. The key is its primary key, so it charges once.

    Two tokens are special: ``tok_declined`` is declined, and for ``tok_busy`` the gateway is busy.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        connection.execute("create table if not exists charges (key primary key, card, amount, currency, receipt)")

    def charge(self, card_token: str, amount: int, currency: str, *, idempotency_key: str) -> str:
        """Insert the charge unless it is there."""
        if card_token == "tok_declined":
            raise CardDeclined("insufficient funds")
        if card_token == "tok_busy":
            raise GatewayBusy(retry_after=5)
        self._connection.execute(
            "insert into charges values (?, ?, ?, ?, ?) on conflict (key) do nothing",
            (idempotency_key, card_token, amount, currency, f"receipt-{uuid4().hex[:12]}"),
        )
        charged = self._connection.execute("select receipt from charges where key = ?", (idempotency_key,))
        return str(charged.fetchone()[0])


@provider
def payment_gateway() -> Iterator[PaymentGateway]:
    """Keep charges in SAMPLE_PAYMENTS. What stands after ``yield`` is run when the attempt has ended, well or not."""
    file = Path(os.environ.get("SAMPLE_PAYMENTS", ".local/payments.sqlite3"))
    file.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(file, isolation_level=None)  # no transaction: each statement stands by itself
    try:
        yield ChargesTable(connection)
    finally:
        connection.close()
