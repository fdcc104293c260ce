from __future__ import annotations

import json
import math
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.core.errors import InvalidInput
from jobs.core.numbers import as_decimal
from jobs.core.strict_json import (
    MAX_DEPTH,
    MAX_INTEGER_DIGITS,
    MalformedJson,
    parse_json,
    read_json,
    refuse_unstorable,
    refuse_unstorable_text,
    write_json,
)

FUZZ = settings(database=None, print_blob=True)
CANNOT_BE_STORED = "a NUL character or half a surrogate pair cannot be stored"

storable_text = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
any_text = st.text(st.characters(exclude_categories=[]), max_size=20)


def json_values(texts):
    scalars = (
        st.none()
        | st.booleans()
        | st.integers(min_value=-(10**40), max_value=10**40)
        | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)  # no negative zero
        | texts
    )
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=20
    )


def nested(levels: int, opening: str = "[", closing: str = "]", core: str = "") -> str:
    return opening * levels + core + closing * levels


def pointers(error: InvalidInput) -> list[str]:
    return sorted(problem.pointer for problem in error.problems)


# --- parsing


@given(json_values(storable_text))
@FUZZ
def test_what_is_written_is_read_back_the_same(value):
    assert parse_json(write_json(value)) == value
    assert parse_json(write_json(value).encode()) == value


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "[NaN]", '{"a": -Infinity}'])
def test_nan_and_infinity_are_no_json(text):
    with pytest.raises(MalformedJson, match="is not JSON"):
        parse_json(text)


@pytest.mark.parametrize("text", ["1e400", "-1e400", "[1e999999999]", '{"a": 1.5E+309}', "9" * 400 + ".0"])
def test_a_number_too_large_for_a_float_is_refused_because_it_would_read_as_infinity(text):
    with pytest.raises(MalformedJson, match="too large"):
        parse_json(text)


@pytest.mark.parametrize("text", ["1e308", "-1.7976931348623157e308", "5e-324", "0.1", "-0.5", "0e9", "1E5"])
def test_every_other_float_is_read(text):
    assert math.isfinite(parse_json(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1e-400", "too small"),
        ("-1e-400", "too small"),
        ("0." + "0" * 400 + "1", "too small"),
        ("-0.0", "negative zero"),
        ("-0", "negative zero"),
        ("-0e5", "negative zero"),
        ("0." + "1" * 4_000, "4000 are the most"),
    ],
)
def test_a_number_that_would_be_another_once_it_is_kept_is_refused(text, words):
    with pytest.raises(MalformedJson, match=words):
        parse_json(f"[{text}]")


@pytest.mark.parametrize(
    "text",
    [
        "1234567890123456.78",
        "0.1",
        "0.30000000000000004",
        "1e23",
        "9007199254740993.0",
        "1e-320",
        "1.00000000000000001",
        "123456789012345678901234567890e-10",
        "4.9406564584124654417656879286822e-324",
        "-17.50",
        "0.0",
    ],
)
def test_a_number_is_read_and_written_without_a_digit_lost(text):
    value = parse_json(text)
    assert as_decimal(value) == Decimal(text)
    assert isinstance(value, float) is (Decimal(repr(float(text))) == Decimal(text))
    assert Decimal(write_json(value)) == Decimal(write_json([value])[1:-1]) == Decimal(text)
    assert as_decimal(read_json(write_json(value))) == Decimal(text)


def test_decimals_from_python_are_written_exactly_or_refused():
    assert write_json({"a": [Decimal("1234567890123456.78"), Decimal("1E+2"), Decimal("-0.0")]}) == (
        '{"a":[1234567890123456.78,100,0.0]}'
    )
    for odd in ("NaN", "Infinity", "1E+400", "1E-400", "1E+999999"):
        with pytest.raises(InvalidInput, match="not a JSON value"):
            write_json({"a": Decimal(odd)}, "/payload")


