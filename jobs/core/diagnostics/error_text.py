"""Format errors for the history and the log: with their place in the user's code and their causes, without secrets.

Bound parameters and row values in a database's errors are redacted: they are personal data, and more people may read
the history and the log than the data.
"""

from __future__ import annotations

import re
from ast import literal_eval
from traceback import StackSummary, TracebackException, format_list
from typing import TYPE_CHECKING

from jobs.core.diagnostics.traceback_frames import driver_error_of, leave_out_frames, relevant_frames
from jobs.core.diagnostics.user_code import own_frames
from jobs.core.lifecycle.handler_outcomes import leaves_of
from jobs.core.strict_json import MAX_TRACEBACK

if TYPE_CHECKING:
    from types import FrameType, TracebackType

_MAX_ERROR = 8_000
_MAX_INNER = 1_000
_MOST_NAMED = 10
_MAX_REDACTED = 64_000
_HIDDEN = "(hidden)"


def describe_error(error: BaseException) -> str:
    """Return an error's type, its message and the innermost line of the user's code, bounded in length.

    For a group it includes the inner errors.
    """
    hide_parameters(error)
    if not isinstance(error, BaseExceptionGroup):
        return _with_place(error, _MAX_ERROR)
    inner = leaves_of(error)
    named = "; ".join(_with_place(each, _MAX_INNER) for each in inner[:_MOST_NAMED])
    more = f"; and {len(inner) - _MOST_NAMED} more" if len(inner) > _MOST_NAMED else ""
    return f"{type(error).__name__}: {_message_of(error)[:_MAX_INNER]}: {named}"[:_MAX_ERROR] + more


def _with_place(error: BaseException, longest: int) -> str:
    return f"{type(error).__name__}: {_message_of(error)}"[:longest] + _place_of(error.__traceback__)


def _message_of(error: BaseException) -> str:
    try:
        message = _server_message(error) or error
        return " ".join(redact(str(message)[:_MAX_REDACTED]).splitlines())  # the traceback keeps the line breaks
    except BaseException:  # noqa: BLE001  an exception whose __str__ fails must not hide that the handler failed
        return "(its message could not be read)"


def _server_message(error: BaseException) -> str | None:
    """Return the server's error message, if ``error`` is SQLAlchemy's wrapper of a driver's error.

    The statement is left out here; the traceback has it.
    """
    cause = driver_error_of(error)
    if cause is None:
        return None
    code = getattr(cause, "sqlstate", None)  # psycopg; pg8000 has it among its fields
    return f"{cause} (SQLSTATE {code})" if code else str(cause)


def _place_of(traceback: TracebackType | None) -> str:
    entries = []
    while traceback is not None:
        entries.append((traceback.tb_frame.f_code, traceback.tb_lineno))
        traceback = traceback.tb_next
    if not entries:
        return ""
    own = own_frames([code.co_filename for code, _ in entries])
    code, line = next((entry for entry, users in zip(entries[::-1], own[::-1], strict=True) if users), entries[-1])
    return f" (in {code.co_name}, {code.co_filename.rsplit('/', 1)[-1]}:{line})"


def traceback_of(error: BaseException, *, whole: bool = False) -> str | None:
    """Return the traceback of an error and its causes: from the user's first frame on, without the framework's.

    A cause that a library raised and caught itself keeps its last frame. An error of SQLAlchemy ends at the user's line
    and has no cause, since its message has the driver's.
    ``whole`` keeps all frames, for errors that may be the framework's fault. No variables are shown. At most
    ``MAX_TRACEBACK`` characters; a longer one is cut in the middle.
    """
    hide_parameters(error)
    try:
        trace = TracebackException(type(error), error, error.__traceback__, lookup_lines=False, compact=True)
        if not whole:
            leave_out_frames(trace, error)
        text = redact(_bounded("".join(trace.format()), _MAX_REDACTED))
    except Exception:  # noqa: BLE001  a traceback that cannot be formatted must not hide that the handler failed
        return None
    return _bounded(text.rstrip("\n"))


