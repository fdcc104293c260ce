"""Commands for a handler, with arguments that a type checker knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, Generic, Protocol, TypeVar, overload

from pydantic import BaseModel

from jobs.core.handlers.enqueuing.checked_command import checked_command
from jobs.core.handlers.enqueuing.open_jobs import current_jobs

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from jobs.core.command_fields import EnqueueFields
    from jobs.core.commands import EnqueueJob
    from jobs.core.handlers.enqueuing.open_jobs import EnqueuedJob, Enqueues
    from jobs.core.handlers.handler_options import HandlerOptions
    from jobs.core.transactions.sql import Connection, Session

Arguments = TypeVar("Arguments", bound=BaseModel)
Function = TypeVar("Function", bound="Callable[..., Any]")
Function_co = TypeVar("Function_co", bound="Callable[..., Any]", covariant=True)
Marked = TypeVar("Marked")
Result = TypeVar("Result")


class Handler(Protocol[Function_co]):
    """A function marked with ``@handler``: callable as before, with ``command`` and ``enqueue`` in addition."""

    @property
    def __call__(self) -> Function_co:
        """The function itself."""

    @overload
    def command(
        self: Handler[Callable[Concatenate[Arguments, ...], object]],
        args: Arguments,
        /,
        **fields: Unpack[EnqueueFields],
    ) -> EnqueueJob: ...
    @overload
    def command(
        self: Handler[Callable[Concatenate[Any, Arguments, ...], object]],
        args: Arguments,
        /,
        **fields: Unpack[EnqueueFields],
    ) -> EnqueueJob: ...
    def command(self, args: Any, /, **fields: Unpack[EnqueueFields]) -> EnqueueJob:
        """Return the command that enqueues a job with these arguments; the fields are those of ``EnqueueJob``."""

    @overload
    def enqueue(
        self: Handler[Callable[Concatenate[Arguments, ...], object]],
        args: Arguments,
        /,
        *,
        jobs: Enqueues[Result],
        connection: Connection | Session | None = None,
        **fields: Unpack[EnqueueFields],
    ) -> Result: ...
    @overload
    def enqueue(
        self: Handler[Callable[Concatenate[Any, Arguments, ...], object]],
        args: Arguments,
        /,
        *,
        jobs: Enqueues[Result],
        connection: Connection | Session | None = None,
        **fields: Unpack[EnqueueFields],
    ) -> Result: ...
    @overload
    def enqueue(
        self: Handler[Callable[Concatenate[Arguments, ...], object]],
        args: Arguments,
        /,
        *,
        jobs: None = None,
        connection: Connection | Session | None = None,
        **fields: Unpack[EnqueueFields],
    ) -> EnqueuedJob: ...
    @overload
    def enqueue(
        self: Handler[Callable[Concatenate[Any, Arguments, ...], object]],
        args: Arguments,
        /,
        *,
        jobs: None = None,
        connection: Connection | Session | None = None,
        **fields: Unpack[EnqueueFields],
    ) -> EnqueuedJob: ...
    def enqueue(
        self,
        args: Any,
        /,
        *,
        jobs: Enqueues[Any] | None = None,
        connection: Connection | Session | None = None,
        **fields: Unpack[EnqueueFields],
    ) -> Any:
        """Enqueue a job with these arguments; see ``DeclaredHandler.enqueue``."""


class HandlerDecorator(Protocol):
    """The type of ``@handler(…)``: it returns a class unchanged, and a function with ``command`` and ``enqueue``."""

    @overload
    def __call__(self, target: type[Marked], /) -> type[Marked]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Function, /) -> Handler[Function]: ...
    def __call__(self, target: Any, /) -> Any:
        """Mark ``target`` and return it."""


class DeclaredHandler(Generic[Arguments]):
    """A handler's name, arguments and options, for programs that enqueue its jobs and do not have its code."""

    def __init__(self, arguments: type[Arguments], options: HandlerOptions) -> None:
        self.name = options.name
        self.arguments = arguments
        self.options = options

    def command(self, args: Arguments, /, **fields: Unpack[EnqueueFields]) -> EnqueueJob:
        """Return the command that enqueues a job with these arguments; the fields are those of ``EnqueueJob``.

        Raises ``InvalidInput`` for a field that does not exist or has a wrong value.
        """
        return checked_command(self.name, args, fields)

    @overload
    def enqueue(
        self,
        args: Arguments,
        /,
        *,
        jobs: Enqueues[Result],
        connection: Connection | Session | None = None,
        **fields: Unpack[EnqueueFields],
    ) -> Result: ...
    @overload
    def enqueue(
        self,
        args: Arguments,
        /,
        *,
        jobs: None = None,
        connection: Connection | Session | None = None,
        **fields: Unpack[EnqueueFields],
    ) -> EnqueuedJob: ...
    def enqueue(
        self,
        args: Arguments,
        /,
        *,
        jobs: Enqueues[Any] | None = None,
        connection: Connection | Session | None = None,
        **fields: Unpack[EnqueueFields],
    ) -> Any:
        """Enqueue a job with these arguments; the fields are those of ``EnqueueJob``.

        ``jobs`` is what ``connect`` returned, or a handler's ``JobContext`` for a follow-up of its run. The default is
        the app or the one open ``connect()`` of this process. With ``connection`` the job joins that transaction.
        Raises as ``Jobs.enqueue`` does, ``ConfigurationError`` if nothing is open, and ``HandlerMistake`` within a
        handler without ``jobs``: each retry would enqueue again.
        """
        return enqueue(self.command(args, **fields), jobs, connection)


def enqueue(command: EnqueueJob, jobs: Enqueues[Any] | None, connection: Connection | Session | None) -> Any:
    """Enqueue with ``jobs``, or with the process's default if it is None."""
    to: Any = current_jobs() if jobs is None else jobs
    return to.enqueue(command) if connection is None else to.enqueue(command, connection=connection)


def attach_commands(function: Callable[..., Any], name: str) -> None:
    """Set ``command`` and ``enqueue`` on a function that was marked as the handler ``name``."""

    def make_command(args: Any, /, **fields: Any) -> EnqueueJob:
        """Return the command that enqueues a job with these arguments."""
        return checked_command(name, args, fields)

    def enqueue_command(args: Any, /, *, jobs: Any = None, connection: Any = None, **fields: Any) -> Any:
        """Enqueue a job with these arguments."""
        return enqueue(make_command(args, **fields), jobs, connection)

    vars(function).update(command=make_command, enqueue=enqueue_command)
