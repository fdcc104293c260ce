from __future__ import annotations

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.lifecycle import ids as identifiers
from jobs.core.lifecycle.ids import AlarmName, new_id

JOB = UUID("019a2b3c-4d5e-7f60-8a7b-9c0d1e2f3a4b")
FUZZ = settings(database=None, print_blob=True)

alarm_names = st.builds(AlarmName, st.uuids(), st.integers(min_value=1, max_value=10**18 - 1))


def test_an_id_is_a_uuid_of_version_7_that_tells_when_it_was_made():
    before = time.time_ns() // 1_000_000
    made = new_id()
    after = time.time_ns() // 1_000_000
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= after


@pytest.fixture
def at(monkeypatch):
    """Have ids made at these instants, in nanoseconds since 1970, the last of them ever after."""

    def at(*moments: int) -> None:
        given = iter(moments)
        monkeypatch.setattr(identifiers.time, "time_ns", lambda: next(given, moments[-1]))

    return at


@pytest.fixture
def drawn(monkeypatch):
    """Have ids made of these random bits."""

    def drawn(bits: int) -> None:
        monkeypatch.setattr(
            identifiers, "_random", SimpleNamespace(getrandbits=lambda count: bits & ((1 << count) - 1))
        )

    return drawn


JUNE = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.mark.parametrize("apart", [250, 1_000, 1_000_000, 1_000_000_000])
def test_ids_made_later_sort_later_to_a_quarter_of_a_microsecond(at, apart):
    at(*range(JUNE, JUNE + 200 * apart, apart))
    made = [new_id() for _ in range(200)]
    assert made == sorted(made)


def test_ids_of_one_instant_differ_in_random_bits_alone(at):
    at(JUNE)
    made = {new_id() for _ in range(2_000)}
    assert len(made) == 2_000
    assert len({one.int >> 64 for one in made}) == 1


@pytest.mark.parametrize("bits", [0, (1 << 74) - 1, 0x1234_5678_9ABC_DEF0])
@pytest.mark.parametrize("nanoseconds", [0, 999_999, 123_456])
def test_whatever_the_random_bits_and_the_time_are_version_and_variant_stand(at, drawn, bits, nanoseconds):
    at(JUNE + nanoseconds)
    drawn(bits)
    made = new_id()
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == JUNE // 1_000_000


def test_the_random_bits_are_all_used(at, drawn):
    """62 bits: were one of them lost, two draws that differ in it alone would give the same id."""
    at(JUNE)
    made = set()
    for bit in range(62):
        drawn(1 << bit)
        made.add(new_id())
    assert len(made) == 62


def test_an_alarm_is_called_by_the_job_and_its_generation():
    assert str(AlarmName(JOB, 7)) == "019a2b3c4d5e7f608a7b9c0d1e2f3a4b-7"


@given(alarm_names)
@FUZZ
def test_an_alarm_name_is_read_back_as_it_was_written(name):
    assert AlarmName.parse(str(name)) == name


@given(alarm_names)
@FUZZ
def test_an_alarm_name_is_safe_in_a_url_and_at_a_scheduler(name):
    assert set(str(name)) <= set("0123456789abcdef-")
    assert len(str(name)) <= 51


@pytest.mark.parametrize(
    "text",
    [
        *("", "-", "1", "-1", "a-1", f"{JOB.hex}", f"{JOB.hex}-", f"{JOB.hex}-x", f"{JOB.hex}--1", f"{JOB.hex}-1-1"),
        *(f"{JOB}-1", f"{JOB.hex.upper()}-1", f"{JOB.hex}-01", f"{JOB.hex}-+1", f"{JOB.hex}- 1", f" {JOB.hex}-1"),
        *(f"{JOB.hex}-1\n", f"{JOB.hex}-٣", f"{JOB.hex}-²", f"{JOB.hex}-{'9' * 19}", f"{JOB.hex[:-1]}g-1"),
        *(f"{{{JOB.hex[:30]}}}-1", f"{JOB.hex}-1%00", f"{JOB.hex}-1/../x", f"{JOB.hex}-" + "9" * 100_000),
    ],
)
def test_what_this_app_would_not_have_called_an_alarm_is_no_alarm_name(text):
    assert AlarmName.parse(text) is None


@given(st.text(max_size=60) | st.from_regex(r"[0-9a-fA-F]{32}-[0-9]{1,20}", fullmatch=True))
@FUZZ
def test_any_text_is_an_alarm_name_written_exactly_so_or_none(text):
    name = AlarmName.parse(text)
    assert name is None or str(name) == text


def test_no_alarm_name_is_the_beginning_of_another_of_the_same_length_of_id():
    """Prefix matches hit neighbours: ``…-1`` and ``…-10`` must be told apart by whoever compares whole names."""
    assert AlarmName.parse(f"{JOB.hex}-1") != AlarmName.parse(f"{JOB.hex}-10")
