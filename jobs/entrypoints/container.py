"""Start the Functions host in a container, and let it end its runs before it is stopped.

    python -I jobs/entrypoints/container.py /opt/startup/start_nonappservice.sh

This is the container's first process. The script that Microsoft's image starts passes no signal on, so that the host
would take new work until it is killed; a host that does get SIGTERM cuts its runs after ten seconds. Here SIGTERM
drains the host by its own API: it takes no new work, and is ended once its runs have, or after STOP_GRACE_SECONDS. The
app is told by a file, HOST_DRAINED_FILE, since a poll that is under way would go on. A second SIGTERM ends the host at
once. This is run as a file, with no package beside it: it stays in memory as long as the host.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

_POLL_SECONDS = 0.5
_END_SECONDS = 10.0  # what the host itself takes at most to end, once it has no runs


def main() -> int:
    """Run the command of the arguments as the host, until it has ended; returns its exit code."""
    key = os.environ.setdefault("CONTAINER_ENCRYPTION_KEY", base64.b64encode(secrets.token_bytes(32)).decode())
    drained = Path(os.environ.setdefault("HOST_DRAINED_FILE", f"{tempfile.gettempdir()}/host-drained-{os.getpid()}"))
    drained.unlink(missing_ok=True)  # of a start before this one
    host = subprocess.Popen(sys.argv[1:], start_new_session=True)  # noqa: S603  the image's own
    stop = _Stop(host.pid, _Host(base64.b64decode(key)), drained, float(os.environ.get("STOP_GRACE_SECONDS", "60")))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.ask())
    code = _wait_for(host.pid)
    stop.wait()
    return code


def _wait_for(process: int) -> int:
    """Wait for a process, and for orphans in passing, which become the children of a container's first process."""
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == process:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


class _Stop:
    """What SIGTERM sets going. The main thread goes on waiting for the host."""

    def __init__(self, group: int, host: _Host, drained: Path, grace: float) -> None:
        self._group = group
        self._host = host
        self._drained = drained
        self._grace = grace
        self._thread: threading.Thread | None = None
        self._at_once = threading.Event()

    def ask(self) -> None:
        """Drain and end the host; asked again, end it at once."""
        if self._thread is not None:
            self._at_once.set()
            return
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the host's own processes have ended too, where it was asked to stop.

        Those whose parent has ended are this process's children now. Until it waits for one, its group is there.
        """
        while self._thread is not None and self._thread.is_alive():
            with suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
            self._thread.join(_POLL_SECONDS / 10)

    def _run(self) -> None:
        deadline = time.monotonic() + self._grace
        try:
            self._drained.touch()  # jobs/entrypoints/triggers/draining.py looks for it
        except OSError as error:
            _say(f"the app cannot be told, and may go on with what it has begun to poll: {error}")
        if self._host.drain():
            while self._host.busy() and time.monotonic() < deadline and not self._at_once.wait(_POLL_SECONDS):
                pass
        _say("ending the host")
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _END_SECONDS
        while self._signal(0) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS / 10)
        if self._signal(signal.SIGKILL):
            _say(f"killed what had not ended after {_END_SECONDS:g} s")

    def _signal(self, number: int) -> bool:
        """Signal all processes of the host, since its script passes none on. False: there are none."""
        try:
            os.killpg(self._group, number)
        except ProcessLookupError:
            return False
        return True


class _Host:
    """The host's API for draining, asked from within its container with a token of the container's own."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        port = urlsplit(os.environ.get("ASPNETCORE_URLS", "").split(";")[0].replace("+", "x").replace("*", "x")).port
        self._url = f"http://127.0.0.1:{port or os.environ.get('PORT') or 80}/admin/host/drain"

    def drain(self) -> bool:
        """Have the host take no new work; False where it does not, such as before it is up."""
        answer = self._ask("POST", self._url)
        _say("the host takes no new work" if answer is not None else "the host cannot be drained")
        return answer is not None

    def busy(self) -> bool:
        """Whether runs are under way. A host that does not answer, or not in its own way, may still have some."""
        answer = self._ask("GET", f"{self._url}/status")
        return answer is None or _state_in(answer) != "Completed"

    def _ask(self, method: str, url: str) -> bytes | None:
        request = Request(url, method=method, headers={"x-ms-site-token": self._token()})  # noqa: S310  http alone
        try:
            with urlopen(request, timeout=5) as answer:  # noqa: S310
                return bytes(answer.read())
        except (OSError, HTTPException) as error:  # whatever is wrong with it, it is ended in time
            _say(f"{method} {url}: {error}")
            return None

    def _token(self) -> str:
        site = f"https://{os.environ.get('WEBSITE_SITE_NAME', '')}.azurewebsites.net"
        now = int(time.time())
        claims = {"iss": site, "aud": f"{site}/azurefunctions", "nbf": now - 60, "exp": now + 300}
        parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        signed = b".".join(map(_base64url, parts))
        return b".".join([signed, _base64url(hmac.digest(self._key, signed, hashlib.sha256))]).decode()


def _state_in(answer: bytes) -> object:
    try:
        found = json.loads(answer)
    except ValueError:
        return None
    return found.get("state") if isinstance(found, dict) else None


def _base64url(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def _say(line: str) -> None:
    sys.stderr.write(f"stop: {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
