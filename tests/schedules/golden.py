"""The golden file: what schedules mean today, line by line, so that an update which changes a meaning is seen.

A line has a schedule, a zone, what clocks do, an instant, and the runs after it with their notes; or why the schedule
is refused. Writing it anew is refused where implementation and oracle disagree.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from jobs.core.errors import InvalidSchedule
from jobs.core.schedules.expression import parse_schedule
from jobs.core.schedules.local_time import Dst
from jobs.core.schedules.recurrence import Recurrence
from tests.schedules.comparison import DEFAULT, OTHERS, meaning_of
from tests.schedules.expressions import CHOSEN
from tests.schedules.oracle import Rule, first_runs
from tests.schedules.turns import turns_of, zone_named

FILE = Path(__file__).with_name("golden.jsonl")
RUNS = 4
ZONES = [
    *("UTC", "Europe/Berlin", "America/New_York", "Europe/Dublin", "Asia/Kathmandu", "Pacific/Kiritimati"),
    *(
        "Australia/Lord_Howe",
        "Antarctica/Troll",
        "Asia/Beirut",
        "America/Havana",
        "America/St_Johns",
        "Pacific/Chatham",
    ),
    *("Pacific/Apia", "America/Sao_Paulo", "Africa/Casablanca", "Asia/Tehran", "America/Santiago", "Africa/Cairo"),
]
"""Changes of one hour, half an hour, two hours and a day; at midnight, at one minute past, and none."""

INTERVALS = {"@every 7s": 7, "@every 1h30m": 5400, "@every PT90M": 5400, "@every 1.5s": 1.5, "@every P1D": 86_400}
DELAYS = {"@once": 0, "PT30S": 30, "P1D": 86_400, "PT0.25S": 0.25, "P1W": 604_800}
INSTANTS = {
    "2027-12-01T09:00:00+03:00": "2027-12-01T06:00:00Z",
    "2027-12-01T09:00:00": "2027-12-01T08:00:00Z",
    "2027-03-28T02:30:00": "2027-03-28T01:00:00Z",
    "2027-10-31T02:30:00": "2027-10-31T00:30:00Z",
}
"""In Berlin."""

REFUSED = [
    *(
        "",
        "@reboot",
        "@every 999ms",
        "@every",
        "P1Y",
        "* * * *",
        "* * * * * * *",
        "60 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
    ),
    *(
        "0 0 32 * *",
        "0 0 * 13 *",
        "0 0 * * 8",
        "R * * * *",
        "0 H * * *",
        "R(0-9) * * * *",
        "*/0 * * * *",
        "1-1 * * * *",
    ),
    *(
        "0 0 * * mon-1",
        "0 22-4/3 * * *",
        "0 0 30 2 *",
        "0 0 31 4,6 *",
        "0 0 * * 5L",
        "0 0 LW * *",
        "0 0 * * L",
        "? * * * *",
    ),
    *("0 0 1 * 1#1", "0 0 15W * 1", "0 0 * * 1,5#2", "0 0 * * 0-6,5#2", "0 0 L-3 * *", "٣ * * * *", "0 0 5-0 * *"),
]

BOTH_DAYS = [
    *("0 0 4 1-7 * 0", "0 14 */10 * 1-5", "30 2 13 * 5", "0 0 29 2 1", "0 0 L * 6,0"),
    *("0 0 8-14 * 0#2", "30 2 25-31 3,10 SUN", "0 */3 1-7 * MON", "0 0 29-31 * L5", "0 0 15W * 1"),
]
START = datetime(2026, 6, 1, 9, tzinfo=UTC)
FROM_START = {"@every 1h": 3_600, "@every 7s": 7, "@every P1D": 86_400, "@every 1.5s": 1.5}
OTHERS_FORMS = [
    *("cron(0 10 * * ? *)", "0 12 * * ? *", "rate(5 hours)", "0 0 0 * * ? 2030", "CRON_TZ=Europe/Madrid 0 9 * * *"),
    *("0 9 * * * Europe/Madrid", "00:05:00", "0 9 * * 1-5 # daily", "0~59 * * * *", "'0 9 * * *'", "Cron.Daily"),
]


def cases(seed: int = 2026) -> Iterator[dict[str, Any]]:
    """Draw what to ask: each chosen expression in four zones, before a change of clocks if the zone has any."""
    random = Random(seed)
    for expression in CHOSEN:
        for name in random.sample(ZONES, 4):
            rule = DEFAULT if random.random() < 0.5 else random.choice(OTHERS)
            yield _case(expression, name, rule, _instant(random, name))
    for expression in (*INTERVALS, *DELAYS):
        yield _case(expression, random.choice(ZONES), DEFAULT, _instant(random, "UTC"))
    for expression in INSTANTS:
        yield _case(expression, "Europe/Berlin", DEFAULT, datetime(2027, 1, 1, tzinfo=UTC))
    for expression, after in (
        ("0 0 29 2 *", "2095-06-01"),
        ("0 0 29 2 *", "2099-06-01"),
        ("0 0 * 2 0#5", "2060-01-01"),
    ):
        yield _case(expression, "UTC", DEFAULT, datetime.fromisoformat(after).replace(tzinfo=UTC))
    for expression in REFUSED:
        yield {"schedule": expression, "zone": "UTC"}
    yield {"schedule": "0 0 * * *", "zone": "Mars/Base"}
    yield {"schedule": "30 2 * 3 L0", "zone": "Europe/Berlin", "gap": "skip"}
    yield from _later_cases(random)


def _later_cases(random: Random) -> Iterator[dict[str, Any]]:
    """Draw what was added since: after all else, so that every line before stays as it was."""
    for expression in BOTH_DAYS:
        for name in random.sample(ZONES, 2):
            yield _case(expression, name, DEFAULT, _instant(random, name)) | {"day_match": "all"}
    for expression in FROM_START:
        after = datetime(2026, 6, 1, 8, 17, 23, tzinfo=UTC)
        yield _case(expression, "UTC", DEFAULT, after) | {"start_at": _text(START)}
        yield _case(expression, "UTC", DEFAULT, after - timedelta(days=3)) | {"start_at": _text(START)}
    yield {"schedule": "0 0 31 4 1", "zone": "UTC", "day_match": "all"}
    for expression in OTHERS_FORMS:
        yield {"schedule": expression, "zone": "UTC"}
    for zone in ("W. Europe Standard Time", "europe/berlin", "UTC+2"):
        yield {"schedule": "61 * * * *", "zone": zone}


def _case(expression: str, zone: str, rule: Rule, after: datetime) -> dict[str, Any]:
    return {"schedule": expression, "zone": zone, "gap": rule.gap, "overlap": rule.overlap, "after": _text(after)}


def _instant(random: Random, name: str) -> datetime:
    """Choose an instant at most two days before a change of clocks, or any at all."""
    found = list(turns_of(zone_named(name), 2005, 2030))
    if found and random.random() < 0.8:
        return random.choice(found).at - timedelta(minutes=random.randrange(2 * 24 * 60))
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(5 * 365 * 86_400))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def answer(case: dict[str, Any]) -> dict[str, Any]:
    """Give what the implementation says to a line's question: runs, or where and why it is refused."""
    try:
        dst = Dst(case.get("gap", "shift"), case.get("overlap", "once"))
        schedule = parse_schedule(case["schedule"], case["zone"], dst, case.get("day_match", "any"))
    except InvalidSchedule as error:
        return {"refused": str(error)}
    after = datetime.fromisoformat(case.get("after", "2026-01-01T00:00:00Z"))
    start_at = datetime.fromisoformat(case["start_at"]) if "start_at" in case else None
    fires = Recurrence(schedule, after, start_at=start_at).preview(after, RUNS)
    return {"runs": [_text(fire.at) + (f" {fire.note}" if fire.note else "") for fire in fires]}


