"""What the history and the log say of an error: the user's line, the causes, the inner errors, and no one's data."""

from __future__ import annotations

import json
import sys
import threading

import pytest
import sqlalchemy as sa

from jobs.core.diagnostics.error_text import describe_error, printable, redact, stack_of, traceback_of
from jobs.core.diagnostics.user_code import Origin, origin_of_file
from jobs.core.strict_json import MAX_TRACEBACK

SECRET = "ada@example.org"


def caught(call) -> BaseException:
    try:
        call()
    except BaseException as error:  # noqa: BLE001  whatever it is
        return error
    raise AssertionError("nothing was raised")


def parse() -> None:
    json.loads("{not json")


def look_up(key: str) -> None:
    try:
        {}[key]
    except KeyError as error:
        raise LookupError("no such order") from error


def test_the_place_of_an_error_is_the_innermost_line_of_the_users_code_not_a_librarys():
    assert "(in parse, test_error_text.py:" in describe_error(caught(parse))


def test_a_traceback_begins_in_the_users_code_and_tells_the_cause():
    text = traceback_of(caught(lambda: look_up("o-1")))
    assert text.index("KeyError: 'o-1'") < text.index("direct cause") < text.index("LookupError: no such order")
    assert text.count(", in look_up") == 2
    library = traceback_of(caught(parse))
    assert "decoder.py" in library, "what the user's code called is told"
    assert library.rstrip().endswith("(char 1)")


def test_a_cause_within_a_library_keeps_one_frame_and_one_in_the_users_code_keeps_all():
    def within() -> None:
        sa.create_engine("postgresql+no_such_driver://localhost")

    def around() -> None:
        try:
            parse()
        except ValueError as error:
            raise LookupError("no such order") from error

    text = traceback_of(caught(around))
    assert ", in parse" in text.partition("direct cause")[0]
    assert "decoder.py" in text.partition("direct cause")[0]
    assert ", in within" in traceback_of(caught(within))


def test_a_group_names_its_inner_errors_nested_ones_too():
    def fail() -> None:
        raise ExceptionGroup("two", [ValueError("a"), ExceptionGroup("one", [caught(parse)])])

    text = describe_error(caught(fail))
    assert "ValueError: a" in text
    assert "JSONDecodeError" in text
    assert "(in parse, test_error_text.py:" in text


def test_a_group_of_thousands_is_told_within_bounds():
    error = ExceptionGroup("many", [ValueError("x" * 5_000) for _ in range(2_000)])
    assert len(describe_error(error)) < 10_000
    assert describe_error(error).endswith("and 1990 more")
    assert len(traceback_of(error)) <= MAX_TRACEBACK


def test_a_traceback_is_bounded_and_keeps_its_end():
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("x" * 100_000 + " the end")
        (deep if n % 2 else other)(n - 1)

    def other(n: int) -> None:
        deep(n - 1) if n else deep(0)

    text = traceback_of(caught(lambda: deep(300)))
    assert len(text) <= MAX_TRACEBACK
    assert text.endswith("the end")
    assert "characters are left out" in text


def test_an_error_of_many_lines_is_told_in_one():
    assert describe_error(ValueError("no\n such\r\norder")) == "ValueError: no  such order"


class Unprintable(Exception):
    def __str__(self) -> str:
        raise SystemExit


def test_an_error_that_cannot_be_put_in_words_is_told_all_the_same():
    assert describe_error(Unprintable()).startswith("Unprintable: (its message could not be read)")
    assert "Unprintable" in traceback_of(Unprintable())


POSTGRES = {"S": "ERROR", "V": "ERROR", "C": "23505", "M": 'duplicate key "users_email_key"',
            "D": f"Key (email)=({SECRET}) already exists.", "t": "users"}  # fmt: skip
LIBPQ = f'duplicate key "users_email_key"\nDETAIL:  Key (email)=({SECRET},\nx) already exists.\nHINT:  look'


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (str(POSTGRES), "users_email_key"),
        (str(POSTGRES | {"D": f"Key (email)=('{SECRET}\"') already"}), "users_email_key"),
        (LIBPQ, "HINT:  look"),
        (f"oops\nCONTEXT:  unnamed portal parameter $1 = '{SECRET}'", "oops"),
        (f'invalid input syntax for type integer: "{SECRET}"', "type integer"),
        (f"""{{'C': '22P02', 'M': 'invalid input syntax for type uuid: "{SECRET}"', 'P': '1'}}""", "'P': '1'"),
        (f'value "{SECRET}" is out of range for type integer', "type integer"),
        (f"LINE 1: insert into users values ('{SECRET}')\n                ^\nafter", "after"),
        (f"[SQL: insert into users values (%s)]\n[parameters: ('{SECRET}',)]\n(Background)", "insert into users"),
    ],
)
def test_what_a_databases_error_says_of_values_is_left_out(text, kept):
    assert SECRET not in redact(text)
    assert kept in redact(text)


def test_a_text_that_only_looks_a_little_like_it_is_kept():
    for text in ("DETAIL: see page 3", "the value is out of range", "LINE of sight", "parameters: none"):
        assert redact(text) == text


def test_parameters_of_a_users_own_engine_are_never_told():
    def insert() -> None:
        engine = sa.create_engine("sqlite://")
        try:
            with engine.connect() as connection:
                connection.execute(sa.text("insert into nowhere values (:email)"), {"email": SECRET})
        finally:
            engine.dispose()

    def handle() -> None:
        try:
            insert()
        except sa.exc.SQLAlchemyError as error:
            raise ValueError(f"it could not be kept: {error}") from error

    error = caught(handle)
    for text in (describe_error(error), traceback_of(error), describe_error(error.__cause__)):
        assert SECRET not in text
        assert "nowhere" in text


@pytest.mark.parametrize("break_", ["\n", "\r\n", "\x85", "\u2028", "\x1b[2K", "\x00", "\u202e", "\ud800"])
def test_a_text_for_the_log_stays_on_its_line(break_):
    told = printable(f"a{break_}2026-06-01 ERROR forged")
    assert told.isprintable()
    assert len(told.splitlines()) == 1
    assert told.startswith("a\\")


def test_a_text_in_any_script_is_logged_as_it_is():
    assert printable("Zürich 東京 🚀") == "Zürich 東京 🚀"


def test_where_a_thread_hangs_is_told_from_the_users_code_on():
    began, end = threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        end.wait(60)

    thread = threading.Thread(target=hang)
    thread.start()
    began.wait(60)
    try:
        frame = sys._current_frames()[thread.ident]
        assert "in hang" in stack_of(frame)
    finally:
        end.set()
        thread.join()


def test_whose_code_a_file_is():
    assert origin_of_file(__file__) is Origin.USER
    assert origin_of_file(json.__file__) is Origin.PYTHON
    assert origin_of_file(sa.__file__) is Origin.LIBRARY
    assert origin_of_file(sys.modules["jobs.core.diagnostics.error_text"].__file__) is Origin.FRAMEWORK
    assert origin_of_file("/home/site/wwwroot/handlers/mail.py") is Origin.USER
