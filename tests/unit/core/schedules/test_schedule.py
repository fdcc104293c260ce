from __future__ import annotations

import sys
import time
import zoneinfo
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.core.errors import InvalidSchedule, ScheduleFault
from jobs.core.schedules.cron import CronFields
from jobs.core.schedules.description import describe
from jobs.core.schedules.expression import parse_schedule
from jobs.core.schedules.local_time import Dst
from jobs.core.schedules.schedule import After, At, Cron, Every, Once, Recurring, Schedule
from jobs.core.schedules.zones.database import load_zone
from tests.sizes import examples

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
quick = settings(database=None, deadline=None)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def runs(expression: str, after: datetime, count: int, zone: str = "UTC", dst: Dst | None = None) -> list[datetime]:
    schedule = parse_schedule(expression, zone, dst or Dst())
    assert isinstance(schedule, Recurring)
    found: list[datetime] = []
    while len(found) < count:
        following = schedule.next_after(found[-1] if found else after, NOW)
        assert following is not None
        found.append(following)
    return found


def local_runs(expression: str, zone: str, after: str, count: int, dst: Dst | None = None) -> list[str]:
    found = runs(expression, utc(after), count, zone, dst)
    return [at.astimezone(load_zone(zone)).isoformat(timespec="minutes") for at in found]


def refusal(expression: str, zone: str = "UTC", dst: Dst | None = None) -> tuple[str, str]:
    with pytest.raises(InvalidSchedule) as caught:
        parse_schedule(expression, zone, dst or Dst())
    [problem] = caught.value.problems
    return problem.pointer, problem.detail


# --- one-time forms


@pytest.mark.parametrize("text", ["@once", "@ONCE", " @once "])
def test_once_means_now(text):
    schedule = parse_schedule(text)
    assert isinstance(schedule, Once)
    assert not schedule.recurring
    assert schedule.first(NOW) is None
    assert schedule.expression == text


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-12-01T09:00:00+03:00", "UTC", "2026-12-01T06:00+00:00"),
        ("2026-12-01T09:00:00+03:00", BERLIN, "2026-12-01T06:00+00:00"),
        ("2026-12-01t09:00z", "UTC", "2026-12-01T09:00+00:00"),
        ("2026-12-01 09:00:00.5Z", "UTC", "2026-12-01T09:00:00.500+00:00"),
        ("2026-12-01T09:00:00", BERLIN, "2026-12-01T08:00+00:00"),
        ("2026-03-29T02:30:00", BERLIN, "2026-03-29T01:00+00:00"),
        ("2026-10-25T02:30:00", BERLIN, "2026-10-25T00:30+00:00"),
    ],
)
def test_an_instant_runs_then_in_its_offset_or_else_in_the_timezone(text, zone, expected):
    schedule = parse_schedule(text, zone)
    assert isinstance(schedule, At)
    assert schedule.first(NOW) == utc(expected)


def test_an_instant_that_is_past_means_now():
    schedule = parse_schedule("2026-12-01T09:00:00Z")
    assert isinstance(schedule, At)
    assert schedule.first(utc("2026-12-01T08:59:59Z")) == utc("2026-12-01T09:00Z")
    assert schedule.first(utc("2026-12-01T09:00Z")) is None


