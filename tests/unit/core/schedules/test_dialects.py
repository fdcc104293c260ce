"""Schedules as people paste them from elsewhere: what they mean here, what is warned of, and what to write instead."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from jobs.core.as_code.file import RecurringJob
from jobs.core.commands import EnqueueJob, PreviewSchedule, UpdateJob, read_command
from jobs.core.errors import InvalidInput, InvalidSchedule
from jobs.core.schedules.description import describe
from jobs.core.schedules.expression import parse_schedule
from jobs.core.schedules.recurrence import Recurrence
from jobs.core.schedules.schedule import Recurring
from jobs.core.schedules.timing import Timing
from jobs.core.schedules.zones import windows as windows_zones
from jobs.core.schedules.zones.database import load_zone

JUNE = datetime(2026, 6, 1, tzinfo=UTC)  # a Monday


def days(count: int = 6, **timing: object) -> list[str]:
    """The days of the first runs from the first of June 2026 on."""
    timed = Timing(**timing)
    fires = timed.recurrence(JUNE).preview(JUNE - timedelta(seconds=1), count)
    return [f"{fire.local:%a %d}" for fire in fires]


def refusal(schedule: str, timezone: str = "UTC") -> dict[str, str]:
    with pytest.raises(InvalidSchedule) as caught:
        parse_schedule(schedule, timezone)
    return {problem.pointer: problem.detail for problem in caught.value.problems}


# --- white space

SPACES = ["17 *\t* * *", "17 * * * *\n", "\r\n17  *\v* *\f*\t", "17\u00a0* * * *\u2009", "  17 * * * *  "]


@pytest.mark.parametrize("text", SPACES, ids=ascii)
def test_white_space_of_any_kind_separates_fields_and_may_surround_them(text):
    schedule, plain = parse_schedule(text), parse_schedule("17 * * * *")
    assert schedule.meaning == plain.meaning
    assert schedule.expression == text, "kept as given"


@pytest.mark.parametrize("text", ["\n@once ", "@every\t1h\n", " @daily\n", "\tPT30S", "2026-12-01\u00a009:00:00Z\n"])
def test_white_space_may_surround_every_form(text):
    assert parse_schedule(text).meaning == parse_schedule(" ".join(text.split())).meaning


# --- day_match


def test_with_day_match_all_days_must_match_both_fields_and_with_any_either():
    first_sunday = {"schedule": "0 0 4 1-7 * 0"}
    assert days(3, **first_sunday, day_match="all") == ["Sun 07", "Sun 05", "Sun 02"]
    assert days(9, **first_sunday) == days(9, **first_sunday, day_match="any")
    assert days(9, **first_sunday)[-3:] == ["Sun 07", "Sun 14", "Sun 21"]
    assert days(8, **first_sunday)[:7] == ["Mon 01", "Tue 02", "Wed 03", "Thu 04", "Fri 05", "Sat 06", "Sun 07"]


def test_day_match_changes_nothing_where_one_of_the_fields_is_open():
    for text in ("0 9 1 * *", "0 9 * * 1", "0 9 ? * 1", "0 9 1 * ?", "@monthly"):
        assert parse_schedule(text, day_match="all").meaning == parse_schedule(text).meaning


def test_day_match_is_said_in_words():
    either, both = (describe(parse_schedule("0 0 4 1-7 * 0", day_match=each)) for each in ("any", "all"))
    assert either.startswith("At 04:00, between day 1 and 7 of the month, or on Sunday")
    assert both.startswith("At 04:00, between day 1 and 7 of the month, only on Sunday")


def test_days_that_never_match_together_are_refused():
    with pytest.raises(InvalidSchedule, match="/schedule: never matches"):
        parse_schedule("0 9 31 * 0#1", day_match="all")


def test_day_match_is_one_of_two_words_everywhere():
    for model, others in ((EnqueueJob, {"handler_name": "A", "job_name": "a"}), (UpdateJob, {}), (PreviewSchedule, {})):
        fields = {"schedule": "0 0 1 * 1", **others}
        assert read_command(model, fields | {"day_match": "all"}).day_match == "all"
        with pytest.raises(InvalidInput, match="/day_match: "):
            read_command(model, fields | {"day_match": "both"})
    with pytest.raises(InvalidSchedule, match="/day_match: must be any or all"):
        parse_schedule("0 0 1 * 1", day_match="both")  # type: ignore[arg-type]


# --- accepted, with a warning


@pytest.mark.parametrize(
    ("timing", "first", "warned"),
    [
        (
            {"schedule": "0 0 4 1-7 * 0"},
            ["Mon 01", "Tue 02"],
            [r"'1-7' and weekday '0'.*either.*NCRONTAB.*day_match to all"],
        ),
        ({"schedule": "0 0 4 1-7 * 0", "day_match": "any"}, ["Mon 01", "Tue 02"], ["either"]),
        ({"schedule": "0 0 4 1-7 * 0", "day_match": "all"}, ["Sun 07", "Sun 05"], []),
        ({"schedule": "0 14 */10 * 1-5"}, ["Mon 01", "Tue 02"], [r"Vixie cron.*both.*'\*/10'.*day_match to all"]),
        ({"schedule": "0 14 1 * */2"}, ["Mon 01", "Tue 02", "Thu 04"], [r"Vixie cron.*'\*/2'"]),
        ({"schedule": "0 0 12 ? * 2-6"}, ["Tue 02", "Wed 03"], [r"'2-6'.*TUE-SAT.*Quartz.*MON-FRI"]),
        ({"schedule": "0 0 12 ? * 6#3"}, ["Sat 20"], [r"SAT#3.*FRI#3"]),
        ({"schedule": "0 0 12 ? * 1,7"}, ["Mon 01", "Sun 07"], [r"MON,SUN.*SUN,SAT"]),
        ({"schedule": "0 9 30W * *"}, ["Tue 30"], [r"'30W'.*short months run on their last weekday"]),
        ({"schedule": "0 9 31W * *"}, ["Tue 30", "Fri 31"], ["short months"]),
        ({"schedule": "0 9 29W * *"}, ["Mon 29"], ["short months"]),
        ({"schedule": "0 9 31W 1,7 *"}, ["Fri 31"], []),
        ({"schedule": "0 9 28W * *"}, ["Mon 29"], []),
        ({"schedule": "0 0 12 ? * MON-FRI"}, ["Mon 01"], []),
        ({"schedule": "0 0 12 ? * 0"}, ["Sun 07"], []),
        ({"schedule": "0 0 12 ? * 1-7"}, ["Mon 01", "Tue 02"], []),
        ({"schedule": "0 0 12 1 * ?"}, ["Mon 01"], []),
        ({"schedule": "0 9 * * 2-6"}, ["Tue 02"], []),
        ({"schedule": "*/90 * * * *"}, ["Mon 01"], [r"minute '\*/90'.*each hour.*minute 0 alone.*'@every 90m'"]),
        ({"schedule": "0 */25 * * *"}, ["Mon 01"], [r"hour '\*/25'.*each day.*'@every 25h'"]),
        ({"schedule": "*/90 * * * * *"}, ["Mon 01"], [r"second '\*/90'.*'@every 90s'"]),
        ({"schedule": "0 0 */45 * *"}, ["Mon 01"], [r"day of month '\*/45'.*every 45 days.*'@every P45D'"]),
        ({"schedule": "5/90 0 * * *"}, ["Mon 01"], ["minute 5 alone"]),
        ({"schedule": "0 0 1 */13 *"}, ["Fri 01"], ["month 1 alone"]),
        ({"schedule": "*/60 */24 * * *"}, ["Mon 01"], []),
        ({"schedule": "@daily"}, ["Mon 01"], []),
        ({"schedule": "@every 1h"}, ["Mon 01"], []),
    ],
    ids=str,
)
def test_what_means_something_else_elsewhere_is_accepted_with_a_warning(timing, first, warned):
    assert days(len(first), **timing) == first
    warnings = Timing(**timing).schedule_warnings
    assert len(warnings) == len(warned)
    for text, pattern in zip(warnings, warned, strict=True):
        assert re.search(pattern, text), text


def test_one_time_schedules_have_no_warnings():
    for text in ("@once", "PT5M", "2026-12-01T09:00:00Z"):
        assert Timing(schedule=text).schedule_warnings == []


def test_an_instant_that_is_past_is_warned_of_as_due_at_once():
    past = Timing(schedule="2020-01-01T00:00:00Z")
    now = datetime(2026, 6, 1, tzinfo=UTC)
    assert re.search("'2020-01-01T00:00:00Z' is past.*due at once", past.warnings_at(now)[0])
    assert Timing(schedule="2026-06-01T00:00:00Z").warnings_at(now) == []
    assert Timing(schedule="2020-01-01T00:00:00Z", start_at=now + timedelta(hours=1)).warnings_at(now) == []


# --- refused, with what to write instead

REFUSED = {
    "cron(0 10 * * ? *)": ["cron(…)", "year", "'0 10 * * *'"],
    "cron(0 10 ? * 2-6 2030)": ["'0 10 * * MON-FRI'", "start_at", "end_at"],
    "cron(15 10 ? * 6L 2022-2023)": ["'15 10 * * L5'"],
    "cron(0 9 * * 1-5)": ["drop cron(…)", "'0 9 * * 1-5'"],
    "0 12 * * ? *": ["year", "'0 12 * * *'"],
    "0 12 ? * MON-FRI *": ["year", "'0 12 * * MON-FRI'"],
    "rate(5 hours)": ["'@every 5h'"],
    "rate(1 minute)": ["'@every 1m'"],
    "rate(2 days)": ["'@every P2D'"],
    "rate(0 minutes)": ["1 second to 100 years"],
    "at(2026-12-01T09:00:00)": ["'2026-12-01T09:00:00'", "timezone"],
    "0 0 0 * * ? 2030": ["no field for the year", "'0 0 0 * * *'", "start_at", "end_at", "not 7"],
    "0 0 12 ? * 2-6 2030-2035": ["'0 0 12 * * MON-FRI'", "start_at"],
    "0 0 12 1 1 ? *": ["'0 0 12 1 1 *'"],
    "CRON_TZ=Europe/Madrid 0 9 * * *": ["timezone 'Europe/Madrid'", "'0 9 * * *'"],
    "TZ=UTC 0 9 * * *": ["timezone 'UTC'", "'0 9 * * *'"],
    "0 9 * * * Europe/Madrid": ["timezone 'Europe/Madrid'", "'0 9 * * *'"],
    "0 0 9 * * * America/Argentina/Buenos_Aires": ["timezone 'America/Argentina/Buenos_Aires'", "'0 0 9 * * *'"],
    "0 9 * * * UTC": ["timezone 'UTC'", "'0 9 * * *'"],
    "00:05:00": ["'@every 5m'"],
    "01:30:00": ["'@every 1h30m'"],
    "00:00:30": ["'@every 30s'"],
    "1.00:00:00": ["'@every P1D'"],
    "24:00:00": ["'@every P24D'"],
    "00:00:00": ["1 second to 100 years"],
    "09:30": ["'30 9 * * *'"],
    "@reboot": ["'@once'"],
    "@minutely": ["'* * * * *'"],
    "0 9 * * 1-5 # daily": ["no comments", "'0 9 * * 1-5'"],
    "# daily": ["no comments", "'@daily'"],
    "0~59 * * * *": ["jitter"],
    "'0 9 * * *'": ["quotes", "'0 9 * * *'"],
    '"0 9 * * *"': ["quotes", "'0 9 * * *'"],
    "- cron: '30 5 * * 1,3'": ["'30 5 * * 1,3'"],
    "cron: 30 5 * * 1,3": ["'30 5 * * 1,3'"],
    "every 5 minutes": ["'@every 5m'"],
    "@every 1 day": ["'@every P1D'"],
    "@every 999999 weeks": ["1 second to 100 years"],
    "R/PT5M": ["'@every PT5M'"],
    "R5/2026-12-01T09:00:00Z/PT1H": ["'@every PT1H'", "start_at", "max_runs"],
    "Cron.Daily": ["'0 0 * * *'"],
    "Cron.Daily(9, 30)": ["'30 9 * * *'"],
    "Cron.Hourly(15)": ["'15 * * * *'"],
    "Cron.Weekly": ["'0 0 * * 1'"],
    "Cron.Weekly()": ["'0 0 * * 1'"],
    "Cron.Weekly(DayOfWeek.Monday, 9)": ["'0 9 * * 1'"],
    "Cron.Weekly(DayOfWeek.Sunday, 9, 5)": ["'5 9 * * 0'"],
    "Cron.Monthly": ["'0 0 1 * *'"],
    "Cron.Monthly(15, hour: 8)": ["'0 8 15 * *'"],
    "Cron.Yearly(12, 24)": ["'0 0 24 12 *'"],
    "Cron.MinuteInterval(5)": ["'*/5 * * * *'"],
    "Cron.HourInterval(6)": ["'0 */6 * * *'"],
    "Cron.DayInterval(2)": ["'0 0 */2 * *'"],
    "Cron.Weekly(day)": ["Hangfire", "the expression that it makes"],
    "@every 1d": ["'@every P1D'"],
    "@every 1w": ["'@every P7D'"],
    "@every 1d12h": ["'@every P1DT12H'"],
    "every 1h": ["'@every 1h'"],
    "every 1h30m": ["'@every 1h30m'"],
    "0 15 10 ? * 6L": ["Quartz", "last Friday", "'0 15 10 * * L5'"],
    "0 15 10 ? * 1L": ["last Sunday", "'0 15 10 * * L0'"],
    "0 15 10 ? * FRIL": ["last Friday", "'0 15 10 * * L5'"],
    "Cron.Minutely()": ["'* * * * *'"],
    "*/5 * * * * /usr/bin/backup --all": ["command", "'*/5 * * * *'"],
    "every day": ["write '@daily'"],
    "@every hour": ["write '@hourly'"],
    "Every Minute": ["write '* * * * *'"],
    "5m": ["write '@every 5m'", "'PT5M' for one run"],
    "1h30m": ["write '@every 1h30m'", "'PT1H30M'"],
    "0 9 * * 1-5 2027": ["no field for the year", "write '0 9 * * 1-5'", "start_at and end_at"],
    "H * * * *": ["hashed (H)", "jitter"],
    "0 0 * * 5L": ["L5"],
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_refused_expression_says_what_to_write_instead(text):
    told = refusal(text)
    assert list(told) == ["/schedule"]
    for part in REFUSED[text]:
        assert part in told["/schedule"]


def test_what_is_to_be_written_instead_is_accepted():
    for text in REFUSED:
        told = refusal(text)["/schedule"]
        for suggested in re.findall(r"write '([^']+)'", told):
            parse_schedule(suggested, "Europe/Berlin")
        for zone in re.findall(r"timezone '([^']+)'", told):
            load_zone(zone)


def test_no_text_that_is_accepted_is_taken_for_another_systems():
    for text in ("0 0 * * 5#2", "0 9 * * SUN", "@every 1h", "PT30S", "0 0 12 ? * MON", "0 0 1 1 ?"):
        assert parse_schedule(text).expression == text


# --- time zones


@pytest.mark.parametrize(
    ("zone", "wanted"),
    [
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("w. europe standard time", "Europe/Berlin"),
        ("Eastern Standard Time", "America/New_York"),
        ("India Standard Time", "Asia/Kolkata"),
        ("europe/berlin", "Europe/Berlin"),
        ("EUROPE/BERLIN", "Europe/Berlin"),
        ("america/argentina/buenos_aires", "America/Argentina/Buenos_Aires"),
        ("utc", "UTC"),
        (" Europe/Berlin\n", "Europe/Berlin"),
        ("Europe/Berln", "Europe/Berlin"),
        ("UTC+2", "Etc/GMT-2"),
        ("-05:00", "Etc/GMT+5"),
    ],
)
def test_a_refused_time_zone_names_the_one_to_write(zone, wanted):
    told = refusal("@daily", zone)
    assert list(told) == ["/timezone"]
    assert re.search(rf"{re.escape(wanted)}(?![\w/])", told["/timezone"])
    load_zone(wanted)


def test_every_windows_zone_has_an_iana_zone_that_there_is():
    assert len(windows_zones.IANA_BY_WINDOWS) > 130
    for windows, iana in windows_zones.IANA_BY_WINDOWS.items():
        assert load_zone(iana)
        assert windows == "UTC" or iana in refusal("@daily", windows)["/timezone"]


# --- all faults at once


def test_a_bad_time_zone_does_not_hide_a_bad_schedule():
    told = refusal("61 25 * * *", "Mars/Base")
    assert set(told) == {"/schedule", "/timezone"}
    with pytest.raises(InvalidSchedule) as caught:
        parse_schedule("61 25 * * *", "Mars/Base")
    details = [problem.detail for problem in caught.value.problems]
    assert ["minute" in details[0], "hour" in details[1], "zone" in details[2]] == [True] * 3


def test_an_instant_that_could_be_in_a_zone_that_is_none_is_not_told_to_lack_its_offset():
    assert set(refusal("2026-12-01T09:00:00", "Mars/Base")) == {"/timezone"}


def test_faults_of_shape_do_not_hide_those_of_the_schedule():
    fields = {"handler_name": "", "job_name": "a", "schedule": "rate(5 hours)", "timezone": "europe/berlin", "x": 1}
    with pytest.raises(InvalidInput) as caught:
        read_command(EnqueueJob, fields | {"max_runs": 0})
    assert {each.pointer for each in caught.value.problems} == {
        *("/handler_name", "/schedule", "/timezone", "/max_runs", "/x")
    }


def test_faults_of_bounds_and_of_the_schedule_are_told_together():
    timing = Timing(schedule="nonsense", timezone="nowhere", start_at=JUNE, end_at=JUNE)
    assert {each.pointer for each in timing.problems()} == {"/schedule", "/timezone", "/end_at"}
    once = Timing(schedule="@once", timezone="nowhere", end_at=JUNE, max_runs=1)
    assert {each.pointer for each in once.problems()} == {"/timezone"}
    assert {each.pointer for each in Timing(end_at=JUNE, max_runs=1).problems()} == {"/end_at", "/max_runs"}


# --- @every counts from start_at


def test_every_counts_from_start_at_and_runs_first_at_it():
    nine = JUNE + timedelta(hours=9)
    timing = Timing(schedule="@every 1h", start_at=nine)
    enqueued = JUNE + timedelta(hours=8, minutes=17, seconds=23)
    recurrence = timing.recurrence(anchor=enqueued)
    assert [fire.at for fire in recurrence.preview(enqueued, 3)] == [nine + timedelta(hours=n) for n in range(3)]
    late = JUNE + timedelta(days=1, hours=8, minutes=17)
    assert [fire.at for fire in recurrence.preview(late, 1)] == [nine + timedelta(days=1)]
    assert "counted from 2026-06-01T09:00:00Z" in describe(timing.parsed, nine)


def test_every_from_the_first_days_of_the_calendar_goes_on():
    schedule = parse_schedule("@every P1D")
    assert isinstance(schedule, Recurring)
    first = Recurrence(schedule, JUNE, start_at=datetime.min.replace(tzinfo=UTC)).preview(JUNE, 1)
    assert first[0].at - JUNE <= timedelta(days=1)


def test_an_entry_of_a_file_may_say_how_days_match():
    entry = RecurringJob(handler_name="A", job_name="a", schedule="0 0 4 1-7 * 0", day_match="all")
    assert entry.command("me").day_match == "all"
