"""What a hand-over costs with the settings as they are: a killed worker's run starts again within 35 s."""

import json
from datetime import timedelta

from jobs.app.upkeep.reaper import reap_interval
from jobs.core.lifecycle.suspects import SPREAD_MILLISECONDS
from jobs.settings import Settings
from tests.support import ROOT

WITHIN = 35.0
POLL = 1.0
HOST_JSON = json.loads((ROOT / "host.json").read_text())


def test_a_killed_workers_run_starts_again_within_35_seconds():
    """Its last heartbeat was at the moment of its death at the latest; then the lease, a look, and the spread."""
    lease = Settings().lease_seconds
    assert lease + reap_interval(timedelta(seconds=lease)) + SPREAD_MILLISECONDS / 1000 + POLL <= WITHIN


def test_so_it_does_where_the_timers_went_down_with_it():
    """Others take runs back meanwhile, but only who holds the timers polls: the lock runs out, and is looked for."""
    periods = HOST_JSON["singleton"]
    lock, look = (float(periods[name].rpartition(":")[2]) for name in sorted(periods))
    lease = Settings().lease_seconds
    due = lease + reap_interval(timedelta(seconds=lease)) + SPREAD_MILLISECONDS / 1000
    assert max(lock + look, due) + POLL <= WITHIN


def test_three_heartbeats_are_due_within_a_lease_and_runs_are_given_back_within_the_hosts_ten_seconds():
    assert Settings().shutdown_grace_seconds + 2 <= 10