@pytest.mark.parametrize("text", ["\0001.5\0", '"\0001.5\0"'])
def test_no_text_passes_for_a_number(text):
    with pytest.raises(InvalidInput, match=CANNOT_BE_STORED):
        write_json([Decimal("1.5"), text])
    harmless = text.replace("\0", "\\u0000")
    assert parse_json(write_json([Decimal("0.10000000000000000001"), harmless]))[1] == harmless


@pytest.mark.parametrize("number", [1e308, -5e-324, Decimal("1.2345678901234567890123e300")])
def test_numbers_that_the_database_would_write_out_at_a_hundred_times_their_size_are_refused(number):
    assert write_json([number] * 25)
    for count in (100, 2_000, 40_000):
        with pytest.raises(InvalidInput, match="without exponents") as caught:
            write_json({"a": [number] * count}, "/metadata")
        assert pointers(caught.value) == ["/metadata"]


def test_texts_that_look_like_such_numbers_and_plain_numbers_are_not_refused():
    write_json(["1e+308 " * 30_000])
    write_json([0.5, 1.25e-5, 3] * 10_000)
    write_json([6.02214076e23, 1.380649e-23] * 5_000)
    write_json([Decimal("1234567890123456.78")] * 20_000)


def test_a_key_that_stands_twice_in_one_object_is_refused_and_named():
    with pytest.raises(MalformedJson, match='the key "to" stands twice in one object'):
        parse_json('{"a": [{"to": 1, "x": {"to": 2}, "to": 3}]}')
    assert parse_json('[{"to": 1}, {"to": 2}]') == [{"to": 1}, {"to": 2}]


def test_keys_that_are_the_same_once_they_are_read_are_the_same():
    with pytest.raises(MalformedJson, match='the key "a" stands twice'):
        parse_json(r'{"a": 1, "\u0061": 2}')


@pytest.mark.parametrize("sign", ["", "-"])
def test_an_integer_has_4000_digits_at_most(sign):
    longest = sign + "9" * MAX_INTEGER_DIGITS
    assert parse_json(longest) == int(longest)
    with pytest.raises(MalformedJson, match=r"an integer of 4001 digits; 4000 are the most"):
        parse_json(f"[{longest}9]")


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_64_levels_are_the_deepest(opening, closing):
    parse_json(nested(MAX_DEPTH, opening, closing, "1"))
    for too_deep in (MAX_DEPTH + 1, MAX_DEPTH + 2, 500, 100_000):
        with pytest.raises(MalformedJson, match="nested deeper than 64 levels"):
            parse_json(nested(too_deep, opening, closing, "1"))


def test_an_empty_list_is_a_level_too():
    parse_json(nested(MAX_DEPTH))
    with pytest.raises(MalformedJson, match="nested deeper"):
        parse_json(nested(MAX_DEPTH + 1))


def test_many_brackets_side_by_side_or_within_strings_are_not_deep():
    assert len(parse_json("[" + ",".join(["[]"] * 1_000) + "]")) == 1_000
    assert parse_json(json.dumps(["[" * 1_000])) == ["[" * 1_000]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "line 1, column 1"),
        ("{", "line 1, column 2"),
        ('{"a": 1,}', r"line 1, column [89]"),
        ('[1,\n "a]', "line 2, column 2"),
        ("[1] 2", "line 1, column 5"),
        ("{'a': 1}", "line 1, column 2"),
        ('"a\nb"', "line 1, column 3"),
        ("\ufeff{}", "line 1, column 1"),
    ],
)
def test_what_is_no_json_is_refused_with_line_and_column(text, place):
    with pytest.raises(MalformedJson, match=place):
        parse_json(text)


@pytest.mark.parametrize("octets", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b"\xfe\xff\x00{\x00}"])
def test_bytes_that_are_no_utf_8_are_refused(octets):
    with pytest.raises(MalformedJson, match=r"the text is not UTF-8: byte \d cannot be read"):
        parse_json(octets)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'"\u0000"', [""]),
        (r'{"a": ["ok", "x\u0000y"]}', ["/a/1"]),
        (r'{"a": "\ud800", "b": "\udc00"}', ["/a", "/b"]),
        (r'{"a/b": {"c~d": "\u0000"}}', ["/a~1b/c~0d"]),
        (r'{"a": {"\u0000": 1}}', ["/a"]),
        ('"\ud800"', [""]),
    ],
)
def test_strings_that_cannot_be_stored_are_refused_each_with_its_pointer(text, expected):
    with pytest.raises(InvalidInput, match=CANNOT_BE_STORED) as caught:
        parse_json(text)
    assert pointers(caught.value) == expected


