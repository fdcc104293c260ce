"""Whether a suspect has this process to itself. See ``jobs.core.lifecycle.suspects``."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.core.lifecycle.job import ClaimedRun


class AlonePhase:
    """A time during which nothing starts but one suspect. Over once ``ended`` is set."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.token: str | None = None


class Alone:
    """Keeps other runs from starting beside a suspect; lives as long as the process, and is safe between threads.

    One phase at a time: the caller of ``begin`` has seen to it that none is under way.
    """

    def __init__(self) -> None:
        self._phase: AlonePhase | None = None

    @property
    def on(self) -> bool:
        """Whether nothing may start but a suspect."""
        return self._phase is not None

    def begin(self) -> AlonePhase:
        """Let nothing start from now on, but the run whose token the phase is given."""
        self._phase = AlonePhase()
        return self._phase

    def end(self, phase: AlonePhase) -> None:
        """Let others start again; a phase that is over already stays so."""
        if self._phase is phase:
            self._phase = None
        phase.ended.set()

    def admits(self, run: ClaimedRun) -> bool:
        """Say whether a run may start."""
        phase = self._phase
        return phase is None or phase.token == run.token

    def wait(self, seconds: float) -> bool:
        """Wait until others may start, or that long; gives whether they may."""
        phase = self._phase
        return phase is None or phase.ended.wait(seconds)
