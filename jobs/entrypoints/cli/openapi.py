"""``python -m jobs openapi``: the document of the HTTP API, for generators and reviews; needs no database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.entrypoints.http.openapi.document import document
from jobs.entrypoints.http.openapi.downgrade import downgraded

if TYPE_CHECKING:
    import argparse

    from jobs.entrypoints.cli.parts import Parts


def add_openapi(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "openapi",
        help="print the OpenAPI document of the HTTP API",
        description="Print the OpenAPI document of the HTTP API with this app's handlers, as GET /api/openapi.json "
        "answers it. Needs no database.",
    )
    parser.add_argument(
        "--openapi", choices=["3.1", "3.0"], default="3.1", help="3.0 for generators that read no 3.1 (default 3.1)"
    )
    parser.add_argument("--output", type=Path, help="a file to write, in place of the standard output")
    parser.set_defaults(run=_openapi)


def _openapi(chosen: argparse.Namespace, parts: Parts) -> int:
    found = document(parts.load_registry())
    text = json.dumps(downgraded(found) if chosen.openapi == "3.0" else found, indent=2, ensure_ascii=False)
    if chosen.output is None:
        print(text)
    else:
        chosen.output.write_text(f"{text}\n", encoding="utf-8")
    return 0
