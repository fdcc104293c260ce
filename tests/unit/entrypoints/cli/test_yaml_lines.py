"""YAML is read as JSON has it, with lines, and what two readers might read differently is refused."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.as_code.file import RecurringJob
from jobs.core.commands import EnqueueJob
from jobs.core.errors import InvalidInput
from jobs.entrypoints.cli.yaml_lines import read_yaml

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)
    | st.text("abc /~é*&{}:#"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~<", max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_json_is_read_as_json(value):
    document, problems = read_yaml(json.dumps(value, ensure_ascii=False))
    assert (document.value, problems) == (value, [])
    assert repr(document.value) == repr(value)  # true is not 1, 1.0 not 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("NO", "NO"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("2026-12-01", "2026-12-01"),
        ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z"),
        (".inf", ".inf"),
        ("=", "="),
        ("true", True),
        ("~", None),
        ("", None),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("'true'", "true"),
        ("!!str 3", "3"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    document, problems = read_yaml(f"- {text}")
    assert (document.value, problems) == ([value], [])
    assert type(document.value[0]) is type(value)


def test_each_value_has_its_line_and_what_is_missing_that_of_what_surrounds_it():
    document, _ = read_yaml("a:\n  - b: 1\n    c/d: |\n      text\n  - e\n")
    assert {pointer: document.line_of(pointer) for pointer in ("", "/a/0/b", "/a/0/c~1d", "/a/1", "/a/0/x/y")} == {
        "": 1,
        "/a/0/b": 2,
        "/a/0/c~1d": 3,
        "/a/1": 5,
        "/a/0/x/y": 2,
    }


def test_defaults_are_merged_under_the_keys_beside_them_and_the_first_of_several_wins():
    document, problems = read_yaml("- &a {x: 1, y: 1}\n- &b {y: 2, z: 2}\n- <<: [*a, *b]\n  x: 3\n- {'<<': 1}\n")
    assert (document.value[2:], problems) == ([{"x": 3, "y": 1, "z": 2}, {"<<": 1}], [])


@pytest.mark.parametrize("text", ["a: 1\na: 2", "? [a]\n: 1", "a: !!binary aGk=", "a: !x 1", "<<: 3", "a: 1e999"])
def test_what_yaml_allows_and_json_does_not_is_a_problem(text):
    _, problems = read_yaml(text)
    assert len(problems) == 1


LAUGHS = "- &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &{after} [{','.join(['*' + before] * 9)}]\n" for before, after in itertools.pairwise("abcdefg")
)
"""Nine aliases of nine aliases of … : half a million values in a few lines."""


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: *b",
        "a: &a [*a]",
        "--- 1\n--- 2",
        "[" * 100 + "]" * 100,
        "[" * 5000,
        LAUGHS,
    ],
    ids=["open", "no anchor", "within itself", "two", "deep", "deeper", "laughs"],
)
def test_what_is_no_document_or_one_without_bounds_is_refused(text):
    with pytest.raises(InvalidInput):
        read_yaml(text)


def test_an_entry_has_the_fields_of_an_enqueue_but_those_that_make_no_sense_in_a_file():
    assert RecurringJob.model_fields.keys() == EnqueueJob.model_fields.keys() - {"id", "on_conflict"} | {"paused"}
    for name, field in EnqueueJob.model_fields.items():
        if name in RecurringJob.model_fields and name not in {"schedule", "job_name"}:  # which must be there in a file
            assert RecurringJob.model_fields[name].annotation == field.annotation


def test_a_second_document_is_refused_where_it_begins():
    with pytest.raises(InvalidInput, match="line 3, column 1: a second document begins here"):
        read_yaml("owner: shop\njobs: []\n---\nowner: other\n")
