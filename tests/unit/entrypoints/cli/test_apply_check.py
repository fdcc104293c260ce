"""``apply --check`` says what is wrong with a file, whatever the file is: it never ends in a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from random import Random
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from jobs.core.handlers.registry import HandlerRegistry
from jobs.entrypoints.cli.main import main
from tests.hostile.values import plain_object, value
from tests.sizes import sized

ODD = {
    "a text that cannot be stored.json": r'{"owner": "me", "jobs": [{"job_name": "\u0000", "handler_name": "Pay"}]}',
    "half a pair.json": r'{"owner": "me", "jobs": [{"job_name": "\ud800"}]}',
    "half a pair.yaml": r'{owner: me, jobs: [{job_name: "\ud800", "a": 1}]}',
    "a key that is half a pair.yaml": r'{owner: me, jobs: [{"\ud800": 1}]}',
    "no text as a key.yaml": "owner: me\njobs: [{1: 2, null: 3, [a]: 4}]",
    "an alias within itself.yaml": "jobs: &a [*a]",
    "no list.yaml": "owner: me\njobs: 3",
    "nothing.yaml": "",
    "nothing.json": "",
    "no mapping.json": "[[], [[]]]",
    "deep.json": "[" * 100_000,
    "deep.yaml": "[" * 3_000,
    "a control character.yaml": "owner: \x1b[31m\njobs: []",
    "two documents.yaml": "--- 1\n--- 2",
    "a tag.yaml": "owner: !!python/object:os.system x\njobs: [!x y]",
    "numbers.json": '{"owner": "me", "jobs": [{"job_name": "a", "max_runs": 1e308, "timeout": -0.0}]}',
    "numbers.yaml": "{owner: me, jobs: [{job_name: a, max_runs: 1e400, timeout: 1e300, payload: {amount: -0.0}}]}",
    "years.yaml": "{owner: me, jobs: [{job_name: a, schedule: '@daily', start_at: '9999-12-31T23:59:59Z'}]}",
}


class Payment(BaseModel):
    amount: Decimal


def pay(args: Payment) -> None:
    pass


@pytest.fixture
def check(tmp_path, capsys):
    """Check a file of that name and content, and give the exit status and what was told."""
    registry = HandlerRegistry()
    registry.add_handler("Pay", pay)
    parts = SimpleNamespace(load_registry=lambda: registry, longest_run=lambda: None)

    def checked(name: str, content: bytes) -> tuple[int, str]:
        file = tmp_path / name
        file.write_bytes(content)
        status = main(["apply", str(file), "--check"], parts)
        return status, "".join(capsys.readouterr())

    return checked


@pytest.mark.parametrize("name", ODD)
def test_an_odd_file_is_refused_in_words(check, name):
    status, told = check(name, ODD[name].encode())
    assert status == 1
    assert name in told


@pytest.mark.soak
def test_no_file_whatever_ends_in_a_traceback(check):
    random = Random(7)
    sound = {"job_name": '"a"', "handler_name": '"Pay"', "schedule": '"@daily"', "payload": '{"amount": 1.5}'}
    statuses = set()
    for _ in range(sized(60, 5_000)):
        fields = sound | {random.choice([*sound, "metadata", "retry", "timeout", "end_at", ""]): value(random)}
        entry = "{" + ",".join(f'"{name}": {written}' for name, written in fields.items()) + "}"
        content = random.choice(
            [
                value(random),
                f'{{"owner": "me", "jobs": [{entry}]}}',
                f'{{"owner": {value(random)}, "jobs": {plain_object(random)}}}',
            ]
        ).encode("utf-8", "surrogatepass")
        at = random.randrange(len(content) + 1)
        if random.random() < 0.3:
            content = content[:at] + bytes(random.choices(b"\x00\xff&*!{}[]:,\t\n#'\"", k=2)) + content[at:]
        statuses.add(check(f"odd.{random.choice(('json', 'yaml'))}", content)[0])
    assert statuses <= {0, 1}


def test_what_a_terminal_cannot_show_is_escaped(tmp_path):
    file = tmp_path / "odd.json"
    file.write_text(json.dumps({"owner": "me", "jobs": [{"job_name": "gr\u00fc\u00dfe \U0001f600"}]}))
    script = (
        "import sys; from types import SimpleNamespace; from jobs.core.handlers.registry import HandlerRegistry; "
        "from jobs.entrypoints.cli.main import main; "
        "parts = SimpleNamespace(load_registry=HandlerRegistry, longest_run=lambda: None); "
        f"sys.exit(main(['apply', {str(file)!r}, '--check'], parts))"
    )
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", script],
        env={"PYTHONPATH": ".", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "gr\\xfc\\xdfe" in done.stderr
