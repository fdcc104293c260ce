"""The threads that run handlers: started when they are needed, as many as may be, and one more for each abandoned."""

from __future__ import annotations

import threading
from collections.abc import Callable


class WorkerThreads:
    """Threads that each run ``work`` until it returns; lives as long as the process, and is safe between threads.

    ``extra`` says how many threads there may be beyond ``size``, in place of those that an abandoned attempt keeps.
    """

    def __init__(self, size: int, extra: Callable[[], int], work: Callable[[], None]) -> None:
        self.surplus = False
        self.live = 0
        self._size = size
        self._extra = extra
        self._work = work
        self._started = 0
        self._lock = threading.Lock()

    @property
    def free(self) -> bool:
        """Whether another thread may start."""
        return self.live < self._size + self._extra()

    def start(self, wanted: int) -> None:
        """Have at least ``wanted`` threads that are not abandoned, as far as may be."""
        with self._lock:
            most = self._size + self._extra()
            for _ in range(min(wanted + self._extra(), most) - self.live):
                self._started += 1
                self.live += 1
                threading.Thread(target=self._run, name=f"jobs-worker-{self._started}", daemon=True).start()
            self.surplus = self.live > most

    def _run(self) -> None:
        self._work()

    def leave(self) -> bool:
        """Say whether the calling thread is one too many, and is to end."""
        with self._lock:
            most = self._size + self._extra()
            leaves = self.live > most
            self.live -= leaves
            self.surplus = self.live > most
        return leaves
