"""The command line: ``python -m jobs``."""

from __future__ import annotations

import argparse
import io
import logging
import sys
from typing import TYPE_CHECKING

from jobs.core.errors import InvalidSettings, JobsError
from jobs.entrypoints.cli.apply import add_apply
from jobs.entrypoints.cli.check import add_check
from jobs.entrypoints.cli.database import add_database
from jobs.entrypoints.cli.dev import add_dev
from jobs.entrypoints.cli.new import add_new
from jobs.entrypoints.cli.openapi import add_openapi
from jobs.entrypoints.cli.preview import add_preview
from jobs.local_settings import take_over_local_settings, where_set
from jobs.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jobs.entrypoints.cli.parts import Parts

_logger = logging.getLogger("jobs.dev")


def main(arguments: Sequence[str], parts: Parts, local_settings: Path | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for an error that was printed in one sentence, 2 for wrong usage.

    Settings that the environment lacks are taken from ``local_settings``, a file that need not be there.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what a terminal cannot show is escaped, and ends no command
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    chosen = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        chosen.taken_over = take_over_local_settings(local_settings) if local_settings is not None else frozenset()
        return int(chosen.run(chosen, parts))
    except JobsError as error:
        names = error.names if isinstance(error, InvalidSettings) else ()
        _say(str(error), where_set(names, local_settings), amid_log=getattr(chosen, "under", None) is not None)
        return 1


def _say(error: str, where: Sequence[str], *, amid_log: bool) -> None:
    """Print an error; ``amid_log`` as log lines with the time, for a process that writes among those of another."""
    if amid_log:
        for line in (*error.splitlines(), *where):
            _logger.error("%s", line)
    else:
        print(f"error: {error}", *(f"  {line}" for line in where), sep="\n", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m jobs", description="Background jobs for Azure Functions.")
    parser.add_argument("--version", action="version", version=f"aether-jobs {__version__}")
    commands = parser.add_subparsers(title="commands", required=True)
    add_database(commands)
    add_preview(commands)
    add_openapi(commands)
    add_apply(commands)
    add_check(commands)
    add_new(commands)
    add_dev(commands)
    return parser
