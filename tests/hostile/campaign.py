"""Send hostile requests and judge the answers: none of 500, every error a problem, every accepted value exact."""

from __future__ import annotations

import http.client
import json
import socket
from collections import Counter
from decimal import Decimal
from typing import Any

from tests.hostile.requests import Request, Requests

_HOST_S_OWN = {400, 404, 411, 413, 417, 431, 501}
"""What the web server may answer by itself, without a body or with one of its own."""


class Campaign:
    """One seed's requests against the app at ``port``; ``statuses`` counts what was answered."""

    def __init__(self, port: int, seed: int) -> None:
        self.requests = Requests(seed)
        self.statuses: Counter[int] = Counter()
        self.exact = 0
        self.faults: list[str] = []
        self._port = port

    def run(self, count: int) -> None:
        """Send so many requests."""
        for number in range(count):
            request = self.requests.draw()
            try:
                self._judge(request)
            except (AssertionError, OSError, ValueError, http.client.HTTPException) as error:
                self.faults.append(f"request {number}: {type(error).__name__}: {error}\n  {request.bytes()[:600]!r}")

    def _judge(self, request: Request) -> None:
        status, kind, body = self._send(request)
        self.statuses[status] += 1
        assert status < 500 or status == 501, f"answered {status}: {body[:300]!r}"
        if status >= 400:
            ours = kind == "application/problem+json"
            assert ours or status in _HOST_S_OWN or request.method == "HEAD", f"{status} as {kind}: {body[:300]!r}"
            return
        if request.method == "PATCH" and status == 200:
            self._compare(request.content, body)
        elif request.method == "POST" and request.target == "/api/jobs" and status == 201:
            self._compare(request.content, body)
            self._remember(body)
        elif request.method == "POST" and request.target == "/api/jobs/batch" and status == 200:
            for sent, result in zip(exactly(request.content)["jobs"], exactly(body)["results"], strict=True):
                assert result["status"] != 500, result
                if result["status"] == 201:
                    self._compare_values(sent, result["job"])

    def _compare(self, sent: bytes, answered: bytes) -> None:
        self._compare_values(exactly(sent), exactly(answered))

    def _compare_values(self, sent: dict[str, Any], answered: dict[str, Any]) -> None:
        """Compare with the answer, and with what a later read gives."""
        read = exactly(self._send(Request("GET", f"/api/jobs/{answered['id']}"))[2])
        for name in ("payload", "metadata"):
            if name in sent:
                for where, job in (("answer", answered), ("read", read)):
                    assert same(sent[name], job[name]), f"{name} in the {where}: {sent[name]!r} became {job[name]!r}"
                self.exact += 1

    def _remember(self, body: bytes) -> None:
        ids = self.requests.ids
        ids.append(json.loads(body)["id"])
        del ids[:-50]

    def _send(self, request: Request) -> tuple[int, str, bytes]:
        with socket.create_connection(("127.0.0.1", self._port), timeout=60) as connection:
            connection.sendall(request.bytes())
            answer = http.client.HTTPResponse(connection, method=request.method)
            answer.begin()
            return answer.status, answer.getheader("content-type") or "", answer.read()


def exactly(text: bytes) -> Any:
    """Parse JSON with every number as the decimal that stands there."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def same(one: Any, other: Any) -> bool:
    """Whether two values, parsed exactly, are the same JSON; a number is no boolean."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one == other and one.is_signed() == other.is_signed()
    return type(one) is type(other) and one == other
