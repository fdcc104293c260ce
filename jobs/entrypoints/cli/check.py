"""``python -m jobs check``: whether the app would start, for a pipeline, before anything is deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from jobs.entrypoints.cli.parts import Parts


def add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "check",
        help="check whether the app would start with these settings and handlers",
        description="Read the settings and load the handlers as the app does. On Azure an app with a fault in them "
        "starts, and says so instead of working; this finds it before. It needs no database.",
    )
    parser.set_defaults(run=_check)


def _check(_chosen: argparse.Namespace, parts: Parts) -> int:
    app, close, _ = parts.create_app()
    close()
    print(f"the app starts, with {len(app.get_functions())} functions")
    return 0