@pytest.mark.parametrize(
    "text",
    [
        *("2026-12-01", "2026-12-01T09", "2026-12-01T09:00:60Z", "2026-12-01T24:00:00Z", "2026-13-01T00:00:00Z"),
        *("2026-02-29T00:00:00Z", "2026-12-01T09:00:00+3", "2026-12-01T09:00:00+24:00", "2026-12-01T09:00:00Z x"),
        *("0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "2026-12-01T09:00:00 +03:00", "2026-12-01TT"),
    ],
)
def test_a_wrong_instant_is_refused_with_an_example(text):
    pointer, detail = refusal(text, BERLIN)
    assert pointer == "/schedule"
    assert "2026-12-01T09:00:00+03:00" in detail


def test_an_instant_without_offset_needs_a_timezone():
    assert "offset" in refusal("2026-12-01T09:00:00")[1]


def test_a_skipped_local_instant_is_refused_where_gaps_are_skipped():
    assert "skip" in refusal("2026-03-29T02:30:00", BERLIN, Dst(gap="skip"))[1]


@pytest.mark.parametrize(("text", "seconds"), [("PT30S", 30), ("P1D", 86_400), ("PT0S", 0), ("PT0.5S", 0.5)])
def test_a_duration_runs_that_long_from_now(text, seconds):
    schedule = parse_schedule(text)
    assert isinstance(schedule, After)
    assert schedule.first(NOW) == NOW + timedelta(seconds=seconds)


# --- @every


@pytest.mark.parametrize("text", ["@every 1h30m", "@every PT90M", "@EVERY  1.5h"])
def test_every_takes_go_and_iso_durations(text):
    schedule = parse_schedule(text)
    assert isinstance(schedule, Every)
    assert schedule.recurring
    assert schedule.next_after(NOW, NOW) == NOW + timedelta(minutes=90)


def test_every_does_not_drift_over_a_million_runs():
    anchor = utc("2026-01-01T00:00:00.123456Z")
    schedule = parse_schedule("@every 7s", BERLIN)
    assert isinstance(schedule, Every)
    at = anchor
    for n in range(1, 10_001):
        at = schedule.next_after(at, anchor)
        assert at == anchor + n * timedelta(seconds=7)
    before = time.process_time()
    for n in (10**6, 10**8, 3 * 10**10):
        assert schedule.next_after(anchor + timedelta(seconds=7 * n), anchor) == anchor + timedelta(seconds=7 * (n + 1))
    assert time.process_time() - before < 0.1


@given(
    interval=st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=100)),
    anchor=st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1), timezones=st.just(ZoneInfo(BERLIN))),
    offset=st.timedeltas(min_value=timedelta(days=-1000), max_value=timedelta(days=10_000)),
)
@quick
def test_every_gives_the_first_multiple_after_the_moment_and_never_the_anchor(interval, anchor, offset):
    schedule = Every("@every", "UTC", UTC, interval)
    moment = anchor.astimezone(UTC) + offset
    at = schedule.next_after(moment, anchor)
    assert at is not None
    assert at > moment
    assert at.tzinfo is UTC
    elapsed = at - anchor.astimezone(UTC)
    assert elapsed % interval == timedelta()
    assert elapsed >= interval
    assert elapsed == interval or at - interval <= moment


def test_every_ends_quietly_with_the_calendar():
    schedule = parse_schedule("@every P36500D")
    assert isinstance(schedule, Every)
    assert schedule.next_after(utc("9999-01-01T00:00Z"), NOW) is None


@pytest.mark.parametrize("text", ["@every 0.999s", "@every 0", "@every PT0S", "@every 999ms", "@every P36526D"])
def test_an_interval_under_a_second_or_over_a_century_is_refused(text):
    assert "1 second to 100 years" in refusal(text)[1]


@pytest.mark.parametrize("text", ["@every", "@every 5", "@every -1h", "@every 1h 30m", "@every1h", "@every 1mo"])
def test_every_without_a_proper_duration_is_refused(text):
    assert "1h30m" in refusal(text)[1]


# --- cron: the grammar


@pytest.mark.parametrize(
    ("word", "cron"),
    [
        *(("@hourly", "0 * * * *"), ("@daily", "0 0 * * *"), ("@midnight", "0 0 * * *"), ("@weekly", "0 0 * * 0")),
        *(("@monthly", "0 0 1 * *"), ("@yearly", "0 0 1 1 *"), ("@annually", "0 0 1 1 *"), ("@Daily", "0 0 * * *")),
    ],
)
def test_nicknames_are_cron(word, cron):
    assert runs(word, NOW, 3) == runs(cron, NOW, 3)


def test_six_fields_have_the_second_first():
    assert runs("*/20 30 9 * * *", NOW, 3) == [utc(f"2026-01-01T09:30:{second:02}Z") for second in (0, 20, 40)]
    assert runs("* * * * * *", utc("2026-01-01T00:00:00.999Z"), 1) == [utc("2026-01-01T00:00:01Z")]


