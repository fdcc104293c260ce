"""What the commands call. ``__main__`` makes it, so that the command line names no concrete class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from jobs.app.runtime import Runtime
from jobs.core.handlers.registry import HandlerRegistry
from jobs.entrypoints.triggers.termination import CreateApp

DATA = ".local"
"""The folder for the data of a local start, seen from the app's folder, unless another one is chosen."""
DEFAULT_PORT = 7071
"""Where ``python -m jobs dev`` serves the app, as Core Tools do."""


class GrantRights(Protocol):
    """Grants roles their rights."""

    def __call__(self, runtime: str, migrator: str | None, *, entra: bool) -> list[str]:
        """Grant the rights; returns lines that say what holds now."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the commands call; ``__main__`` makes it, so that the command line names no concrete class."""

    create_app: CreateApp
    upgrade_database: Callable[[], tuple[str | None, str | None]]
    load_registry: Callable[[], HandlerRegistry]
    make_runtime: Callable[[HandlerRegistry], Runtime]
    grant_rights: GrantRights
    check_before_start: Callable[[], None] = lambda: None
    """Checks the settings, and whether the handlers' packages are there; raises ``ConfigurationError``."""
    longest_run: Callable[[], timedelta | None] = lambda: None
    """The longest that the host allows an attempt to run; None is without end."""
