"""The port for recording an attempt's success in a unit of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Completion(Protocol):
    """The right to record one attempt's success within a transaction."""

    def write(self, connection: object) -> None:
        """Write the success; raises ``LeaseLost`` if this attempt no longer holds the lease."""

    def committing(self) -> AbstractContextManager[None]:
        """Keep the lease from being released while the block commits; release it if the block does not raise."""

    def is_recorded(self) -> bool:
        """Return whether the success was committed, for a commit whose response was lost."""

    def committed(self) -> None:
        """Note that the success is committed, and set the next alarm."""
