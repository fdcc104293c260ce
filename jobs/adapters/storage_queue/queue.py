"""One storage queue, by its REST API.

https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api
"""

from __future__ import annotations

import base64
import binascii
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from urllib3.exceptions import ClosedPoolError, HTTPError, ProtocolError

from jobs.adapters.storage_queue.connections import connections_to
from jobs.adapters.storage_queue.refusals import QueueRefused
from jobs.adapters.storage_queue.signing import signing_for
from jobs.core.errors import SchedulerUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from urllib3 import BaseHTTPResponse

    from jobs.adapters.storage_queue.account import StorageAccount
    from jobs.adapters.storage_queue.signing import Signs

_NEVER = -1
_CREATED = 201
_SUCCESS = 300


class Message(NamedTuple):
    """A message that was taken and is hidden from others; ``receipt`` names this taking of it.

    ``text`` is None where it is not base64 of UTF-8, in which the Functions host expects a message. ``raw`` is as it
    was put.
    """

    id: str
    receipt: str
    raw: str
    text: str | None
    dequeue_count: int
    inserted_at: datetime


class StorageQueue:
    """A queue, by its REST API. Lives as long as the process; safe between threads; connects on first use.

    Connections stay open, up to ``connections`` of them, unless they are idle for long. Every method raises
    ``SchedulerUnavailable`` where the service is not reached in time, and its kind ``QueueRefused`` where it refuses.
    """

    def __init__(
        self, account: StorageAccount, name: str, *, connections: int = 1, timeout_seconds: float = 5.0
    ) -> None:
        self.name = name
        self.place = urlsplit(account.queues).netloc
        self._path = urlsplit(account.queues).path.rstrip("/")
        self._signing: Signs = signing_for(account)
        self._connect = partial(connections_to, account.queues, connections, timeout_seconds)
        self._http = self._connect()

    def close(self) -> None:
        """Close the connections; a later call connects again."""
        closed, self._http = self._http, self._connect()
        closed.close()

    # --- the queue

    def create(self) -> bool:
        """Create the queue; False if it exists already, and stays as it is."""
        return self._call("PUT", "").status == _CREATED

    def count(self) -> int:
        """Return about how many messages there are, those that are hidden as well."""
        response = self._call("GET", "", {"comp": "metadata"})
        return int(response.headers.get("x-ms-approximate-messages-count", 0))

    def clear(self) -> None:
        """Delete every message."""
        self._call("DELETE", "/messages")

    # --- its messages

    def put(self, text: str, *, visible_in: int = 0, expires_in: int = _NEVER) -> None:
        """Put a message, in base64, which is visible after so many seconds and expires after so many."""
        self.put_raw(base64.b64encode(text.encode()).decode(), visible_in=visible_in, expires_in=expires_in)

    def put_raw(self, text: str, *, visible_in: int = 0, expires_in: int = _NEVER) -> None:
        """Put a message as it is."""
        query = {"visibilitytimeout": str(visible_in), "messagettl": str(expires_in)}
        self._call("POST", "/messages", query, _body(text))

    def take(self, most: int, *, hidden_for: int) -> list[Message]:
        """Take up to ``most`` visible messages, at most 32, and hide them for so many seconds."""
        query = {"numofmessages": str(most), "visibilitytimeout": str(hidden_for)}
        return [_message(each) for each in self._read(query)]

    def oldest(self) -> datetime | None:
        """Return since when the next visible message is in the queue; None where none is visible."""
        found = self._read({"peekonly": "true"})
        return _instant(found[0], "InsertionTime") if found else None

    def hide(self, message: Message, seconds: int) -> Message:
        """Hide a taken message from now on for so many seconds, and return it with its new receipt."""
        query = {"popreceipt": message.receipt, "visibilitytimeout": str(seconds)}
        response = self._call("PUT", f"/messages/{message.id}", query, _body(message.raw))
        return message._replace(receipt=response.headers["x-ms-popreceipt"])

    def delete(self, message: Message) -> None:
        """Delete a taken message."""
        self._call("DELETE", f"/messages/{message.id}", {"popreceipt": message.receipt})

    # --- requests

    def _read(self, query: Mapping[str, str]) -> list[ET.Element]:
        response = self._call("GET", "/messages", query)
        return ET.fromstring(response.data).findall("QueueMessage")  # noqa: S314  the account's own service

    def _call(
        self, method: str, below: str, query: Mapping[str, str] | None = None, body: bytes = b""
    ) -> BaseHTTPResponse:
        path, query = f"{self._path}/{self.name}{below}", query or {}
        target = f"{path}?{urlencode(query)}" if query else path
        try:
            headers = self._signing.headers(method, path, query, len(body))
            try:
                response = self._http.request(method, target, body=body or None, headers=headers)
            except (ProtocolError, ClosedPoolError):
                # The service has closed the idle connection just now, or another thread all of them. A message that was
                # put twice rings twice, which is harmless.
                response = self._http.request(method, target, body=body or None, headers=headers)
        except HTTPError as error:
            self.close()  # what cut off this connection has cut off the idle ones as well
            raise SchedulerUnavailable(f"the storage queue at {self.place} cannot be reached: {error}") from error
        if response.status >= _SUCCESS:
            raise QueueRefused.of(self.name, self.place, response.status, response.headers.get("x-ms-error-code"))
        return response


def _body(text: str) -> bytes:
    return f"<QueueMessage><MessageText>{escape(text)}</MessageText></QueueMessage>".encode()


def _message(element: ET.Element) -> Message:
    raw = element.findtext("MessageText") or ""
    try:
        text = base64.b64decode(raw, validate=True).decode()
    except (binascii.Error, ValueError):
        text = None
    return Message(
        element.findtext("MessageId") or "",
        element.findtext("PopReceipt") or "",
        raw,
        text,
        int(element.findtext("DequeueCount") or 0),
        _instant(element, "InsertionTime"),
    )


def _instant(element: ET.Element, name: str) -> datetime:
    return parsedate_to_datetime(element.findtext(name) or "")
