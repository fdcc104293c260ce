"""JSON values that are hard to keep, as text: numbers at every edge, strings of every kind, shapes of every depth."""

from __future__ import annotations

import json
from random import Random

NUMBERS = [
    "0",
    "-0",
    "-0.0",
    "0.0",
    "0e5",
    "-0e-5",
    "1",
    "-1",
    "7.50",
    "1.00",
    "0.1",
    "0.30000000000000004",
    "1e22",
    "1E+22",
    "1e-7",
    "1234567890123456.78",
    "9007199254740993",
    "9007199254740993.0",
    "123456789012345678901234567890",
    "1e308",
    "-1e308",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "1e309",
    "-1e400",
    "1e999999999999999999999",
    "5e-324",
    "4e-324",
    "2e-324",
    "1e-400",
    "1e-999999999999999999999",
    "0.1e-320",
    "1e16383",
    "1e131072",
    "0.00000000000000000000000000012345",
]
TEXTS = [
    '""',
    '"a"',
    '"\\u0000"',
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '"\\ud83d\\ude00"',
    '"caf\u00e9"',
    '"\u202e"',
    '"\\u001f"',
    '"\x7f"',
    '"\\\\u0000"',
    '"\\"\\u0000"',
    '"1e308"',
    '"NaN"',
    '"\ufeff"',
    '"\ufdd0\U0010ffff"',
    '"a\\nb\\rc"',
    '"\\u0000 1.5\\u0000"',
    '"%00"',
    '"\'; drop table jobs.jobs; --"',
    '"${jndi:x}"',
    '"<script>"',
]
WORDS = [
    "null",
    "true",
    "false",
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    "[]",
    "{}",
    "01",
    "1.",
    ".5",
    "+1",
    "0x1",
    "1_0",
]


def number(random: Random) -> str:
    """Write a number, mostly one that JSON knows."""
    match random.randrange(4):
        case 0:
            return random.choice(NUMBERS)
        case 1:
            return str(random.getrandbits(random.choice((8, 53, 64, 200))) * random.choice((1, -1)))
        case 2:
            digits = "".join(random.choices("0123456789", k=random.choice((1, 5, 16, 17, 40, 400))))
            return f"{random.choice(('', '-'))}{random.choice(('0', '1', '12345678901234567'))}.{digits}"
    exponent = random.choice(("e", "E", "e+", "e-")) + str(random.choice((1, 5, 22, 100, 300, 308, 323, 330)))
    return f"{random.randrange(1, 10)}.{random.getrandbits(60)}{exponent}"


def text(random: Random) -> str:
    """Write a string, in quotes."""
    if random.random() < 0.5:
        return random.choice(TEXTS)
    letters = "".join(
        chr(random.choice((random.randrange(1, 128), random.randrange(1, 0xD800)))) for _ in range(random.randrange(9))
    )
    return json.dumps(letters, ensure_ascii=random.random() < 0.5)


def value(random: Random, depth: int = 0) -> str:
    """Write any value; rarely one that JSON does not know, or one that is deep or large."""
    if depth >= 4 or random.random() < 0.5:
        return random.choice((number, number, number, text, text, lambda _: random.choice(WORDS)))(random)
    if random.random() < 0.5:
        return f"{{{members(random, depth)}}}"
    return random.choice((_deep, _long, _list, _list, _list))(random, depth)


def _deep(random: Random, depth: int) -> str:
    levels = random.choice((3, 40, 60, 64, 70, 3000)) - depth
    return "[" * levels + "]" * levels


def _long(random: Random, depth: int) -> str:
    return "[" + ",".join([number(random)] * random.choice((100, 3_000, 30_000) if depth == 0 else (10,))) + "]"


def _list(random: Random, depth: int) -> str:
    return "[" + ", ".join(value(random, depth + 1) for _ in range(random.randrange(5))) + "]"


def members(random: Random, depth: int = 0) -> str:
    """Write the members of an object, rarely one of them twice."""
    names = [text(random) for _ in range(random.randrange(4))]
    return ",".join(f"{name}:{value(random, depth + 1)}" for name in names)


def plain_object(random: Random) -> str:
    """Write an object that is mostly accepted."""
    names = random.sample(["a", "B", "caf\u00e9", "a/b", "~", "\U0001f600", "n"], random.randrange(5))
    return "{" + ",".join(f"{json.dumps(name)}:{kept(random)}" for name in names) + "}"


def kept(random: Random) -> str:
    """Write a value that is mostly accepted."""
    match random.randrange(6):
        case 0:
            return random.choice(["null", "true", "false", "[]", "{}"])
        case 1:
            return json.dumps("".join(random.choices("ab \u00e9\U0001f600\\\"'\t", k=random.randrange(6))))
        case 2:
            return f'[{number(random)}, {{"x": {number(random)}}}]'
    return number(random)