@pytest.mark.parametrize(
    ("expression", "first"),
    [
        ("0 0 L * *", "2026-01-31"),
        ("0 0 * * L5", "2026-01-30"),
        ("0 0 * * FRI#2", "2026-01-09"),
        ("0 0 * * 5#2", "2026-01-09"),
        ("0 0 15W 2 *", "2026-02-16"),
        ("0 0 * feb MON-wed", "2026-02-02"),
        ("0 0 13 * 5", "2026-01-02"),
        ("0 0 * * 7", "2026-01-04"),
        ("0 0 * * 0-7", "2026-01-02"),
        ("0 0 * * SUN-7", "2026-01-02"),
        ("0 0 * * SUN-SAT#2", "2026-01-08"),
        ("0 0 25-5 * *", "2026-01-02"),
    ],
)
def test_names_last_days_and_nth_weekdays_are_understood(expression, first):
    assert runs(expression, NOW, 1) == [utc(first + "T00:00Z")]


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        ("* * * * * * *", "not 7"),
        ("* * * *", "not 4"),
        ("R * * * *", "random (R) or hashed (H)"),
        ("H(0-29) * * * *", "random (R) or hashed (H)"),
        ("0 h/2 * * *", "the hour field"),
        ("0 0 * * 5L", "the weekday field '5L'"),
        ("0 0 * * L", "L5 for the last Friday"),
        ("0 0 LW * *", "the day of month field 'LW'"),
        ("0 0 * * 1#1,3", "no plain days beside these"),
        ("61 * * * *", "the minute field '61'"),
        ("61 * * * * *", "the second field '61'"),
        ("0 24 * * *", "0-23"),
        ("0 0 * foo *", "the month field 'foo'"),
        ("0 9-9 * * *", "from a value to itself"),
        ("0 0 * * mon-MON", "from a value to itself"),
        ("0 0 * * mon-1", "from a value to itself"),
        ("0 0 * * 7-SUN", "from a value to itself"),
        ("0 0 * * 2,fri-fri#1", "from a value to itself"),
        ("0 0 * 03-mar/2 *", "from a value to itself"),
        ("0 0 31-L * *", "from a value to itself"),
        ("0 0 5-0 * *", "the day of month field '5-0'"),
        ("0 22-4/3 * * *", "steps in a range that starts over"),
        ("0 0 * * SAT-TUE/2", "steps in a range that starts over"),
        ("0 0 * 11-0 *", "the month field '11-0'"),
        ("0 0 * * 0-6,5#2", "no plain days beside these"),
        ("0 0 * * *,5#2", "no plain days beside these"),
        ("0 0 1 * 1#1", "cannot be combined"),
        ("0 0 15W * 1", "cannot be combined"),
        ("0 0 30 2 *", "never matches"),
        ("0 0 31 2,4,6,9,11 *", "never matches"),
        ("0 0 29 2 1#1", "cannot be combined"),
        ("0 0 * * *" + " " * 120, "longer than 128"),
        ("0 0 * * *\x1f", "printable ASCII"),
        ("0 0 * * *\x00", "printable ASCII"),
        ("٣ * * * *", "printable ASCII"),
        ("\ud800", "printable ASCII"),
        ("", "accepted are"),
        ("@reboot", "@once"),
        ("@once more", "accepted are"),
        ("30s", "PT30S"),
        ("P1Y", "no fixed length"),
        ("P40000D", "100 years"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(expression, part):
    pointer, detail = refusal(expression)
    assert pointer == "/schedule"
    assert part in detail


@pytest.mark.parametrize(
    "zone",
    ["", "Mars/Base", "../etc/passwd", "localtime", "right/UTC", "America", "UTC\0", "x" * 300, "Ümlaut", "utc "],
)
@pytest.mark.parametrize("expression", ["0 0 * * *", "@once", "PT1S"])
def test_an_unknown_timezone_is_refused_at_its_own_field(zone, expression):
    pointer, detail = refusal(expression, zone)
    assert pointer == "/timezone"
    assert "Europe/Berlin" in detail or "UTC" in detail


def test_a_wrong_dst_option_is_refused_at_its_own_field():
    assert refusal("0 0 * * *", dst=Dst(gap="leap"))[0] == "/dst"  # type: ignore[arg-type]
    assert refusal("0 0 * * *", dst=Dst(overlap="thrice"))[0] == "/dst"  # type: ignore[arg-type]


def test_leap_days_are_found_across_the_year_2100():
    assert [at.year for at in runs("0 0 29 2 *", utc("2095-01-01T00:00Z"), 3)] == [2096, 2104, 2108]
    assert runs("0 0 29 2 *", utc("2099-06-01T00:00Z"), 1) == [utc("2104-02-29T00:00Z")]


@pytest.mark.parametrize("weekday", range(7))
def test_the_longest_wait_of_the_calendar_is_within_the_horizon(weekday):
    found = runs(f"0 0 * 2 {weekday}#5", NOW, 110)
    years = [at.year for at in found]
    assert max(later - earlier for earlier, later in pairwise(years)) == 40
    assert all((at.month, at.day, at.isoweekday() % 7) == (2, 29, weekday) for at in found)


def test_cron_ends_quietly_with_the_calendar():
    schedule = parse_schedule("0 0 1 1 *", NEW_YORK)
    assert isinstance(schedule, Cron)
    assert schedule.next_after(utc("9999-06-01T00:00Z"), NOW) is None
    assert schedule.next_after(datetime.max.replace(tzinfo=UTC), NOW) is None
    assert schedule.next_after(datetime.min.replace(tzinfo=UTC), NOW) is not None


# --- cron: changes of clocks


def test_berlin_spring_runs_at_the_first_instant_after_the_gap():
    found = local_runs("30 2 * * *", BERLIN, "2026-03-28T12:00Z", 2)
    assert found == ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]


