"""``python -m jobs new handler NAME``: write a handler and its test, to begin with."""

from __future__ import annotations

import json
import keyword
import os
import re
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from jobs.core.errors import ConfigurationError
from jobs.core.handlers.loading.which_packages import OWN, SAMPLES, app_folder, packages_of, which_packages
from jobs.entrypoints.cli.parts import DATA, DEFAULT_PORT

if TYPE_CHECKING:
    import argparse

    from jobs.entrypoints.cli.parts import Parts

_NAME = re.compile(r"[A-Z][A-Za-z0-9]{0,99}")
_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ø": "oe"})
_TAKEN = {"handler", "jobs", "dependencies", "conftest"}

_HANDLER = '''"""{name}: say here what it does."""

from pydantic import BaseModel, ConfigDict

from jobs import JobContext, handler


class {name}Args(BaseModel):
    """What a job's payload holds. A payload that does not fit is refused when the job is enqueued."""

    model_config = ConfigDict(extra="forbid")

    greeting: str = "Hello"


@handler("{name}")
def {function}(args: {name}Args, ctx: JobContext) -> None:
    """Replace this with your work. It may run twice for one job: ``ctx.idempotency_key`` is the same each time."""
    ctx.logger.info("%s from {name}", args.greeting)
'''
_TEST = '''"""{name}, run without a database."""

{imports}


def test_it_succeeds(jobs_harness: JobsHarness) -> None:
    ran = jobs_harness.run_handler("{name}", {name}Args(greeting="Good morning")).check()
    assert ran.outcome == "Succeeded"
'''
_SERVE = "Next: run its test, serve it, and from a second terminal enqueue a job."
_SERVED = (
    "Next: run its test, and enqueue a job in the app that is served here, which has loaded the handler by then; "
    "after --no-reload start it again first."
)


