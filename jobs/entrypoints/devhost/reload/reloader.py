"""Keep a process with the app: replace it when a file of the app changes, and start another when it has ended."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.port import take_port
from jobs.entrypoints.devhost.reload.app_process import AppProcess
from jobs.entrypoints.devhost.reload.changes import Changes
from jobs.entrypoints.devhost.reload.restarts import Restarts, how_it_ended

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

_logger = logging.getLogger("jobs.dev")
_LOOK_SECONDS = 0.5
_MOST_NAMED = 3


class AppNotLoaded(ConfigurationError):
    """The app could not be loaded at the start. Its process has said why, so that this is not to be printed."""


@contextmanager
def reloading_host(port: int, stop: threading.Event) -> Iterator[str]:
    """Serve the app and yield its address; load it again when one of its files changes, until the block is left.

    If its process ends, as one that is killed, it is started again, after a pause that grows from time to time.
    Raises ``AppNotLoaded`` if it cannot be loaded at the start. Later the app as it was goes on.
    """
    reloader = _Reloader(port, stop)
    reloader.begin()
    thread = threading.Thread(target=reloader.watch, name="jobs-reload", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        thread.join()
        reloader.end()


class _Reloader:
    def __init__(self, port: int, stop: threading.Event) -> None:
        self._port, self._stop = port, stop
        self._changes = Changes(Path.cwd())
        self._app: AppProcess | None = None
        self._restarts = Restarts()
        self._listening: socket.socket | None = None
        """Open for as long as there is an app, also while one replaces another: connections wait on it meanwhile."""

    def begin(self) -> None:
        app = self._loaded()
        if app is None or not app.serve(self._stop.is_set):
            self._app = app
            self.end()
            raise AppNotLoaded("the app was not loaded")
        self._app = app
        self._restarts.serves(time.monotonic())

    def watch(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            if changed := self._changes.since_last_time():
                _log_changed(changed)
                self._restarts.forget()
                self._load_and_serve("the app runs with the change")
            elif self._app is not None and (status := self._app.process.poll()) is not None:
                self.end()
                seconds = self._restarts.after_end(time.monotonic())
                what = "the app %s; it is started again in %d s, or when a file changes"
                _logger.warning(what, how_it_ended(status), seconds)
            elif self._restarts.due(time.monotonic()):
                self._load_and_serve("the app runs again")

    def end(self) -> None:
        self._end_app()
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()

    def _end_app(self) -> None:
        app, self._app = self._app, None
        if app is not None:
            app.end()

    def _load_and_serve(self, said: str) -> None:
        try:
            app = self._loaded()
        except ConfigurationError as error:  # another program has taken the port while no app ran
            _logger.warning("%s", error)
            return
        if app is None:
            if not self._stop.is_set():
                goes_on = "the app as it was goes on" if self._app is not None else "no app runs"
                _logger.warning("%s; it is loaded again when a file changes", goes_on)
            return
        self._end_app()
        self._app = app
        if app.serve(self._stop.is_set):
            self._restarts.serves(time.monotonic())
            _logger.info("%s", said)

    def _loaded(self) -> AppProcess | None:
        """Load the app in a new process; returns None if it cannot be loaded, or at ``stop``.

        A change meanwhile ends that process and starts the next: a load that hangs must not wait for its own mend.
        Raises ``ConfigurationError`` if the port cannot be used.
        """
        if self._listening is None:
            self._listening = take_port(self._port)
        while True:
            app = AppProcess(self._port, self._listening)
            changed: list[str] = []
            if app.is_loaded(lambda: self._stop.is_set() or self._note_changes(changed)):  # noqa: B023  called at once
                return app
            app.end()
            if not changed:
                return None
            _log_changed(changed)

    def _note_changes(self, changed: list[str]) -> bool:
        changed += self._changes.since_last_time()
        return bool(changed)


def _log_changed(changed: list[str]) -> None:
    more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
    _logger.info("changed: %s%s; loading the app again", ", ".join(changed[:_MOST_NAMED]), more)
