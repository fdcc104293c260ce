"""What the commands call. ``__main__`` makes it, so that the command line names no concrete class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from jobs.app.runtime import Runtime
from jobs.core.handlers.registry import HandlerRegistry
from jobs.entrypoints.triggers.termination import CreateApp


class GrantRights(Protocol):
    """Grants roles their rights."""

    def __call__(self, runtime: str, migrator: str | None, *, entra: bool) -> list[str]:
        """Give lines that tell what holds now."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the commands call, given by ``__main__`` so that the command line names no concrete class."""

    create_app: CreateApp
    upgrade_database: Callable[[], tuple[str | None, str | None]]
    load_registry: Callable[[], HandlerRegistry]
    make_runtime: Callable[[HandlerRegistry], Runtime]
    grant_rights: GrantRights
    longest_run: Callable[[], timedelta | None] = lambda: None
    """How long the host lets an attempt run, None without end."""
