"""``python -m jobs dev``: run the app on a developer's machine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from jobs.entrypoints.cli.parts import DATA, DEFAULT_PORT

if TYPE_CHECKING:
    from jobs.entrypoints.cli.parts import Parts


def add_dev(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    dev = commands.add_parser("dev", help="run the app on this machine, on a Postgres of its own")
    where = f"where to listen on 127.0.0.1 (default {DEFAULT_PORT})"
    dev.add_argument("--port", type=int, default=DEFAULT_PORT, help=where)
    dev.add_argument("--data", default=DATA, help="the folder for Postgres' data, kept between runs (default .local)")
    dev.add_argument(
        "--host",
        choices=("builtin", "func"),
        default="builtin",
        help="builtin is a small host of the framework's own (the default), func is Azure Functions Core Tools, which "
        "need a storage emulator",
    )
    dev.add_argument(
        "--scheduler",
        choices=("timer", "dapr", "queue"),
        help="what wakes jobs up: dapr brings up Dapr's scheduler and sidecar, queue brings up Azurite; default "
        "JOBS_SCHEDULER, else timer",
    )
    dev.add_argument("--demo", action="store_true", help="enqueue two sample jobs and print what becomes of them")
    dev.add_argument(
        "--reload",
        action=argparse.BooleanOptionalAction,
        help="load the app again when one of its Python files changes; the default with --demo",
    )
    dev.add_argument("--under", help=argparse.SUPPRESS)  # of the process that such a reload makes
    dev.set_defaults(run=_dev)


def _dev(chosen: argparse.Namespace, parts: Parts) -> int:
    # These need packages that only a developer has, and the first is half a second of imports that only its kind needs.
    if chosen.under:
        from jobs.entrypoints.devhost.reload.served_app import serve_for_parent  # noqa: PLC0415

        return serve_for_parent(chosen.under, chosen.port, parts.create_app)
    from jobs.entrypoints.devhost.options import DevOptions  # noqa: PLC0415
    from jobs.entrypoints.devhost.run import run_dev  # noqa: PLC0415

    options = DevOptions(
        port=chosen.port,
        data=chosen.data,
        host=chosen.host,
        demo=chosen.demo,
        reload=chosen.demo if chosen.reload is None else chosen.reload,
        scheduler=chosen.scheduler,
        database_from="local.settings.json" if "JOBS_DATABASE_URL" in chosen.taken_over else "the environment",
    )
    return run_dev(
        options,
        check_before_start=parts.check_before_start,
        create_app=parts.create_app,
        upgrade_database=parts.upgrade_database,
    )