def add_new(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command ``new``."""
    new = commands.add_parser("new", help="write the beginning of a handler, with its test")
    kinds = new.add_subparsers(title="what", required=True)
    handler = kinds.add_parser("handler", help="a handler, and a test that runs it")
    handler.add_argument("name", metavar="NAME", help="what jobs call it, such as SendInvoice")
    handler.set_defaults(run=_new_handler)


def _new_handler(chosen: argparse.Namespace, _: Parts) -> int:
    folder = Path.cwd() if Path("host.json").is_file() else app_folder()
    if folder is None:
        raise ConfigurationError("there is no host.json here; run this in the app's folder")
    lines = new_handler(chosen.name, folder, which_packages(packages_of(os.environ), folder))
    print("\n".join(lines))
    return 0


def new_handler(name: str, folder: Path, packages: tuple[str, ...]) -> list[str]:
    """Write the handler ``name`` and its test below ``folder``; returns what to do next, line by line.

    It goes into the first of the app's ``packages``, or into ``handlers`` where these are the samples. Raises
    ``ConfigurationError``, and has written nothing, for a name that will not do and where a file is there already.
    """
    package = next((each for each in packages if each != SAMPLES), OWN)
    function = _function_name(name)
    parts = package.split(".")
    module = folder.joinpath(*parts, f"{function}.py")
    test = folder / "tests" / "handlers" / f"test_{function}.py"
    _refuse_existing(name, folder, module, test)
    _refuse_to_hide_a_module(folder, parts)
    made = {folder.joinpath(*parts[:depth], "__init__.py"): "" for depth in range(1, len(parts) + 1)}
    made = {file: text for file, text in made.items() if not file.exists()}
    if package == OWN and made:
        made[folder / OWN / "__init__.py"] = '"""Your handlers. An upgrade touches nothing here."""\n'
    imports = sorted([f"from {package}.{function} import {name}Args", "from jobs.testing import JobsHarness"])
    names = {"name": name, "function": function, "imports": "\n".join(imports)}
    made |= {module: _HANDLER.format(**names), test: _TEST.format(**names)}
    for file, text in made.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    return [*(f"wrote {file.relative_to(folder).as_posix()}" for file in made), *_next(name, folder, test, packages)]


def _function_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        words = re.findall(r"[A-Za-z0-9]+", _in_ascii(name))
        likely = "".join(word[0].upper() + word[1:] for word in words).lstrip("0123456789")
        letters = "" if name.isascii() else "its letters must be ASCII; "
        known = f"write it as {likely}" if _NAME.fullmatch(likely) else "give a name such as SendInvoice"
        _refuse(name, letters + known)
    function = _WORD_ENDS.sub("_", name).lower()
    if keyword.iskeyword(function) or function in _TAKEN:
        _refuse(name, f"its file would be {function}.py, a name that Python or the app has taken; add a word")
    if name.startswith("Test"):
        _refuse(name, f"pytest would take {name}Args for a test; call it Check{name.removeprefix('Test')}")
    return function


def _in_ascii(name: str) -> str:
    """Return ``name`` with letters such as ü and é in ASCII, and without those that have no such form."""
    return unicodedata.normalize("NFKD", name.translate(_SPELT_OUT)).encode("ascii", "ignore").decode()


def _refuse(name: str, mend: str) -> NoReturn:
    raise ConfigurationError(f"{name!r} will not do as the name of a handler: {mend}")


def _refuse_existing(name: str, folder: Path, module: Path, test: Path) -> None:
    for file in (module, test):
        if file.exists():
            raise ConfigurationError(
                f"{file.relative_to(folder).as_posix()} is there already, and is left as it is; choose another name, "
                "or remove it first"
            )
    marked = re.compile(rf"""@(?:\w+\.)?handler\(\s*["']{name}["']""")
    for file in module.parent.rglob("*.py"):
        if marked.search(file.read_text("utf-8", "replace")):
            raise ConfigurationError(
                f"{file.relative_to(folder).as_posix()} has a handler {name} already; choose another name"
            )


def _refuse_to_hide_a_module(folder: Path, parts: list[str]) -> None:
    """Refuse a package beside a module of the same name, which Python would not import any more."""
    for depth in range(1, len(parts) + 1):
        module = folder.joinpath(*parts[:depth]).with_suffix(".py")
        if module.is_file():
            file = module.relative_to(folder).as_posix()
            raise ConfigurationError(
                f"{file} is a module, and a folder of its name would be imported in its place, without its handlers; "
                f"move it into one first: mkdir {file[:-3]} && mv {file} {file[:-3]}/__init__.py"
            )


def _next(name: str, folder: Path, test: Path, packages: tuple[str, ...]) -> list[str]:
    from jobs.entrypoints.devhost.port import served_port  # noqa: PLC0415  it is not deployed, and this module is

    python = Path(sys.executable)
    command = python.relative_to(folder).as_posix() if python.is_relative_to(folder) else "python"
    body = json.dumps({"handler_name": name, "job_name": "first", "payload": {"greeting": "Hello"}})
    path = test.relative_to(folder).as_posix()
    in_clone = (folder / "Makefile").is_file() and (folder / "jobs").is_dir()
    # `make test` installs pytest, which the environment of a first `make run` lacks.
    check = f"make test TESTS={path}" if in_clone else f"{command} -m pytest {path}"
    run = "make run" if in_clone else f"{command} -m jobs dev"
    served_at = served_port(folder / DATA)
    serve = [f"  {run}"] if served_at is None else []
    port = served_at or _port_of_a_start(in_clone=in_clone)
    lines = [
        "",
        _SERVE if served_at is None else _SERVED,
        f"  {check}",
        *serve,
        f"  curl http://127.0.0.1:{port}/api/jobs -H 'content-type: application/json' -d '{body}'",
    ]
    if packages == (SAMPLES,):
        lines += ["", f"The samples are not loaded any more; JOBS_HANDLERS={OWN},{SAMPLES} has both."]
    return lines


def _port_of_a_start(*, in_clone: bool) -> int:
    """Return where the app will be served: ``make run`` reads PORT of the environment, ``python -m jobs dev`` not."""
    wanted = os.environ.get("PORT", "")
    return int(wanted) if in_clone and wanted.isascii() and wanted.isdigit() else DEFAULT_PORT
