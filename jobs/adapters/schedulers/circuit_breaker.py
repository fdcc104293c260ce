"""A circuit breaker: stop calling a service that does not respond, and probe for its return in the background."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("jobs.circuit_breaker")


class CircuitBreaker:
    """Closed while the service responds; open after ``threshold`` failures in a row, until ``probe`` succeeds.

    While it is open, a thread of its own calls ``probe``, which raises as long as the service is unavailable: at once,
    and then with pauses that double from ``pause_seconds`` up to ``longest_pause_seconds``. So no caller waits for a
    trial call, and a single slow response that opened it costs only one probe. If it opens again before any call has
    succeeded, the pauses go on growing: of a service that answers probes and refuses calls. ``on_close`` is called on
    that thread after the breaker has closed. Safe to share between threads.
    """

    def __init__(
        self,
        service: str,
        probe: Callable[[], None],
        *,
        threshold: int = 3,
        pause_seconds: float = 0.25,
        longest_pause_seconds: float = 5.0,
        on_close: Callable[[], object] = lambda: None,
    ) -> None:
        self._service = service
        self._probe = probe
        self._threshold = threshold
        self._pause = pause_seconds
        self._longest_pause = longest_pause_seconds
        self._on_close = on_close
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._failures = 0
        self._first_pause = 0.0
        self._why: str | None = None
        self._prober: threading.Thread | None = None

    @property
    def why_open(self) -> str | None:
        """The last error of the service, as text; None while the breaker is closed."""
        return self._why

    def succeeded(self) -> None:
        """Note that a call succeeded."""
        if self._failures or self._first_pause:
            self._failures, self._first_pause = 0, 0.0

    def failed(self, why: str, *, open_now: bool = False) -> None:
        """Note that a call failed. ``open_now`` opens the breaker regardless of the threshold."""
        with self._lock:
            self._failures += 1
            if self._why is not None or self._closing.is_set():
                return
            if self._failures < self._threshold and not open_now:
                return
            self._why = why
            _logger.warning("%s is not asked any more until it answers a probe: %s", self._service, why)
            self._prober = threading.Thread(target=self._probe_until_back, name="jobs-circuit-breaker", daemon=True)
            self._prober.start()

    def close(self) -> None:
        """Stop probing; the breaker no longer opens or closes."""
        self._closing.set()
        prober = self._prober
        if prober is not None and prober is not threading.current_thread():
            prober.join(timeout=5)

    def _probe_until_back(self) -> None:
        pause = self._first_pause
        while not self._closing.wait(pause):
            try:
                self._probe()
            except Exception as error:  # noqa: BLE001  any error means that the service is not back
                self._why = str(error) or type(error).__name__
                pause = self._longer(pause)
            else:
                with self._lock:
                    self._failures, self._first_pause = 0, self._longer(pause)
                    self._why = None
                _logger.info("%s answers again", self._service)
                self._call_on_close()
                return

    def _longer(self, pause: float) -> float:
        return min(max(pause * 2, self._pause), self._longest_pause)

    def _call_on_close(self) -> None:
        try:
            self._on_close()
        except Exception:
            _logger.exception("what waited for the return of %s went wrong", self._service)
