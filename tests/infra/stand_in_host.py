"""A stand-in for the Functions host, which stops as that does: it drains by its API, and cuts its runs at SIGTERM.

    python stand_in_host.py PORT FOLDER RUN_SECONDS

A run begins as the host does. The folder gets a file for what happened: ``up``, ``drained``, ``ended``, ``cut``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PORT, FOLDER, RUN_SECONDS = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
ended = threading.Event()


def decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def allowed(token: str) -> bool:
    """Check a token as the host does: by the container's key, for this site."""
    signed, _, signature = token.rpartition(".")
    key = base64.b64decode(os.environ["CONTAINER_ENCRYPTION_KEY"])
    claims = json.loads(decoded(signed.partition(".")[2]))
    site = f"https://{os.environ.get('WEBSITE_SITE_NAME', '')}.azurewebsites.net"
    return (
        len(key) == 32
        and hmac.compare_digest(decoded(signature), hmac.digest(key, signed.encode(), hashlib.sha256))
        and (claims["aud"], claims["iss"]) == (f"{site}/azurefunctions", site)
    )


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.answer("/admin/host/drain", 202, None)
        if Path(os.environ["HOST_DRAINED_FILE"]).exists():
            (FOLDER / "told").touch()
        (FOLDER / "drained").touch()

    def do_GET(self) -> None:
        if broken := os.environ.get("STAND_IN_STATUS"):  # what a host never answers
            self.wfile.write(broken.encode())
            return
        state = "Completed" if ended.is_set() else "InProgress"
        self.answer(
            "/admin/host/drain/status", 200, {"state": state, "outstandingInvocations": int(not ended.is_set())}
        )

    def answer(self, path: str, status: int, body: dict[str, Any] | None) -> None:
        right = self.path == path and allowed(self.headers["x-ms-site-token"])
        self.send_response(status if right else 401)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode() if body else b"")

    def log_message(self, *_: Any) -> None:
        pass


def end() -> None:
    (FOLDER / "ended").touch()
    ended.set()


def stop(*_: Any) -> None:
    if not ended.is_set():
        (FOLDER / "cut").touch()
    os._exit(0)


signal.signal(signal.SIGTERM, stop)
server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
run = threading.Timer(RUN_SECONDS, end)
run.daemon = True
run.start()
(FOLDER / "up").touch()
server.serve_forever()