def test_berlin_spring_is_passed_over_where_gaps_are_skipped():
    assert local_runs("30 2 * * *", BERLIN, "2026-03-28T12:00Z", 1, Dst(gap="skip")) == ["2026-03-30T02:30+02:00"]


def test_berlin_autumn_runs_once_at_the_first_of_the_two():
    found = local_runs("30 2 * * *", BERLIN, "2026-10-24T12:00Z", 2)
    assert found == ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]


def test_berlin_autumn_runs_twice_where_that_is_asked_for():
    found = local_runs("30 2 * * *", BERLIN, "2026-10-24T12:00Z", 3, Dst(overlap="twice"))
    assert found == ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00", "2026-10-26T02:30+01:00"]


def test_new_york_autumn_runs_once():
    found = local_runs("30 1 * * *", NEW_YORK, "2026-10-31T12:00Z", 2)
    assert found == ["2026-11-01T01:30-04:00", "2026-11-02T01:30-05:00"]


def test_a_stepped_hour_runs_in_both_passes_and_not_in_the_gap():
    spring = local_runs("0 */2 * * *", BERLIN, "2026-03-28T22:00Z", 3)
    assert spring == ["2026-03-29T00:00+01:00", "2026-03-29T04:00+02:00", "2026-03-29T06:00+02:00"]
    autumn = local_runs("0 */2 * * *", BERLIN, "2026-10-24T21:00Z", 4)
    assert [run[11:] for run in autumn] == ["00:00+02:00", "02:00+02:00", "02:00+01:00", "04:00+01:00"]


@pytest.mark.parametrize("around", ["2026-03-29T00:00Z", "2026-10-24T23:00Z"])
def test_every_quarter_of_an_hour_comes_every_quarter_of_an_hour(around):
    start = utc(around)
    assert runs("*/15 * * * *", start, 16, BERLIN) == [start + n * timedelta(minutes=15) for n in range(1, 17)]


def test_a_whole_day_that_a_zone_skips_is_made_up_for_at_its_end():
    found = local_runs("0 9 * * *", "Pacific/Apia", "2011-12-29T20:00Z", 2)
    assert found == ["2011-12-31T00:00+14:00", "2011-12-31T09:00+14:00"]


