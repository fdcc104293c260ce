"""Test handlers without a database: the framework's own parts with a store in memory and a frozen clock.

with JobsHarness(overrides={EmailSender: FakeSender()}) as jobs:
    jobs.run_handler("SendEmail", {"to": "a@example.com", ...}).check()

Production code must never import this package.
"""

from jobs.testing.clock import FrozenClock
from jobs.testing.harness import JobsHarness, run_handler
from jobs.testing.ran import RanAttempt
from jobs.testing.scheduler import MemoryScheduler

__all__ = ["FrozenClock", "JobsHarness", "MemoryScheduler", "RanAttempt", "run_handler"]
