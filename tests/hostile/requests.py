"""Hostile requests, as bytes on the wire: drawn from a seed, so that each can be sent again."""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote

from tests.hostile.values import NUMBERS, TEXTS, plain_object, text, value

INSTANTS = [
    "2026-12-01T09:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2026-12-01T09:00:00+23:59",
    "2026-12-01T09:00:00-18:00:30",
    "0001-01-01T00:00:00+14:00",
    "2026-12-01",
    "now",
    "infinity",
    "epoch",
    "2026-02-30T00:00:00Z",
    "1e3",
]
SCHEDULES = [
    "@once",
    "P1D",
    "PT0S",
    "@every 1s",
    "@every 9999999h",
    "* * * * *",
    "0 0 30 2 *",
    "0 0 29 2 *",
    "* * * * * * *",
    "@daily",
    "R/5 * * * *",
    "\u0660 * * * *",
    "9999-12-31T23:59:59Z",
    "*/0 * * * *",
    "0 0 L * *",
    "0 0 * * 5#5",
    "cron(0 5 * * ? *)",
    "TZ=UTC * * * * *",
]
IDS = [
    "7",
    "batch",
    "not-an-id",
    "%00",
    "..",
    "%2e%2e",
    "{id}",
    "\u00e9",
    "a%2Fb",
    "%",
    "%ff",
    "0" * 32,
    "{0x0}",
    "*",
    "'",
]
PARAMETERS = [
    "limit",
    "cursor",
    "status",
    "handler_name",
    "job_name",
    "due_before",
    "due_after",
    "created_after",
    "ended_before",
    "paused",
    "recurring",
    "overdue",
    "include",
    "parent_id",
    "metadata.a",
    "metadata.",
    "metadata",
    "metadata.a.b",
    "code",
    "color",
]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO"]
PATHS = [
    "/",
    "//api/jobs",
    "/api/../api/jobs",
    "/api/jobs/",
    "/API/JOBS",
    "/api/jobs/batch",
    "/api/stats",
    "/admin/x",
    "/job/",
    "/%00",
]
HEADERS = {
    "Host": ["localhost", "[::1", "a b", "\u00e9", "", "x:99999999", "a\tb", "user@h", "[]", "a/b"],
    "If-Match": ['"1"', "*", '"99999999999999999999"', "W/", '"', "\u0661", '"-1"'],
    "Idempotency-Key": ["k", "", "k" * 300, "a,b", "\u00e9", " "],
    "traceparent": ["00-" + "a" * 32 + "-" + "b" * 16 + "-01", "x", "00-" + "0" * 55, "ff-\u00e9"],
    "Content-Type": [
        "application/json",
        "text/plain",
        "application/x+json;charset=utf-16",
        "",
        ";",
        "application/json, text/x",
    ],
    "Content-Encoding": ["gzip", "br"],
    "Prefer": ["wait=1000", "wait=-1", "wait=\u00e9"],
    "Expect": ["100-continue", "nothing"],
    "x-ms-client-principal": ["e30=", "%%%", "\u00e9"],
    "dapr-api-token": ["x", "\u00e9"],
    "X-Forwarded-Host": ["evil\u00e9", "a"],
}


@dataclass
class Request:
    """One request; ``content`` is its body before any change to the framing."""

    method: str
    target: str
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    version: str = "1.1"
    chunked: bool = False

    def bytes(self) -> bytes:
        """Write it as it is sent."""
        named = {"Host": "localhost", "Connection": "close", "Content-Type": "application/json"} | self.headers
        body = self.content
        if self.chunked:
            named["Transfer-Encoding"] = "chunked"
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        elif body or self.method in {"POST", "PATCH", "PUT"}:
            named["Content-Length"] = str(len(body))
        head = f"{self.method} {self.target} HTTP/{self.version}\r\n" + "".join(
            f"{n}: {v}\r\n" for n, v in named.items()
        )
        return head.encode("utf-8", "surrogatepass") + b"\r\n" + body


