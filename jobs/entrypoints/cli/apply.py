"""``python -m jobs apply``: make the recurring jobs that there are those of a file, as a step of a deployment."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.app.as_code.apply import DEFAULT_WAIT, ScheduleChanges
from jobs.app.as_code.check import check_file
from jobs.app.as_code.plan import Action
from jobs.core.as_code.file import RecurringJob
from jobs.core.errors import ConfigurationError, InvalidInput, JobsError
from jobs.core.strict_json import MalformedJson, parse_json
from jobs.entrypoints.cli.yaml_lines import Document, read_yaml
from jobs.entrypoints.http.problems import fields_of, with_own_messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.app.as_code.plan import Step
    from jobs.core.as_code.file import ScheduleFile
    from jobs.core.errors import Problem
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.entrypoints.cli.parts import Parts

_SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "±",
    Action.RESTART: "±",
    Action.REMOVE: "-",
    Action.SAME: "=",
}
_LONGEST_WAIT = 86_400
_CHANGES = 2
"""The exit status of a plan with changes, with ``--detailed-exitcode``; the same as Terraform's."""


def add_apply(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "apply",
        help="make the recurring jobs those of a file",
        description="Create, update and remove recurring jobs until they are those of a file; what others enqueued "
        "stays. Nothing is changed if anything in the file is wrong.",
    )
    parser.add_argument("file", type=Path, help="YAML, or JSON in a file that ends in .json")
    parser.add_argument("--owner", help="whose jobs these are, where the file does not name its owner itself")
    parser.add_argument("--adopt", action="store_true", help="take over recurring jobs of these names of no file yet")
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=DEFAULT_WAIT,
        metavar="SECONDS",
        help="how long to wait for a running job that must end to be made anew (default 60)",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--plan", action="store_true", help="print what would be done, and change nothing")
    mode.add_argument("--check", action="store_true", help="check the file only; needs no database")
    parser.add_argument(
        "--detailed-exitcode", action="store_true", help="have --plan exit with 2 where there is something to change"
    )
    parser.set_defaults(run=_apply)


def _seconds(text: str) -> timedelta:
    try:
        seconds = float(text)
    except ValueError:
        seconds = nan
    if not 0 <= seconds <= _LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"from 0 to {_LONGEST_WAIT} seconds, not {text}")
    return timedelta(seconds=seconds)


def _apply(chosen: argparse.Namespace, parts: Parts) -> int:
    registry = parts.load_registry()
    source = read_source(chosen.file)
    file = source.check(chosen.owner, registry, parts.longest_run())
    if chosen.check:
        for entry in file.jobs:
            _warn(entry.schedule_warnings, f"{entry.job_name}: ")
        print(
            f"{chosen.file}: {len(file.jobs)} recurring job{'s' * (len(file.jobs) != 1)} of {file.owner}, nothing wrong"
        )
        return 0
    runtime = parts.make_runtime(registry)
    changes = ScheduleChanges(runtime.service, registry, runtime.units, runtime.lock, runtime.clock)
    try:
        if chosen.plan:
            steps = changes.plan(file, adopt=chosen.adopt)
            for step in steps:
                _tell(step)
        else:
            steps = changes.apply(file, adopt=chosen.adopt, wait=chosen.wait, on_step=_tell)
    except InvalidInput as error:
        raise source.fault(error) from None
    finally:
        runtime.close()
    print(_summary(steps, planned=chosen.plan))
    return _CHANGES if chosen.plan and chosen.detailed_exitcode and any(map(_changes_something, steps)) else 0


class FileFault(JobsError):
    """A file that cannot be applied, with a line for each fault in it. Nothing was changed."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was parsed, which knows where in it a fault stands."""

    path: Path
    document: Document
    problems: Sequence[Problem] = ()

    def check(self, owner: str | None, registry: HandlerRegistry, longest_run: timedelta | None = None) -> ScheduleFile:
        """Check the whole file; raises ``FileFault`` with all that is wrong with it."""
        problems = list(self.problems)
        try:
            now = datetime.now(UTC)
            file = check_file(self.document.value, owner, registry, now, longest_run=longest_run)
        except InvalidInput as error:
            problems += error.problems
        if problems:
            raise self.fault(InvalidInput(problems))
        return file

    def fault(self, error: InvalidInput) -> FileFault:
        """Return an error with each problem's file, line and entry, from the first line to the last."""
        told = with_own_messages(error, _known_fields(error.problems)).problems
        problems = sorted(told, key=lambda each: self.document.line_of(each.pointer) or 0)
        return FileFault(
            f"{self.path} cannot be applied, and nothing was changed:\n"
            + "\n".join(f"  {self._place(each.pointer)}{each.detail}" for each in problems)
        )

    def _place(self, pointer: str) -> str:
        line = self.document.line_of(pointer)
        at = f"{self.path}:{line}: " if line else f"{self.path}: "
        match = _ENTRY.match(pointer)
        if match is None:
            return f"{at}{pointer}: " if pointer else at
        return f"{at}{self._name(int(match[1]))}: {match[2]}: " if match[2] else f"{at}{self._name(int(match[1]))}: "

    def _name(self, place: int) -> str:
        try:
            name = self.document.value["jobs"][place]["job_name"]
        except (TypeError, LookupError):  # of a file that could not be parsed, too
            name = None
        return name if isinstance(name, str) and name else f"entry {place + 1}"


_ENTRY = re.compile(r"/jobs/(\d+)(.*)", re.DOTALL)


def read_source(path: Path) -> Source:
    """Parse a file; raises ``ConfigurationError`` if it cannot be read, ``FileFault`` if it is no YAML or JSON."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(f"{path} cannot be read: {why}") from None
    try:
        if path.suffix.lower() == ".json":
            return Source(path, Document(parse_json(text)))
        return Source(path, *read_yaml(text))
    except MalformedJson as error:
        raise FileFault(f"{path} is no JSON, and nothing was changed: {error}") from None
    except InvalidInput as error:
        raise Source(path, Document()).fault(error) from None


def _known_fields(problems: Sequence[Problem]) -> dict[str, Sequence[str]]:
    """Return the names of the fields that are allowed where the problems are."""
    known: dict[str, Sequence[str]] = {"": ("owner", "jobs")}
    for place in {match[1] for problem in problems if (match := _ENTRY.match(problem.pointer))}:
        known |= {f"/jobs/{place}{pointer}": names for pointer, names in fields_of(RecurringJob).items()}
    return known


def _tell(step: Step) -> None:
    why = f" ({'; '.join(step.why)})" if step.why else ""
    print(f"{_SIGNS[step.action]} {step.action:<7} {step.job_name}{why}", flush=True)
    _warn(step.warnings)


def _warn(warnings: Sequence[str], name: str = "") -> None:
    for warning in warnings:
        print(f"  warning: {name}{warning}", flush=True)


def _changes_something(step: Step) -> bool:
    return step.changes_something


def _summary(steps: Sequence[Step], *, planned: bool) -> str:
    counts = Counter(step.action for step in steps)
    same = f"{counts.pop(Action.SAME, 0)} same"
    told = ", ".join([*(f"{counts[action]} to {action}" for action in Action if counts[action]), same])
    return f"plan: {told}; nothing was changed" if planned else f"applied: {told.replace(' to ', ' ')}"
