"""Give waiting jobs their right times back after the database's clock, which was ahead, is set back.

There are two signs: the clock goes back between two reconciliations, or rows were written in what is the future now.
Then all waiting jobs are checked, within the budget of each reconciliation, until the last is reached. At any other
time it is one page per reconciliation, which finds what showed neither sign. It is several pages until the time comes
that the clock had shown, since runs that began before may end late.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from jobs.core.lifecycle.clock_setback import CLOCK_TOLERANCE, set_back
from jobs.core.lifecycle.ids import AlarmName

if TYPE_CHECKING:
    from datetime import datetime, timedelta
    from random import Random

    from jobs.app.alarms.arming import Alarms
    from jobs.core.lifecycle.clock_setback import WaitingJob
    from jobs.core.ports.setbacks import Setbacks

_logger = logging.getLogger("jobs.clock")
_PAGES_UNTIL_THEN = 20


class ClockSetback:
    """One step of the reconciliation. Lives as long as the process."""

    def __init__(self, setbacks: Setbacks, alarms: Alarms, random: Random, lease: timedelta, page: int = 500) -> None:
        self._setbacks = setbacks
        self._alarms = alarms
        self._random = random
        self._lease = lease
        self.page = page
        self._pages = 1
        self._last: datetime | None = None
        self._mended: datetime | None = None
        self._evidence: datetime | None = None
        self._after: WaitingJob | None = None

    def run(self, until: float) -> int:
        """Check waiting jobs until there are no more, or until ``until`` on ``time.monotonic``. Returns how many moved.

        Raises ``StoreUnavailable``.
        """
        self._look_for_evidence()
        moved = pages = 0
        while True:
            pages += 1
            page = self._setbacks.waiting(self.page, self._after)
            moves = [move for job in page.jobs if (move := set_back(job, page.now, self._random)) is not None]
            if moves:
                alarms = self._setbacks.set_back(moves)
                old = [AlarmName(alarm.name.job_id, alarm.name.generation - 1) for alarm in alarms]
                self._alarms.withdraw_soon(old)
                self._alarms.arm_and_acknowledge(alarms)
                moved += len(alarms)
            self._after = page.jobs[-1] if len(page.jobs) == self.page else None
            if self._after is None:
                self._mended, self._evidence = self._evidence or self._mended, None
            enough = self._after is None or (self._evidence is None and pages >= self._pages)
            if enough or time.monotonic() > until:
                break
        if moved:
            _logger.warning(
                "the database's clock was ahead: %d waiting jobs were given the times that are theirs", moved
            )
        return moved

    def _look_for_evidence(self) -> None:
        """Start over with the first job if the clock was set back and that is not dealt with yet."""
        now, written_at = self._setbacks.latest_record()
        went_back = self._last is not None and self._last - now > CLOCK_TOLERANCE
        furthest = max(filter(None, (self._last if went_back else None, written_at)), default=now)
        self._last = now
        self._pages = _PAGES_UNTIL_THEN if furthest - now > CLOCK_TOLERANCE else 1
        known = self._evidence or self._mended
        ahead = furthest - now > CLOCK_TOLERANCE and (known is None or furthest > known)
        if went_back or ahead:
            _logger.warning(
                "the database's clock was set back by %s or so; looking through all waiting jobs", furthest - now
            )
            self._evidence, self._after = furthest, None
            self._setbacks.shorten_leases(self._lease)
