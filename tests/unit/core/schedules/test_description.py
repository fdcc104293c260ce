from __future__ import annotations

import subprocess
import sys

import pytest

from jobs.core.schedules.description import describe
from jobs.core.schedules.expression import parse_schedule

WEEK = "Monday, Tuesday, Wednesday, Thursday, and Friday"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("@once", "Once, now"),
        ("2026-12-01T09:00:00Z", "Once, at 2026-12-01T10:00:00+01:00"),
        ("PT90S", "Once, 1 minute 30 seconds from now"),
        ("@every 1h30m", "Every 1 hour 30 minutes, counted from when the schedule was set"),
    ],
)
def test_schedules_other_than_cron_have_words_of_their_own(expression, words):
    assert describe(parse_schedule(expression, "Europe/Berlin")) == words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "Every minute"),
        ("* * * * * *", "Every second"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("0-59/15 * * * *", "Every 15 minutes"),
        ("@hourly", "Every hour"),
        ("@midnight", "At 00:00 every day"),
        ("@weekly", "At 00:00, only on Sunday"),
        ("@annually", "At 00:00, on day 1 of the month, only in January"),
        ("0 */2 * * *", "Every 2 hours"),
        ("5 * * * 1", "At 5 minutes past the hour, only on Monday"),
        ("30 2 * * *", "At 02:30 every day"),
        ("5 30 2 * * *", "At 02:30:05 every day"),
        ("*/10 * 9 * * *", "Every 10 seconds, between 09:00 and 09:59"),
        ("0 9,17 * * 1-5", "At 09:00 and 17:00, Monday through Friday"),
        ("5 9-17 * * *", "At 5 minutes past the hour, between 09:00 and 17:59"),
        ("0 0 12 1 1 ?", "At 12:00, on day 1 of the month, only in January"),
    ],
)
def test_cron_is_said_in_plain_words_with_the_seconds_first_and_the_time_zone_last(expression, words):
    assert describe(parse_schedule(expression, "Europe/Berlin")) == f"{words}, in Europe/Berlin"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 0 1 * 7", "At 00:00, on day 1 of the month, or on Sunday"),
        ("0 0 1 * 1-5", f"At 00:00, on day 1 of the month, or on {WEEK}"),
        ("0 0 L * 5", "At 00:00, on the last day of the month, or on Friday"),
        ("0 0 1,L 2 *", "At 00:00, on day 1 of the month and on the last day of the month, only in February"),
        ("0 0 15W * *", "At 00:00, on the weekday nearest day 15 of the month"),
        ("0 0 * * 5#2", "At 00:00, on the second Friday of the month"),
        ("0 0 * * L1,5#2", "At 00:00, on the last Monday of the month and on the second Friday of the month"),
        ("0 0 *,15 * 5", "At 00:00, only on Friday"),
    ],
)
def test_days_are_said_as_they_are_run(expression, words):
    assert describe(parse_schedule(expression)) == f"{words}, in UTC"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("*/90 * * * *", "Every hour"),
        ("*/25 * * * *", "At 0, 25, and 50 minutes past the hour"),
        ("0 */9 * * *", "At 00:00, 09:00 and 18:00 every day"),
        ("0 0 */10 * *", "At 00:00, on day 1, 11, 21, and 31 of the month"),
        ("0 0 * */5 *", "At 00:00 every day, only in January, June, and November"),
        ("0 0 * * 1/2", "At 00:00, only on Monday, Wednesday, and Friday"),
        ("0 0 * * FRI-MON", "At 00:00, only on Sunday, Monday, Friday, and Saturday"),
        ("0 22-1 * * *", "At 00:00, 01:00, 22:00 and 23:00 every day"),
    ],
)
def test_a_step_that_starts_over_is_not_said_to_be_even(expression, words):
    assert describe(parse_schedule(expression)) == f"{words}, in UTC"


def test_a_job_is_scheduled_without_loading_what_only_words_need():
    script = (
        "import sys; from jobs.core.schedules.expression import parse_schedule; "
        "parse_schedule('0 0 * * *', 'Europe/Berlin');"
        " assert 'cron_descriptor' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
