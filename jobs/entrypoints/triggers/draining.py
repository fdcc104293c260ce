"""Claim nothing more on a host that is drained, in a container of this project's image.

A drained host's timers and queues call nothing any more, but it goes on answering HTTP, and lets what has been called
end: a poll that is under way would claim more, and an alarm of Dapr's would begin a run that is soon cut.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_logger = logging.getLogger("jobs")
_LOOK_SECONDS = 0.25
DRAINED_FILE = "HOST_DRAINED_FILE"
"""The variable by which jobs/entrypoints/container.py names the file that it makes as it drains the host."""


def when_drained(start_nothing_more: Callable[[], None], environment: Mapping[str, str] = os.environ) -> bool:
    """Call ``start_nothing_more`` from a thread once the host is drained; returns False where nobody would say so."""
    name = environment.get(DRAINED_FILE)
    if not name:
        return False

    def watch() -> None:
        while not Path(name).exists():
            time.sleep(_LOOK_SECONDS)
        _logger.info("the host is drained: nothing more is claimed here, and alarms are left to other instances")
        try:
            start_nothing_more()
        except Exception:
            _logger.exception("what had not begun was not given back; leases run out instead")

    threading.Thread(target=watch, name="jobs-drained", daemon=True).start()
    return True
