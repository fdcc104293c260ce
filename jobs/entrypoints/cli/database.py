"""``python -m jobs db``: the steps of a deployment that change the database."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from jobs.entrypoints.cli.parts import Parts


def add_database(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands to the command line."""
    database = commands.add_parser("db", help="look after the database").add_subparsers(required=True)
    upgrade = database.add_parser("upgrade", help="create the tables, or bring them up to date")
    upgrade.set_defaults(run=_upgrade)
    grant = database.add_parser(
        "grant",
        help="grant database roles what they need, and no more",
        description="Grant one role what running the app takes (read and write the tables' rows), and another what "
        "migrating takes (own schema and tables). The roles must exist, or with --entra the principals. Repeating it "
        "changes nothing.",
    )
    grant.add_argument("--runtime", required=True, metavar="ROLE", help="the role that the app connects as")
    grant.add_argument("--migrator", metavar="ROLE", help="the role that runs `db upgrade`; left out, the present one")
    grant.add_argument(
        "--entra",
        action="store_true",
        help="the roles are Microsoft Entra principals, NAME or NAME=OBJECT_ID: make roles of those that have none",
    )
    grant.set_defaults(run=_grant)


def _upgrade(_chosen: argparse.Namespace, parts: Parts) -> int:
    before, after = parts.upgrade_database()
    print("the database is up to date" if before == after else f"migrated from {before or 'nothing'} to {after}")
    return 0


def _grant(chosen: argparse.Namespace, parts: Parts) -> int:
    for line in parts.grant_rights(chosen.runtime, chosen.migrator, entra=chosen.entra):
        print(line, file=sys.stderr if line.startswith("warning: ") else sys.stdout)
    return 0
