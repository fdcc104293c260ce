"""One visit of a view: who looks at what, and what a view gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from jobs.entrypoints.http.routes import Role

if TYPE_CHECKING:
    from jobs.app.runtime import Runtime
    from jobs.entrypoints.http.callback_tokens import CallbackTokens
    from jobs.entrypoints.http.exchange import Call

_RANKS = list(Role)


@dataclass(frozen=True, slots=True)
class DashboardOptions:
    """How the dashboard looks and what it offers.

    ``trace_url`` has ``{trace_id}`` in it. ``overdue_grace`` is how late a run may begin before it counts as late.
    """

    environment: str = "Production"
    colour: str = "blue"
    read_only: bool = False
    trace_url: str | None = None
    overdue_grace: timedelta = timedelta(seconds=60)


class View(NamedTuple):
    """What a view shows: its template, its title, the entry of the navigation it belongs to, the template's values."""

    template: str
    title: str
    section: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Visit:
    """One call of a view. ``path`` is what follows the root of the views, by segment."""

    runtime: Runtime
    call: Call
    tokens: CallbackTokens
    options: DashboardOptions
    path: tuple[str, ...]
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def may_enqueue(self) -> bool:
        """Whether this dashboard offers its reader to enqueue jobs. The API checks it anew."""
        return not self.options.read_only and _RANKS.index(self.call.role) >= _RANKS.index(Role.ENQUEUE)

    @property
    def may_manage(self) -> bool:
        """Whether this dashboard offers its reader to change jobs. The API checks it anew."""
        return not self.options.read_only and self.call.role is Role.MANAGE

    def wants(self, name: str, default: str = "") -> str:
        """Return a parameter of the URL."""
        return self.parameters.get(name, default)
