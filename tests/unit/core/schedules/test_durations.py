from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.schedules.durations import describe_duration, format_duration, parse_duration

durations = st.timedeltas(min_value=timedelta(), max_value=timedelta(days=400))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT30S", timedelta(seconds=30)),
        ("PT90M", timedelta(minutes=90)),
        ("PT1H30M", timedelta(hours=1, minutes=30)),
        ("P1D", timedelta(days=1)),
        ("P2W", timedelta(days=14)),
        ("P1DT12H", timedelta(days=1, hours=12)),
        ("PT0S", timedelta()),
        ("PT0.1S", timedelta(milliseconds=100)),
        ("PT0,5H", timedelta(minutes=30)),
        ("P0.5D", timedelta(hours=12)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("1.5h", timedelta(minutes=90)),
        (".5s", timedelta(milliseconds=500)),
        ("250ms", timedelta(milliseconds=250)),
        ("10us", timedelta(microseconds=10)),
        ("1999ns", timedelta(microseconds=1)),
        ("0", timedelta()),
    ],
)
def test_iso_and_go_durations_are_read_exactly(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "P", "PT", "P1DT", "1", "h", "-1h", "-PT1S", "+PT1S", "1d", "1h 30m", "pt1s", "PT1S ", " PT1S", "P1S"),
        *("PT1D", "PT1M1H", "PT1S1S", "PT1.5H1M", "PT.5S", "PT1.S", "P1.2.3D", "1h1", "1.2.3s", "PT1٣S", "٣s", "PTS"),
    ],
)
def test_what_is_no_duration_is_refused_with_examples(text):
    with pytest.raises(ValueError, match="not a duration; write ISO 8601"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["P1Y", "P1M", "P1Y2M3D", "P1M1DT1S"])
def test_years_and_months_are_refused_because_they_have_no_fixed_length(text):
    with pytest.raises(ValueError, match="no fixed length"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["P99999999999D", "9" * 100 + "h", "PT" + "9" * 100 + "S"])
def test_a_duration_beyond_what_can_be_kept_is_refused(text):
    with pytest.raises(ValueError, match="too long"):
        parse_duration(text)


def test_a_very_long_text_is_refused_before_it_is_read():
    with pytest.raises(ValueError, match="at most 128 characters"):
        parse_duration("PT" + "9" * 1_000_000 + "S")


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(), "PT0S"),
        (timedelta(seconds=90), "PT1M30S"),
        (timedelta(days=366), "P366D"),
        (timedelta(days=1, hours=2), "P1DT2H"),
        (timedelta(seconds=1, milliseconds=500), "PT1.5S"),
        (timedelta(microseconds=1), "PT0.000001S"),
        (timedelta(seconds=-90), "-PT1M30S"),
    ],
)
def test_durations_are_written_as_iso_8601(duration, expected):
    assert format_duration(duration) == expected


@given(durations)
@settings(database=None)
def test_what_is_written_is_read_back_the_same(duration):
    assert parse_duration(format_duration(duration)) == duration


@given(st.text(alphabet="PTWDHMSYhmsun.,0123456789 -", max_size=20))
@settings(database=None)
def test_any_text_is_read_or_refused_with_a_sentence(text):
    try:
        assert parse_duration(text) >= timedelta()
    except ValueError as error:
        assert "durat" in str(error) or "no fixed length" in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (timedelta(), "0 seconds"),
        (timedelta(hours=1, minutes=30), "1 hour 30 minutes"),
        (timedelta(days=2, seconds=1), "2 days 1 second"),
        (timedelta(seconds=1, milliseconds=500), "1.5 seconds"),
    ],
)
def test_durations_are_said_in_words(duration, expected):
    assert describe_duration(duration) == expected