def expected(case: dict[str, Any]) -> list[str] | None:
    """Give the runs that the rules want, without notes; None for what is to be refused."""
    expression, after = case["schedule"], datetime.fromisoformat(case.get("after", "2026-01-01T00:00:00Z"))
    if "after" not in case:
        return None
    if "start_at" in case:
        steps = (START + n * timedelta(seconds=FROM_START[expression]) for n in range(1_000_000))
        return [_text(at) for at in itertools.islice((at for at in steps if at > after), RUNS)]
    if expression in INTERVALS:
        return [_text(after + n * timedelta(seconds=INTERVALS[expression])) for n in range(1, RUNS + 1)]
    if expression in DELAYS:
        return [_text(after + timedelta(seconds=DELAYS[expression]))]
    if expression in INSTANTS:
        return [INSTANTS[expression]]
    zone, rule = zone_named(case["zone"]).info, Rule(case["gap"], case["overlap"])
    meaning = meaning_of(expression, case.get("day_match", "any"))
    return [_text(at) for at in first_runs(meaning, zone, rule, after, RUNS)]


def lines() -> list[dict[str, Any]]:
    """Read the golden file."""
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def question(line: dict[str, Any]) -> dict[str, Any]:
    """Take a line without its answer."""
    return {name: value for name, value in line.items() if name not in {"runs", "refused"}}


def disagreement(case: dict[str, Any]) -> str | None:
    """Say where the implementation and the rules disagree, if they do."""
    given, wanted = answer(case), expected(case)
    got = None if "refused" in given else [run.partition(" ")[0] for run in given["runs"]]
    return None if got == wanted else f"{case}: the rules want {wanted}, the implementation gives {given}"


def write(seed: int) -> int:
    """Write the file anew; gives how many lines it has. Raises where implementation and rules disagree."""
    questions = list({json.dumps(case): case for case in cases(seed)}.values())
    faults = [fault for case in questions if (fault := disagreement(case))]
    if faults:
        raise SystemExit("not written:\n" + "\n".join(faults))
    text = "".join(json.dumps(case | answer(case), ensure_ascii=False) + "\n" for case in questions)
    FILE.write_text(text, encoding="utf-8")
    return len(questions)
