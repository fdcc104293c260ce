"""Keep the leases of this process's runs alive while their handlers work.

One thread serves all runs. It extends their leases in one statement, passes requests to cancel on to the handlers, and
takes the lease from an attempt that runs past its timeout. While nothing runs, it sleeps.

Longer than other files because each of these changes the same table of runs under the same lock.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from jobs.core.errors import LeaseLost, StoreUnavailable
from jobs.core.lifecycle.job import Lease

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import timedelta

    from jobs.app.execution.leases.alone import Alone
    from jobs.app.execution.leases.progress import ProgressWriter
    from jobs.core.handlers.context import JobContext
    from jobs.core.lifecycle.job import ClaimedRun
    from jobs.core.ports.runs import RunStore

_logger = logging.getLogger("jobs.leases")


class OnTimeout(Protocol):
    """Called once when the time of an attempt is over, on a thread of its own."""

    def __call__(self, run: ClaimedRun, *, thread: int, held: bool) -> None:
        """Report the timeout of ``run``, whose handler goes on in ``thread``.

        ``held`` is False where the lease was gone before, so that there is no outcome left to record.
        """


@dataclass(slots=True)
class _Tracked:
    run: ClaimedRun
    context: JobContext | None = None
    deadline: float | None = None
    thread: int = 0
    on_timeout: OnTimeout | None = None


class LeaseKeeper:
    """The leases that this process holds. Lives as long as the process; safe between threads."""

    def __init__(self, runs: RunStore, lease: timedelta, progress: ProgressWriter, alone: Alone) -> None:
        self._runs = runs
        self._lease = lease
        self._interval = lease.total_seconds() / 3
        self._progress = progress
        self._alone = alone
        self._held: dict[str, _Tracked] = {}
        self._gone: dict[str, _Tracked] = {}
        self._timed_out: set[str] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._reporting: list[threading.Thread] = []
        self._closed = False

    def track(self, runs: Iterable[ClaimedRun]) -> None:
        """Extend the leases of these freshly claimed runs from now on."""
        with self._lock:
            for run in runs:
                self._held[run.token] = _Tracked(run)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._keep, name="jobs-leases", daemon=True)
                self._thread.start()

    def start(
        self,
        run: ClaimedRun,
        context: JobContext,
        timeout_seconds: float | None = None,
        on_timeout: OnTimeout | None = None,
    ) -> bool:
        """Note that the handler starts on the calling thread; ``on_timeout`` is called after ``timeout_seconds``.

        False if it must not start: the lease is gone, or a suspect has this process to itself.
        """
        with self._lock:
            held = self._held.get(run.token)
            if held is None or not self._alone.admits(run):
                return False
            held.context = context
            held.thread = threading.get_ident()
            if timeout_seconds is not None:
                held.deadline = time.monotonic() + timeout_seconds
                held.on_timeout = on_timeout
        if timeout_seconds is not None and timeout_seconds < self._interval:
            self._wake.set()
        return True

    def holds(self, token: str) -> bool:
        """Whether this process holds the lease."""
        return token in self._held

    def release(self, run: ClaimedRun) -> bool:
        """Stop extending the lease. False if it was gone before, so that the outcome must not be recorded."""
        with self._lock:
            if self._held.pop(run.token, None) is not None:
                return True
            self._gone.pop(run.token, None)
            return False

    def timed_out(self, run: ClaimedRun) -> bool:
        """Whether this attempt, which has just ended, lost its lease to its timeout: ``on_timeout`` reports its end."""
        with self._lock:
            known = run.token in self._timed_out
            self._timed_out.discard(run.token)
            return known

    @contextmanager
    def completing(self, run: ClaimedRun) -> Iterator[None]:
        """Release the lease while the attempt's success is being committed; track it again if the commit fails.

        Raises ``LeaseLost`` if it was gone before.
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

    def _watch(self, held: _Tracked) -> None:
        """Watch the timeout of a handler whose lease is gone."""
        if held.deadline is not None:
            self._gone[held.run.token] = held

    def started(self) -> int:
        """Count the tracked runs whose handler has started."""
        with self._lock:
            return sum(held.context is not None for held in self._held.values())

    def held(self) -> list[ClaimedRun]:
        """List the tracked runs."""
        with self._lock:
            return [held.run for held in self._held.values()]

    def announce_shutdown(self) -> None:
        """Signal every running handler that the host is going down."""
        with self._lock:
            for held in [*self._held.values(), *self._gone.values()]:
                if held.context is not None:
                    held.context.signal_shutdown()

    def close(self) -> None:
        """Stop the threads, and wait a few seconds for each. Leases that are still held expire."""
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
                    self._progress.write(context)

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
            late = _past_deadline(self._held, now)
            self._timed_out.update(each.run.token for each in late)
            overdue = _past_deadline(self._gone, now)
        for each, held in chain(((each, False) for each in overdue), ((each, True) for each in late)):
            if each.context is not None:
                each.context.signal_lease_lost()
            # On a thread of its own: it may wait for the database, and the other leases must be extended meanwhile.
            self._reporting = [thread for thread in self._reporting if thread.is_alive()]
            reporting = threading.Thread(target=self._report, args=[each, held], name="jobs-timeout", daemon=True)
            self._reporting.append(reporting)
            reporting.start()

    def _report(self, late: _Tracked, held: bool) -> None:  # noqa: FBT001  a thread's argument
        if late.on_timeout is None:
            return
        try:
            late.on_timeout(late.run, thread=late.thread, held=held)
        except Exception:
            what = "the time-out of job %s could not be reported; it will be taken up again"
            _logger.exception(what, late.run.job_id)

    def beat(self, only: Lease | None = None) -> None:
        """Extend every lease once, or ``only`` one. While the database is away nothing changes until they expire."""
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

    def _lose(self, token: str, held: _Tracked) -> None:
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


def _past_deadline(tracked: dict[str, _Tracked], now: float) -> list[_Tracked]:
    """Remove and return those whose deadline has passed."""
    late = [each for each in tracked.values() if each.deadline is not None and each.deadline <= now]
    for each in late:
        del tracked[each.run.token]
    return late