def test_a_time_that_clocks_always_skip_never_matches_where_gaps_are_skipped():
    assert "never matches" in refusal("30 2 * 3 L0", BERLIN, Dst(gap="skip"))[1]
    assert local_runs("30 2 * 3 L0", BERLIN, "2026-01-01T00:00Z", 1) == ["2026-03-29T03:00+02:00"]


WINDOWS = [
    (BERLIN, "2026-03-28"),
    (BERLIN, "2026-10-24"),
    (NEW_YORK, "2026-03-07"),
    (NEW_YORK, "2026-10-31"),
    ("Australia/Lord_Howe", "2026-04-04"),  # half an hour
    ("Australia/Lord_Howe", "2026-10-03"),
    ("Asia/Beirut", "2026-03-28"),  # at midnight
    ("America/Havana", "2025-11-01"),
    ("America/St_Johns", "2006-04-01"),  # at 00:01
    ("America/St_Johns", "2006-10-28"),
    ("Antarctica/Troll", "2024-03-30"),  # two hours
    ("Antarctica/Troll", "2024-10-26"),
    ("Pacific/Apia", "2011-12-29"),  # a whole day
    ("Europe/Dublin", "2026-10-24"),  # summer time is the standard
    ("Asia/Kathmandu", "2026-01-01"),
]


@pytest.mark.parametrize(("zone", "change"), [(BERLIN, "2026-03-29T01:00Z"), (BERLIN, "2026-10-25T01:00Z")])
@pytest.mark.parametrize("away", [timedelta(), timedelta(days=1)])
@pytest.mark.parametrize("fraction", [-1_000_001, -1, 0, 1, 999_999, 1_000_000, 1_000_001])
def test_a_moment_within_a_second_of_a_change_or_of_the_day_before_it_is_answered(zone, change, away, fraction):
    moment = utc(change) - away + timedelta(microseconds=fraction)
    found = runs("*/15 * * * *", moment, 1, zone, Dst(overlap="twice"))
    assert timedelta() < found[0] - moment <= timedelta(minutes=15)


@pytest.mark.parametrize(("zone", "day"), WINDOWS)
@pytest.mark.parametrize("dst", [Dst(), Dst("skip", "twice")])
def test_seconds_around_changes_of_clocks_are_quick_and_strictly_increase(zone, day, dst):
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    for expression in ("* * * * * *", "59 59 0-3 * * *"):
        schedule = parse_schedule(expression, zone, dst)
        assert isinstance(schedule, Cron)
        before = time.process_time()
        for n in range(150):
            moment = start + n * timedelta(minutes=17, seconds=1)
            following = schedule.next_after(moment, NOW)
            assert following is not None
            assert following > moment
        assert time.process_time() - before < 1


@pytest.mark.parametrize(
    ("expression", "moment", "expected"),
    [
        ("* * 2 * * *", "2026-10-25T02:00:00+01:00", "2026-10-26T02:00:00+01:00"),  # the second pass is passed over
        ("* * * * * *", "2026-03-29T01:59:59+01:00", "2026-03-29T03:00:00+02:00"),  # and so is the gap
    ],
)
def test_an_hour_of_seconds_is_passed_over_in_one_step(monkeypatch, expression, moment, expected):
    schedule = parse_schedule(expression, BERLIN)
    asked, ask = [], CronFields.first_from
    monkeypatch.setattr(CronFields, "first_from", lambda *args: asked.append(args) or ask(*args))
    assert schedule.next_after(utc(moment), NOW) == utc(expected)
    assert len(asked) <= 4


# --- notes for previews


def test_a_run_moved_out_of_a_gap_and_one_in_an_overlap_are_noted():
    daily = parse_schedule("30 2 * * *", BERLIN)
    assert daily.note(utc("2026-03-29T03:00+02:00")) == "gap"
    assert daily.note(utc("2026-10-25T02:30+02:00")) == "overlap"
    assert daily.note(utc("2026-06-01T02:30+02:00")) is None
    quarterly = parse_schedule("*/15 * * * *", BERLIN)
    assert quarterly.note(utc("2026-03-29T03:00+02:00")) is None
    assert quarterly.note(utc("2026-10-25T02:15+01:00")) == "overlap"
    assert parse_schedule("0 3 * * *", BERLIN).note(utc("2026-03-29T03:00+02:00")) is None
    assert parse_schedule("2026-03-29T02:30:00", BERLIN).note(utc("2026-03-29T03:00+02:00")) == "gap"
    assert parse_schedule("@every 1h", BERLIN).note(utc("2026-10-25T02:30+02:00")) is None


