"""Keep the leases of this process's runs alive while their handlers work, and tell handlers what they should know.

One thread for all runs: it extends leases in one statement, passes on requests to cancel, and takes the lease from an
attempt that has run past its timeout. While nothing runs, it sleeps.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from jobs.app.execution.worker.alone import Alone
from jobs.core.errors import LeaseLost, StoreUnavailable
from jobs.core.lifecycle.job import Lease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta

    from jobs.core.handlers.context import JobContext
    from jobs.core.lifecycle.job import ClaimedRun
    from jobs.core.ports.runs import RunStore

_logger = logging.getLogger("jobs.leases")


@dataclass(slots=True)
class _Held:
    run: ClaimedRun
    context: JobContext | None = None
    deadline: float | None = None
    thread: int = 0


class LeaseKeeper:
    """The leases that this process holds; lives as long as the process.

    ``on_timeout`` is called with a run whose lease it has just taken away and the id of the thread that executes it, on
    a thread of its own: it may have to wait for the database, and the other leases must be extended meanwhile.
    ``on_overdue`` is called with a run whose lease was gone before, and whose handler goes on past its timeout. It must
    not block. ``on_beat`` is called after each heartbeat with the context of every attempt under way.
    """

    def __init__(
        self,
        runs: RunStore,
        lease: timedelta,
        on_timeout: Callable[[ClaimedRun, int], None],
        on_beat: Callable[[JobContext], None] = lambda _: None,
        alone: Alone | None = None,
        on_overdue: Callable[[ClaimedRun], None] = lambda _: None,
    ) -> None:
        self._runs = runs
        self._lease = lease
        self._interval = lease.total_seconds() / 3
        self._on_timeout = on_timeout
        self._on_beat = on_beat
        self._on_overdue = on_overdue
        self._alone = alone or Alone()
        self._held: dict[str, _Held] = {}
        self._gone: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._reporting: list[threading.Thread] = []
        self._closed = False

    def hold(self, runs: Iterable[ClaimedRun]) -> None:
        """Begin to extend the leases of freshly claimed runs."""
        with self._lock:
            for run in runs:
                self._held[run.token] = _Held(run)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._keep, name="jobs-leases", daemon=True)
                self._thread.start()

    def begin(self, run: ClaimedRun, context: JobContext, timeout_seconds: float | None) -> bool:
        """Note that the handler starts now; False if it must not: the run is not ours any more, or a suspect runs."""
        with self._lock:
            held = self._held.get(run.token)
            if held is None or not self._alone.admits(run):
                return False
            held.context = context
            held.thread = threading.get_ident()
            if timeout_seconds is not None:
                held.deadline = time.monotonic() + timeout_seconds
        if timeout_seconds is not None and timeout_seconds < self._interval:
            self._wake.set()
        return True

    def holds(self, token: str) -> bool:
        """Whether this process holds the lease."""
        return token in self._held

    def let_go(self, run: ClaimedRun) -> bool:
        """Stop extending; False if the lease was already taken away, so that the outcome is not ours to record."""
        with self._lock:
            if self._held.pop(run.token, None) is not None:
                return True
            self._gone.pop(run.token, None)
            return False

    @contextmanager
    def ending(self, run: ClaimedRun) -> Iterator[None]:
        """Let go of a lease while its attempt's success is being committed; take it back if that fails.

        Raises ``LeaseLost`` if it was already taken away.
        """
        with self._lock:
            held = self._held.pop(run.token, None)
        if held is None:
            raise LeaseLost(run.job_id, run.run)
        try:
            yield
        except BaseException:
            with self._lock:
                self._held[run.token] = held
            self._wake.set()
            raise
        with self._lock:
            self._watch(held)

    def _watch(self, held: _Held) -> None:
        """Go on to watch the time of a handler whose lease is gone."""
        if held.deadline is not None:
            self._gone[held.run.token] = held

    def begun(self) -> int:
        """Count the runs in hand whose handler has been started."""
        with self._lock:
            return sum(held.context is not None for held in self._held.values())

    def held(self) -> list[ClaimedRun]:
        """List the runs in hand."""
        with self._lock:
            return [held.run for held in self._held.values()]

    def announce_shutdown(self) -> None:
        """Tell every running handler that the host is going down."""
        with self._lock:
            for held in [*self._held.values(), *self._gone.values()]:
                if held.context is not None:
                    held.context.signal_shutdown()

    def close(self) -> None:
        """Stop the threads; leases that are still held run out by themselves."""
        self._closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        until = time.monotonic() + 5
        for thread in self._reporting:
            thread.join(timeout=max(until - time.monotonic(), 0))

    def _keep(self) -> None:
        beat_at = time.monotonic() + self._interval
        while not self._closed:
            self._wake.wait(max(0.0, min(beat_at, self._next_deadline()) - time.monotonic()))
            self._wake.clear()
            self._expire()
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + self._interval
                self.beat()
                for context in self._contexts():
                    self._on_beat(context)

    def _contexts(self) -> list[JobContext]:
        with self._lock:
            return [held.context for held in self._held.values() if held.context is not None]

    def _next_deadline(self) -> float:
        with self._lock:
            watched = chain(self._held.values(), self._gone.values())
            return min((held.deadline for held in watched if held.deadline is not None), default=float("inf"))

    def _expire(self) -> None:
        """Take the lease from attempts past their deadline: a thread cannot be stopped, but it can be fenced off."""
        now = time.monotonic()
        with self._lock:
            late = [held for held in self._held.values() if held.deadline is not None and held.deadline <= now]
            for held in late:
                del self._held[held.run.token]
            overdue = [held for held in self._gone.values() if held.deadline is not None and held.deadline <= now]
            for held in overdue:
                del self._gone[held.run.token]
        for held in overdue:
            if held.context is not None:
                held.context.signal_lease_lost()
            self._on_overdue(held.run)
        for held in late:
            if held.context is not None:
                held.context.signal_lease_lost()
            self._reporting = [thread for thread in self._reporting if thread.is_alive()]
            self._reporting.append(threading.Thread(target=self._report, args=[held], name="jobs-timeout", daemon=True))
            self._reporting[-1].start()

    def _report(self, held: _Held) -> None:
        job_id = held.run.job_id
        try:
            self._on_timeout(held.run, held.thread)
        except Exception:
            _logger.exception("the time-out of job %s could not be reported; it will be taken up again", job_id)

    def beat(self, only: Lease | None = None) -> None:
        """Extend every lease once, or one. While the database is away they stand until they expire there."""
        with self._lock:
            mine = {token: held for token, held in self._held.items() if only is None or token == only.token}
        if not mine:
            return
        try:
            found = self._runs.extend([Lease(h.run.job_id, token) for token, h in mine.items()], self._lease)
        except StoreUnavailable as error:
            _logger.debug("heartbeat for %d runs failed, trying again in %.0f s: %s", len(mine), self._interval, error)
            return
        except Exception:
            _logger.exception("heartbeat failed; it goes on")
            return
        for token, held in mine.items():
            if token not in found.held:
                self._lose(token, held)
            elif token in found.cancel_requested and held.context is not None:
                held.context.signal_cancelled()

    def _lose(self, token: str, held: _Held) -> None:
        with self._lock:
            if self._held.pop(token, None) is None:
                return  # it ended while the heartbeat was under way
            self._watch(held)
        if held.context is not None:
            held.context.signal_lease_lost()
        _logger.warning(
            "lease-lost: job %s run %d attempt %d was taken over; what this attempt does no longer counts",
            held.run.job_id, held.run.run, held.run.attempt,
        )  # fmt: skip