@pytest.mark.parametrize("text", [r'"\ud83d\ude00"', r'"\\u0000"', r'"\\ud800"', '"\U0001f600"', r'"\u0001\u001f"'])
def test_whole_surrogate_pairs_and_escaped_backslashes_are_fine(text):
    assert parse_json(text) == json.loads(text)


@given(st.text(max_size=60) | st.binary(max_size=60) | json_values(any_text).map(json.dumps))
@example('{"a":1e999}')
@example("[" * 70 + "]" * 70)
@FUZZ
def test_whatever_is_accepted_can_be_written_again_and_reads_the_same(text):
    try:
        value = parse_json(text)
    except (MalformedJson, InvalidInput) as error:
        assert str(error)  # noqa: PT017
        return
    assert parse_json(write_json(value)) == value
    refuse_unstorable(value)


# --- writing


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, {"a": [-math.inf]}, object(), {"a": {1, 2}}, b"x", {("a",): 1}, 10**5_000],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_json_value_is_refused_at_the_place_that_the_caller_names(value):
    with pytest.raises(InvalidInput, match="not a JSON value") as caught:
        write_json(value, "/payload")
    assert pointers(caught.value) == ["/payload/a" if value == {"a": {1, 2}} else "/payload"]


def test_a_value_that_holds_itself_is_refused():
    value: list[object] = []
    value.append(value)
    with pytest.raises(InvalidInput, match="not a JSON value"):
        write_json(value)


def test_a_value_that_is_nested_too_deep_is_refused():
    value: object = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    write_json(value, "/payload")
    with pytest.raises(InvalidInput, match="/payload: nested deeper than 64 levels"):
        write_json([value], "/payload")


def test_tuples_are_looked_into_as_lists_are():
    with pytest.raises(InvalidInput) as caught:
        write_json({"a": ("ok", ("x\x00",))}, "/payload")
    assert pointers(caught.value) == ["/payload/a/1/0"]
    value: object = 1
    for _ in range(MAX_DEPTH + 1):
        value = (value,)
    with pytest.raises(InvalidInput, match="nested deeper"):
        write_json(value)


def test_keys_that_are_no_strings_are_written_as_json_does_and_looked_into():
    assert write_json({7: "a", None: "b", True: "c"}) == '{"7":"a","null":"b","true":"c"}'
    with pytest.raises(InvalidInput) as caught:
        write_json({7: {"x": "\x00"}})
    assert pointers(caught.value) == ["/7/x"]


@given(json_values(any_text))
@FUZZ
def test_a_value_is_written_or_every_string_that_cannot_be_stored_is_named(value):
    try:
        text = write_json(value, "/payload")
    except InvalidInput as error:
        assert all(problem.pointer.startswith("/payload") for problem in error.problems)  # noqa: PT017
        return
    assert text.encode()
    assert json.loads(text) == value
    assert "\x00" not in text


def test_json_is_written_compactly_and_text_as_it_is():
    assert write_json({"a": [1, "ü\U0001f600"], "b": None}) == '{"a":[1,"ü\U0001f600"],"b":null}'


@pytest.mark.parametrize("text", ["a\x00", "\ud800", "x\udfffy"])
def test_a_name_that_cannot_be_stored_is_refused_at_its_field(text):
    with pytest.raises(InvalidInput, match=f"/job_name: {CANNOT_BE_STORED}"):
        refuse_unstorable_text(text, "/job_name")


def test_any_other_name_passes():
    refuse_unstorable_text("100 % `ü` \U0001f600 \x01 \n", "/job_name")