class Requests:
    """Draws requests; ``ids`` are of jobs that exist, to be filled as they are made."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.ids: list[str] = []
        self._number = 0

    def draw(self) -> Request:
        """Draw the next request."""
        random = self.random
        kinds = (
            self._enqueue,
            self._batch,
            self._update,
            self._list,
            self._history,
            self._preview,
            self._anything,
            self._command,
        )
        [kind] = random.choices(kinds, (6, 2, 2, 3, 1, 1, 2, 1))
        request = kind()
        if random.random() < 0.15:
            name = random.choice([*HEADERS])
            request.headers[name] = random.choice(HEADERS[name])
        if random.random() < 0.05 and request.content:
            request.content = self._mutated(request.content)
        request.chunked = random.random() < 0.02
        request.version = "1.0" if random.random() < 0.01 else "1.1"
        return request

    def _enqueue(self) -> Request:
        return Request("POST", "/api/jobs", self._job().encode("utf-8", "surrogatepass"))

    def _batch(self) -> Request:
        jobs = ",".join(self._job() for _ in range(self.random.randrange(4)))
        return Request("POST", "/api/jobs/batch", f'{{"jobs":[{jobs}]}}'.encode("utf-8", "surrogatepass"))

    def _job(self) -> str:
        random = self.random
        if random.random() < 0.1:
            return value(random)
        self._number += 1
        fields = {"handler_name": '"Noop"', "job_name": f'"fuzz {self._number}"', "payload": plain_object(random)}
        fields["metadata"] = plain_object(random)
        if random.random() < 0.3:
            fields |= self._options()
        if random.random() < 0.2:
            fields[random.choice([*fields])] = value(random)
        return "{" + ",".join(f'"{name}":{written}' for name, written in fields.items()) + "}"

    def _options(self) -> dict[str, str]:
        random = self.random
        options = {
            "schedule": f'"{random.choice(SCHEDULES)}"',
            "timezone": random.choice(['"UTC"', '"Europe/Berlin"', '"europe/berlin"', '"../x"', '"\\u0000"', "1"]),
            "start_at": f'"{random.choice(INSTANTS)}"',
            "end_at": f'"{random.choice(INSTANTS)}"',
            "timeout": random.choice(['"PT5S"', "1e300", "0.1234567890123456789", '"P999999999D"', *NUMBERS]),
            "max_retries": random.choice(NUMBERS),
            "max_runs": random.choice(NUMBERS),
            "jitter": random.choice(['"PT1S"', "1e-9", "-1", *NUMBERS]),
            "on_conflict": random.choice(['"replace"', '"return_existing"', '"reject"', '"x"']),
            "id": random.choice([f'"{uuid.UUID(int=random.getrandbits(128))}"', '"x"', "1", '"{0}"']),
            "retry": random.choice(['{"factor": 1.5}', '{"factor": 1e300}', '{"base": "PT1S", "cap": 1e22}', "[]"]),
            "misfire": random.choice(['"skip"', '{"policy": "catch_up", "max": 3}', '{"grace": 1e300}', "{}"]),
            "dst": random.choice(['{"gap": "skip"}', '"skip"', '{"gap": 1.5}']),
        }
        return {name: options[name] for name in random.sample([*options], random.randrange(1, 4))}

    def _update(self) -> Request:
        random = self.random
        fields = {"payload": plain_object(random), "metadata": plain_object(random)} | self._options()
        chosen = random.sample([*fields], random.randrange(1, 3))
        content = "{" + ",".join(f'"{name}":{fields[name]}' for name in chosen) + "}"
        return Request("PATCH", f"/api/jobs/{self._id()}", content.encode())

    def _list(self) -> Request:
        return Request("GET", f"/api/jobs?{self._query()}")

    def _history(self) -> Request:
        return Request("GET", f"/api/jobs/{self._id()}/attempts?{self._query()}")

    def _preview(self) -> Request:
        random = self.random
        zone, count = random.choice(["UTC", "Asia/Tokyo", "x"]), random.choice(["1", "100", *NUMBERS])
        content = (
            f'{{"schedule": "{random.choice(SCHEDULES)}", "after": "{random.choice(INSTANTS)}", '
            f'"count": {count}, "timezone": "{zone}"}}'
        )
        return Request("POST", "/api/schedules/preview", content.encode())

    def _anything(self) -> Request:
        random = self.random
        path = random.choice([*PATHS, f"/api/jobs/{self._id()}", f"/job/{self._id()}-1", f"/api/{quote(text(random))}"])
        content = value(random).encode("utf-8", "surrogatepass") if random.random() < 0.5 else b""
        return Request(random.choice(METHODS), path, content)

    def _command(self) -> Request:
        verb = self.random.choice(["", "/run", "/pause", "/resume", "/retry", "/nothing"])
        return Request("POST" if verb else "DELETE", f"/api/jobs/{self._id()}{verb}")

    def _id(self) -> str:
        if self.ids and self.random.random() < 0.8:
            return self.random.choice(self.ids)
        return self.random.choice(IDS).encode("utf-8").decode("latin-1")

    def _query(self) -> str:
        random = self.random
        return "&".join(f"{random.choice(PARAMETERS)}={self._parameter()}" for _ in range(random.randrange(4)))

    def _parameter(self) -> str:
        random = self.random
        moments = random.choices(INSTANTS, k=random.randrange(1, 3))
        place = " ".join([*moments, str(uuid.UUID(int=random.getrandbits(128)))])
        cursor = base64.urlsafe_b64encode(place.encode()).decode()
        choices = [
            *NUMBERS,
            *INSTANTS,
            *TEXTS,
            cursor,
            cursor[:-3],
            "Scheduled",
            "Scheduled,Failed",
            ",",
            "true",
            "payload",
            "a*",
            "*",
            "9" * 5000,
        ]
        return (
            quote(random.choice(choices).encode("utf-8", "surrogatepass"))
            if random.random() < 0.8
            else "%00%ff%ED%A0%80"
        )

    def _mutated(self, content: bytes) -> bytes:
        random = self.random
        changed = bytearray(content)
        for _ in range(random.randrange(1, 4)):
            at = random.randrange(len(changed))
            changed[at : at + random.randrange(3)] = bytes(
                random.choices(b'"{}[]:,\\\x00\xff\xc3\xa9 0eE.-', k=random.randrange(3))
            )
            if not changed:
                return b"{"
        return bytes(changed)
