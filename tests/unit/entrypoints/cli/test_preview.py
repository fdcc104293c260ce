from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from jobs.entrypoints.cli.main import main
from jobs.entrypoints.cli.parts import Parts

AFTER_THE_GAP = "gap: clocks skip the time asked for, so it runs right after"


def never(*_: object) -> None:
    raise AssertionError("a preview needs neither the app nor a database")


def preview(*arguments: str) -> int:
    return main(["preview", *arguments], Parts(never, never, never, never, never))


def test_a_preview_tells_the_meaning_and_the_runs_in_local_time_and_utc(capsys):
    assert preview("30 2 * * *", "--timezone", "Europe/Berlin", "--after", "2026-03-27T12:00:00Z", "--count", "3") == 0
    first, *runs = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"At 02:30 every day, in Europe/Berlin \(recurring, time zones of 20\d\d[a-z]\)", first)
    assert runs == [
        "  Sat 2026-03-28T02:30:00+01:00  2026-03-28T01:30:00Z",
        f"  Sun 2026-03-29T03:00:00+02:00  2026-03-29T01:00:00Z  {AFTER_THE_GAP}",
        "  Mon 2026-03-30T02:30:00+02:00  2026-03-30T00:30:00Z",
    ]


def test_what_clocks_do_may_be_chosen_as_for_a_job(capsys):
    berlin = ("30 2 * * *", "--timezone", "Europe/Berlin")
    preview(*berlin, "--after", "2026-10-24T12:00:00Z", "--overlap", "twice", "--count", "2")
    assert [line[6:31] for line in capsys.readouterr().out.splitlines() if "overlap: " in line] == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:30:00+01:00",
    ]
    preview(*berlin, "--after", "2026-03-28T12:00:00Z", "--gap", "skip", "--count", "1")
    assert "2026-03-30T00:30:00Z" in capsys.readouterr().out


def test_it_begins_now_with_five_runs(capsys):
    preview("* * * * *")
    runs = capsys.readouterr().out.splitlines()[1:]
    assert len(runs) == 5
    assert abs(datetime.fromisoformat(runs[0].split()[-1]) - datetime.now(UTC)) < timedelta(minutes=2)


def test_it_answers_as_http_does_when_asked_for_json(capsys):
    preview("PT90M", "--after", "2026-07-01T00:00:00Z", "--json")
    assert json.loads(capsys.readouterr().out) == {
        "kind": "one-time",
        "description": "Once, 1 hour 30 minutes from now",
        "warnings": [],
        "runs": [{"at": "2026-07-01T01:30:00Z", "local": "2026-07-01T01:30:00+00:00", "note": None}],
    }


def test_it_takes_the_bounds_of_a_job_and_warns_of_what_means_something_else_elsewhere(capsys):
    bounds = (
        "--start-at",
        "2026-06-01T09:00:00Z",
        "--end-at",
        "2026-06-01T11:30:00Z",
        "--after",
        "2026-06-01T08:17:23Z",
    )
    preview("@every 1h", *bounds)
    first, *runs = capsys.readouterr().out.splitlines()
    assert "counted from 2026-06-01T09:00:00Z" in first
    assert [run.split()[-1][11:16] for run in runs] == ["09:00", "10:00", "11:00"]
    preview("@every 1h", *bounds, "--max-runs", "1")
    assert len(capsys.readouterr().out.splitlines()) == 2
    either = ("0 0 4 1-7 * 0", "--after", "2026-06-01T00:00:00Z", "--count", "1")
    preview(*either)
    assert capsys.readouterr().out.splitlines()[-1].startswith("warning: day of month '1-7' and weekday '0'")
    preview(*either, "--day-match", "all")
    assert capsys.readouterr().out.splitlines()[-1] == "  Sun 2026-06-07T04:00:00+00:00  2026-06-07T04:00:00Z"


def test_a_schedule_with_no_run_left_says_so(capsys):
    assert preview("0 0 1 1 *", "--after", "9999-06-01T00:00:00Z") == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["  no run after that"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["0 0 30 2 *"], "/schedule: never matches"),
        (["61 * * * *"], "/schedule: the minute field '61' cannot be read; accepted are 0-59"),
        (["@daily", "--timezone", "Mars/Base"], "/timezone: no such IANA time zone"),
        (["@daily", "--after", "tomorrow"], "/after: not an instant"),
        (["@daily", "--after", "2026-03-28T12:00:00"], "/after: not an instant; write date, time and offset"),
        (["@daily", "--count", "101"], "/count: "),
        (["@daily", "--gap", "leap"], "/dst/gap: "),
    ],
)
def test_what_cannot_be_previewed_is_told_in_one_sentence(capsys, arguments, told):
    assert preview(*arguments) == 1
    output = capsys.readouterr()
    assert (output.out, output.err.startswith(f"error: {told}"), output.err.count("\n")) == ("", True, 1)


def test_a_schedule_without_quotes_is_refused_with_how_to_write_it(capsys):
    with pytest.raises(SystemExit) as ended:
        preview("0", "9", "*", "*", "1", "--count", "2")
    assert ended.value.code == 2
    assert "put the schedule in quotes, as in: preview '0 9 * * 1'" in capsys.readouterr().err