def stack_of(frame: FrameType, within: str | None = None) -> str | None:
    """Return the stack of a thread, from the user's first frame on; None if it is not in the user's code.

    With ``within``, a file, only the frames called from that file are included.
    """
    frames = _callers_of(frame)[::-1]
    inside = [place for place, each in enumerate(frames) if each.f_code.co_filename == within]
    frames = frames[inside[-1] + 1 :] if inside else frames
    stack = StackSummary.extract(((each, each.f_lineno) for each in frames), lookup_lines=False)
    if not any(own_frames([each.filename for each in stack])):
        return None
    return _bounded("".join(format_list(relevant_frames(stack))).rstrip("\n"))


def _callers_of(frame: FrameType | None) -> list[FrameType]:
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _bounded(text: str, longest: int = MAX_TRACEBACK) -> str:
    if len(text) <= longest:
        return text
    note = f"\n... {len(text) - longest} characters are left out here ...\n"
    return text[: longest // 4] + note + text[longest // 4 + len(note) - longest :]


def hide_parameters(error: BaseException) -> None:
    """Set ``hide_parameters`` on SQLAlchemy errors among ``error`` and its causes, for any later formatter."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if getattr(each, "hide_parameters", None) is False:
            each.hide_parameters = True  # type: ignore[attr-defined]
        waiting += [other for other in (each.__cause__, each.__context__) if other is not None]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions


_ENDS = r"\n(?:\[SQL|\[parameters|\(Background|HINT:  |CONTEXT:  |QUERY:  |DETAIL:  |LINE \d|\n|  File |  \+| *\|)"
_REVEALING = [
    # The end of SQLAlchemy's errors, within a text that contains one.
    (re.compile(r"\[parameters: [^\n]*"), "[parameters: hidden]"),
    # The server's fields as libpq and asyncpg write them.
    (re.compile(rf"(DETAIL|CONTEXT|QUERY):  (?:(?!{_ENDS}).)*", re.DOTALL), rf"\1:  {_HIDDEN}"),
    (re.compile(r"(LINE \d+): [^\n]*(?:\n *\^)?"), rf"\1: {_HIDDEN}"),
    # The fields detail, context and inner query as pg8000 writes them.
    (re.compile(r"""'[DWq]': (?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"),? ?""", re.DOTALL), ""),
    # The server's own messages about a value.
    (
        re.compile(
            r"(invalid input (?:syntax|value) for [^\":\n]{1,80}|malformed \w+ literal|field value out of range)"
            r": \"(?:[^\n]*?\"(?=['\n]|$)|[^\n]*)"
        ),
        rf"\1: {_HIDDEN}",
    ),
    (re.compile(r"value \"[^\n]*?\" is out of range"), f"value {_HIDDEN} is out of range"),
]
_FIELDS = re.compile(r"\{'S': (?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|'[A-Za-z]': |, )*\}", re.DOTALL)
"""A server's error as pg8000 writes it: a dict of the protocol's fields."""
_SIGNS = (
    "{'S': ",
    "[parameters: ",
    "DETAIL:  ",
    "CONTEXT:  ",
    "QUERY:  ",
    "LINE ",
    "'C': '",
    "invalid input ",
    "malformed ",
    "out of range",
)


def redact(text: str) -> str:
    """Return ``text`` with parameters and row values of database errors in it hidden."""
    if any(sign in text for sign in _SIGNS):
        text = _FIELDS.sub(_message_and_code, text)
        for pattern, instead in _REVEALING:
            text = pattern.sub(instead, text)
    return text


def _message_and_code(fields: re.Match[str]) -> str:
    try:
        found = literal_eval(fields[0])
        return f"{found['M']} (SQLSTATE {found['C']})"
    except (ValueError, SyntaxError, TypeError, KeyError):
        return fields[0]


def printable(text: str) -> str:
    """Return ``text`` on one line: line breaks and control characters are escaped, to prevent forged log lines."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def log_lines(text: str | None) -> str:
    """Return ``text`` to append to a log message, each line prefixed, so that none looks like a message of its own."""
    return "" if text is None else "".join(f"\n  | {printable(line)}" for line in text.split("\n"))
