"""Expressions to hold schedules to: chosen ones, and as many more as are wanted, drawn from a seed."""

from __future__ import annotations

from random import Random

CHOSEN = [
    # every form of the hour that clocks skip and show twice
    *(f"{minute} {hour} * * *" for minute in (0, 1, 29, 30, 59) for hour in (0, 1, 2, 3)),
    *("30 4 * * *", "15 23 * * *", "0 12 * * *", "0,30 2 * * *", "0,30 1-3 * * *", "*/15 2 * * *", "*/20 0-3 * * *"),
    *("45 0,1,2,3 * * *", "*/7 1,2 * * *", "10-20 2 * * *", "50-10 2 * * *", "0 22-3 * * *", "0 23,0,1 * * *"),
    *("* 2 * * *", "* 1-2 * * *", "*/5 1 * * *", "59 1-2 * * *", "0 1-23 * * *", "30 0-22 * * *"),
    # hours that follow elapsed time
    *("* * * * *", "*/15 * * * *", "*/7 * * * *", "30 * * * *", "0,30 * * * *", "5/20 * * * *", "59/15 * * * *"),
    *("0 */2 * * *", "30 */2 * * *", "0 1/2 * * *", "15 */3 * * *", "0 */6 * * *", "0 */5 * * *", "30 2/24 * * *"),
    *("0 0-23 * * *", "20 0-23/2 * * *", "0 2-3/1 * * *", "*/90 * * * *", "0 *,2 * * *"),
    # seconds first
    *("0 30 2 * * *", "15 30 2 * * *", "0,30 0 2 * * *", "*/20 30 1-3 * * *", "59 59 1 * * *", "0 0 3 * * *"),
    *("30 * * * * *", "*/30 */10 * * * *", "45 59 */2 * * *", "7/20 0/30 2 * * *", "0 0 0 * * 0", "59 59 23 * * *"),
    *("*/20 * * * * *", "* * * * * *", "* * 2 * * *"),
    # days of the month
    *(
        "0 0 1 * *",
        "30 2 1 * *",
        "30 2 15 * *",
        "30 2 29 * *",
        "30 2 31 * *",
        "0 0 L * *",
        "30 2 L * *",
        "30 2 1,L * *",
    ),
    *(
        "30 2 1-7 * *",
        "30 2 25-5 * *",
        "30 2 */2 * *",
        "30 2 1/3 * *",
        "30 2 15-L/2 * *",
        "30 2 ? * *",
        "30 2 *,15 * *",
    ),
    *("30 2 15W * *", "30 2 1W * *", "30 2 31W * *", "30 2 W28 * *", "0 */2 8W * *"),
    # weekdays
    *("0 0 * * 0", "30 2 * * 0", "30 2 * * 7", "30 2 * * SUN", "30 2 * * 6", "30 2 * * SAT,SUN", "30 1 * * 1-5"),
    *(
        "30 2 * * FRI-MON",
        "30 2 * * 5-7",
        "30 2 * * 0-7",
        "30 2 * * */2",
        "30 2 * * 1/2",
        "30 2 * * 1-7/2",
        "0 0 * * 5",
    ),
    *("30 2 * * 0#1", "30 2 * * 0#2", "30 2 * * SUN#5", "30 2 * * L0", "30 2 * * L7", "30 1 * * 6#1,0#1", "0 0 * * L5"),
    *("30 2 * * SAT-SUN#1", "0 */2 * * 0#1", "30 2 * * L6,L0,0#1", "30 2 * * MON-SUN#4"),
    # months, and days of the month or weekdays
    *("30 2 * 3 *", "30 2 * 3,10 *", "30 2 * MAR,OCT,NOV 0", "0 0 * 4-9 *", "30 2 * NOV-MAR *", "30 2 * */2 *"),
    *("30 2 29 2 *", "30 2 29 3 *", "30 2 25-31 3,10 0", "30 2 1 * 0", "30 2 13 * 5", "0 */3 1-7 * 0", "30 2 L * 6,0"),
    *("30 2 31 * SUN", "30 1 8-14 3 0", "0 2 1-7 11 7", "30 2 ? 10 L0", "15 2 1 4,10 ?", "0 0 */10 * 1"),
    *("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"),
]


def drawn(random: Random) -> str:
    """Draw an expression of five or six fields, mostly at times of day when clocks change."""
    minute = random.choice(["0", "30", "59", "*/10", "*/25", "0,30", "15-45/15", "50-5", _list(random, 60)])
    hour = random.choice(["0", "1", "2", "2", "3", "1,2", "0-4", "23-2", "*", "*/2", "*/4", "1/3", _list(random, 24)])
    day = random.choice(["*", "*", "*", "L", "1-7", "*/3", f"{random.randint(1, 31)}W", _list(random, 31, first=1)])
    month = random.choice(["*", "*", "*", "MAR,OCT", "3-11", "*/3", _list(random, 12, first=1)])
    weekday = random.choice(["*", "*", "0", "SAT-MON", "1-5", "6#2", "L0", "SUN#1,L6", _list(random, 7)])
    if weekday[0] in "6LS" and day != "*" and weekday != "SAT-MON":
        weekday = "0"
    if "W" in day:
        weekday = "*"
    if random.random() < 0.25:
        return f"{random.choice(['0', '0', '30', '59', '0,30', '10-12'])} {minute} {hour} {day} {month} {weekday}"
    return f"{minute} {hour} {day} {month} {weekday}"


def _list(random: Random, size: int, first: int = 0) -> str:
    return ",".join(str(first + random.randrange(size)) for _ in range(random.randint(1, 3)))


def expressions(count: int, random: Random) -> list[str]:
    """Give all the chosen ones, and drawn ones to make up ``count`` different expressions."""
    found = dict.fromkeys(CHOSEN)
    while len(found) < count:
        found.setdefault(drawn(random))
    return list(found)