# --- robustness


def test_a_library_that_gives_an_earlier_time_than_asked_for_is_not_believed(monkeypatch):
    schedule = parse_schedule("17 3 * * *", BERLIN)
    assert isinstance(schedule, Cron)
    monkeypatch.setattr("croniter.croniter.get_next", lambda *_, start_time, **__: start_time - MINUTE)
    with pytest.raises(ScheduleFault, match="the cron library gave"):
        schedule.next_after(NOW, NOW)


def test_time_zones_are_those_of_the_pinned_package_whatever_the_host_has(monkeypatch, tmp_path):
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Tallinn").write_bytes(files("tzdata").joinpath("zoneinfo/Asia/Tokyo").read_bytes())
    zoneinfo.reset_tzpath([str(tmp_path)])
    try:
        assert local_runs("30 2 * * *", "Europe/Tallinn", "2026-06-01T00:00Z", 1) == ["2026-06-02T02:30+03:00"]
    finally:
        zoneinfo.reset_tzpath()


def turned(values: list, n: int) -> list:
    return values[n * 12 :] + values[: n * 12]


def test_a_schedule_is_read_once_and_shared_between_threads():
    schedule = parse_schedule("*/7 1-5 * * mon#1,tue#2", NEW_YORK)
    assert parse_schedule("*/7 1-5 * * mon#1,tue#2", NEW_YORK) is schedule
    assert isinstance(schedule, Cron)
    moments = [NOW + n * timedelta(hours=5) for n in range(100)]
    alone = [schedule.next_after(moment, NOW) for moment in moments]
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            # Each thread begins elsewhere, or all would ask the same question at the same time.
            together = list(pool.map(lambda n: [schedule.next_after(m, NOW) for m in turned(moments, n)], range(8)))
    finally:
        sys.setswitchinterval(usual)
    assert together == [turned(alone, n) for n in range(8)]


FIELD = st.text(alphabet="0123456789*/,-#LWHR?lw", min_size=1, max_size=8) | st.sampled_from(
    ["*", "*", "0", "L", "1-5", "MON", "jan", "1#1", "L5", "15W", "*/5", "59/15", "50-10", "FRI-MON", "L-3", "1-L", "?"]
)
TEXTS = st.one_of(
    st.lists(FIELD, min_size=4, max_size=8).map(" ".join),
    st.lists(FIELD, min_size=5, max_size=6).map(" ".join),
    st.text(max_size=140),
    st.text(alphabet="@PTevryonc0123456789:-+.ZhmsDW ", max_size=40),
    st.sampled_from(["@every ", "P", "PT", "2026-", "@"]).flatmap(
        lambda start: st.text(max_size=20).map(start.__add__)
    ),
)


@given(text=TEXTS, zone=st.sampled_from(["UTC", BERLIN, "Pacific/Apia"]) | st.text(max_size=8))
@settings(quick, max_examples=examples(150))
@example("0 0 31 1-12 1#1", "UTC")
@example("0 0 30 2 6", "UTC")
def test_any_text_is_a_schedule_or_is_refused_and_quickly(text, zone):
    before = time.process_time()
    try:
        schedule: Schedule = parse_schedule(text, zone)
    except InvalidSchedule as error:
        assert error.problems[0].pointer in {"/schedule", "/timezone"}  # noqa: PT017
        assert len(error.problems[0].detail) < 500  # noqa: PT017
        return
    finally:
        assert time.process_time() - before < 1
    assert describe(schedule)
    assert schedule.expression == text
    if not isinstance(schedule, Recurring):
        return
    at = NOW
    for _ in range(5):
        following = schedule.next_after(at, NOW)
        if following is None:
            return
        assert following > at
        schedule.note(at)
        at = following
    assert time.process_time() - before < 1
