"""Keep other runs from starting while a suspect has the process to itself. See ``jobs.core.lifecycle.suspects``."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.core.lifecycle.job import ClaimedRun


class AlonePhase:
    """A period during which only one suspect may start: the run with ``token``. It is over once ``ended`` is set."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.token: str | None = None


class Alone:
    """The phase of this process, if there is one. Lives as long as the process; safe between threads.

    There is one phase at a time: whoever calls ``begin`` must have ended the one before.
    """

    def __init__(self) -> None:
        self._phase: AlonePhase | None = None

    @property
    def on(self) -> bool:
        """Whether only a suspect may start."""
        return self._phase is not None

    def begin(self) -> AlonePhase:
        """Begin a phase: from now on only the run whose token is set on the phase may start."""
        self._phase = AlonePhase()
        return self._phase

    def end(self, phase: AlonePhase) -> None:
        """End a phase, so that other runs may start again. Does nothing to one that is over already."""
        if self._phase is phase:
            self._phase = None
        phase.ended.set()

    def admits(self, run: ClaimedRun) -> bool:
        """Return whether a run may start."""
        phase = self._phase
        return phase is None or phase.token == run.token

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds`` until other runs may start. Returns whether they may."""
        phase = self._phase
        return phase is None or phase.ended.wait(seconds)
