"""Many processes want one lock, and some die while they hold it: never two at once, none waits for the dead."""

import os
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.sizes import sized

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("lock_contenders.py")
ROOT = SCRIPT.parents[2]
CONTENDERS, SECONDS, DEATHS = sized((8, 2, 2), (16, 60, 20))
TTL = 4.0  # so long that a living holder on a busy machine never loses it


@pytest.mark.soak
def test_many_contenders_hold_the_lock_one_at_a_time_and_take_over_from_the_dead_within_its_ttl(
    database_url, sql, capsys
):
    sql("create table holdings (fence bigint primary key, pid integer, began timestamptz, ended timestamptz)")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), database_url, str(CONTENDERS), str(SECONDS), str(DEATHS), str(TTL)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    holdings = sql(
        "select pid, to_timestamp(0) + fence * interval '1 microsecond', began, ended from holdings order by fence"
    )
    assert len({pid for pid, *_ in holdings}) > DEATHS, "it went from hand to hand"
    ttl, waits = timedelta(seconds=TTL), []
    for (_, acquired, began, ended), (_, next_acquired, next_began, _) in pairwise(holdings):
        assert began < next_acquired <= next_began
        if ended is None:
            waits.append(next_acquired - acquired)
            assert waits[-1] >= ttl, "a dead holder keeps the lock until it expires"
        else:
            assert ended < next_acquired
    assert len(waits) >= DEATHS, "holders were killed"
    [(left,)] = sql("select count(*) from jobs.locks")
    assert left == 1
    with capsys.disabled():
        print(
            f"\n{len(holdings)} holders in a row, none at the same time; {len(waits)} killed, the next one at most "
            f"{max(waits).total_seconds():.2f} s after a dead one had taken it for {TTL} s"
        )
