"""The runtime of a process that serves: made when a call first needs it, for a start must not wait for the database."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from jobs.app.execution.worker.pending_results import going_down
from jobs.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.runtime import Runtime


class LazyRuntime:
    """Makes the runtime at the first call, and returns the same one afterwards; with a ``fault`` it makes none."""

    def __init__(self, build: Callable[[], Runtime], fault: ConfigurationError | None = None) -> None:
        self._build = build
        self._fault = fault
        self._lock = threading.Lock()
        self._runtime: Runtime | None = None
        self._closed = False

    def __call__(self) -> Runtime:
        """Return the runtime; raises ``ConfigurationError`` while a setting that it needs is missing, or is wrong.

        ``Unavailable`` once it was closed.
        """
        if self._fault is not None:
            raise self._fault.with_traceback(None)
        if self._runtime is None:
            with self._lock:
                if self._runtime is None:
                    if self._closed:
                        raise going_down()
                    self._runtime = self._made()
                    self._runtime.watch()
        return self._runtime

    def _made(self) -> Runtime:
        try:
            return self._build()
        except ImportError as error:  # of what is imported for a setting alone: of Dapr, Entra or OpenTelemetry
            raise ConfigurationError(
                f"a package that the settings ask for cannot be imported: {error}; install what requirements.txt lists"
            ) from error

    def start_nothing_more(self) -> None:
        """Claim no more work, if the runtime was ever made; what runs goes on until ``close``."""
        with self._lock:
            if self._runtime is not None:
                self._runtime.start_nothing_more()

    def close(self) -> None:
        """Close the runtime if it was ever made, and make none from now on."""
        with self._lock:
            self._closed = True
            if self._runtime is not None:
                self._runtime.close()
                self._runtime = None
