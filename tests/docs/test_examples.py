"""The examples of the documentation are answered as they are shown to be."""

from __future__ import annotations

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from jobs.core.commands import EnqueueRequest, PreviewSchedule
from jobs.core.errors import InvalidInput
from jobs.entrypoints.http.exchange import read
from jobs.entrypoints.http.filters import query_of
from jobs.entrypoints.http.preview import preview
from jobs.entrypoints.http.problems import problem_of
from tests.docs.pages import ROOT, table

FOLDERS = ("reference", "explanation", "troubleshooting", "decisions")
PAGES = [path for folder in FOLDERS for path in sorted((ROOT / "docs" / folder).glob("*.md"))]
BLOCKS = [(path, *found) for path in PAGES for found in re.findall(r"```(\w*)\n(.*?)```", path.read_text(), re.DOTALL)]
CALLS = [(path, shlex.split(text)) for path, kind, text in BLOCKS if kind == "sh" and text.startswith("curl ")]


def address(call: list[str]) -> str:
    [found] = [word for word in call if word.startswith("http://")]
    return found


def body(call: list[str]) -> Any:
    return json.loads(call[call.index("-d") + 1]) if "-d" in call else None


def shown(containing: str) -> Any:
    [found] = {text for _, kind, text in BLOCKS if kind == "json" and containing in text}
    return json.loads(found)


@pytest.mark.parametrize(("path", "call"), CALLS, ids=lambda value: value.name if isinstance(value, Path) else None)
def test_every_call_that_is_shown_is_one_that_the_api_takes(path: Path, call: list[str]) -> None:
    where, sent = urlsplit(address(call)), body(call)
    if sent is None:
        assert where.path == "/api/jobs"
        query_of(dict(parse_qsl(where.query)))
    else:
        read({"/api/jobs": EnqueueRequest, "/api/schedules/preview": PreviewSchedule}[where.path], sent)  # type: ignore[type-var]


def test_the_preview_that_is_shown_is_what_is_answered() -> None:
    [sent] = [body(call) for _, call in CALLS if address(call).endswith("/preview")]
    assert preview(read(PreviewSchedule, sent), lambda: datetime(2026, 1, 1, tzinfo=UTC)) == shown('"overlap"')


def test_the_problem_that_is_shown_is_what_is_answered() -> None:
    problem = shown('"errors"')
    with pytest.raises(InvalidInput) as caught:
        read(EnqueueRequest, {"handler_name": "SendEmail"})
    assert problem_of(caught.value, problem["trace_id"]) == problem


def test_every_block_of_json_is_json_and_every_block_has_a_language_or_is_a_drawing() -> None:
    for path, kind, text in BLOCKS:
        if kind == "json":
            json.loads(text)
        assert kind in {"json", "sh", "sql", "yaml", "python"} or "─" in text, path.name


# --- what the pages quote of the log and of messages

SAYING = [ROOT / "Makefile", *sorted((ROOT / "jobs").rglob("*.py"))]
SOURCE = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in SAYING))
_LEAST = 14
_SAYS = re.compile(r"^\| `([^`]+)`", re.MULTILINE)


def pieces(line: str) -> list[str]:
    """Return the parts of a quoted line that are the same each time it is said."""
    return [piece.strip(" :;,()") for piece in re.split(r"(?:\w+=)?…|<\w+>|JOBS_…|\{[^}]*\}", line)]


def quoted() -> list[tuple[str, str]]:
    """Return what the pages quote: the log lines of the reference, and the messages of the symptom pages."""
    rows = table("observability.md", "Log lines")
    lines = [("observability.md", line) for row in rows for line in re.findall(r"`([^`]+)`", row[2])]
    whole = ("503-at-start.md", "callback-401.md", "make-run-does-not-start.md")
    for name, heading in (("it-fails.md", "| `error` says"), *((name, "") for name in whole)):
        page = (ROOT / "docs/troubleshooting" / name).read_text()
        lines += [(name, line) for line in _SAYS.findall(page[page.index(heading) :] if heading else page)]
    return lines


@pytest.mark.parametrize(("page", "line"), quoted())
def test_what_is_quoted_of_the_log_and_of_messages_is_said_in_these_words(page: str, line: str) -> None:
    for piece in pieces(line):
        if len(piece) >= _LEAST and not piece.startswith("Function."):
            assert piece in SOURCE, f"{page} quotes {piece!r}, which nothing says"
