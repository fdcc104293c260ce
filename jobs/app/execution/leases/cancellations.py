"""Pass requests to cancel a job on to its handler sooner than the heartbeats of its lease do."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from jobs.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from jobs.core.handlers.context import JobContext
    from jobs.core.lifecycle.job import Lease
    from jobs.core.ports.runs import Heartbeat

_logger = logging.getLogger("jobs.leases")
_SECONDS_BETWEEN_LOOKS = 1.5


class CancellationWatch:
    """Reads requests to cancel for all watched attempts in one statement. Lives as long as the process.

    An attempt is watched once its handler reads whether it is cancelled, and while ``is_held`` returns True for its
    token. While none is watched, there is no thread.
    """

    def __init__(
        self,
        look: Callable[[Collection[Lease]], Heartbeat],
        is_held: Callable[[str], bool],
        seconds_between_looks: float = _SECONDS_BETWEEN_LOOKS,
    ) -> None:
        self._look = look
        self._is_held = is_held
        self._pause = seconds_between_looks
        self._watched: dict[str, tuple[Lease, JobContext]] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, context: JobContext) -> None:
        """Watch the job of ``context`` until its attempt ends."""
        if context.lease is None:
            return
        with self._lock:
            self._watched[context.lease.token] = context.lease, context
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._keep_looking, name="jobs-cancellations", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop looking."""
        self._closed.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout=5)

    def _keep_looking(self) -> None:
        while not self._closed.wait(self._pause):
            with self._lock:
                ended = [token for token, (_, context) in self._watched.items() if not self._needed(token, context)]
                for token in ended:
                    del self._watched[token]
                if not self._watched:
                    self._thread = None
                    return
                watched = dict(self._watched)
            self._signal(watched)

    def _needed(self, token: str, context: JobContext) -> bool:
        return self._is_held(token) and not context.cancel_signalled

    def _signal(self, watched: dict[str, tuple[Lease, JobContext]]) -> None:
        try:
            found = self._look([lease for lease, _ in watched.values()])
        except Unavailable as error:
            _logger.debug("requests to cancel not looked for: %s", error)
            return
        except Exception:
            _logger.exception("requests to cancel not looked for; it goes on")
            return
        for token in found.cancel_requested & watched.keys():
            watched[token][1].signal_cancelled()
