"""The options of a local start."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DevOptions:
    """The options of ``python -m jobs dev``."""

    port: int = 7071
    data: str = ".local"
    host: str = "builtin"
    """``builtin``, or ``func`` for Azure Functions Core Tools."""
    demo: bool = False
    reload: bool = False
    """Whether to load the app again when one of its files changes. Core Tools do so by themselves."""
    scheduler: str | None = None
    database_from: str = "the environment"
    """Where JOBS_DATABASE_URL was set, if it was."""
