"""Queue triggers that run as the Functions host runs them: batches, hidden messages, tries, the poison queue."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from azure.functions.queue import QueueMessage

from jobs.entrypoints.devhost.host.functions import TraceContext

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from jobs.entrypoints.devhost.host.functions import LoadedFunction
    from jobs.entrypoints.devhost.host.queue_settings import QueueSettings

_HIDDEN_SECONDS = 600
_SHORTEST_POLL_SECONDS = 0.1
_LOOK_SECONDS = 1.0


class Queue(Protocol):
    """A storage queue, with its messages as they are."""

    def create(self) -> bool:
        """Create the queue unless there is one."""

    def put_raw(self, text: str) -> None:
        """Put a message as it is."""

    def take(self, most: int, *, hidden_for: int) -> Sequence[Any]:
        """Take messages, and hide them from others for so many seconds."""

    def hide(self, message: Any, seconds: int) -> Any:
        """Hide a taken message for so many seconds from now on; returns it as it is to be named from now on."""

    def delete(self, message: Any) -> None:
        """Delete a taken message."""


class OpenQueues(Protocol):
    """Opens queues."""

    def __call__(self, connection: str, name: str) -> tuple[Queue, Queue]:
        """Return a queue, by the setting that says where it is and by its name, and its poison queue.

        Raises ``ConfigurationError`` where the setting is missing or wrong.
        """


def queue_listeners(
    functions: Sequence[LoadedFunction], open_queues: OpenQueues | None, settings: QueueSettings, log: logging.Logger
) -> list[QueueListener]:
    """Return a listener for each function that a queue calls; without ``open_queues`` none, and a warning for each."""
    listeners = []
    for function in functions:
        if function.queue is not None and open_queues is not None:
            queues = open_queues(function.queue.connection, function.queue.queue)
            listeners.append(QueueListener(function, queues, settings, log))
        elif function.queue is not None:
            log.warning("function %s is not called: this host was given no queues", function.name)
    return listeners


class QueueListener:
    """Runs one function for each message of its queue, from ``start`` to ``stop``.

    It takes ``batch_size`` messages at once, each on a thread of its own, and the next ones as soon as no more than
    ``new_batch_threshold`` run. While a message's function runs, the message stays hidden; then it is deleted. If the
    function fails, it becomes visible again after ``visibility_seconds``, and the last of ``max_dequeue_count`` tries
    moves it to the poison queue. One that cannot be decoded goes there at once.
    """

    def __init__(
        self, function: LoadedFunction, queues: tuple[Queue, Queue], settings: QueueSettings, log: logging.Logger
    ) -> None:
        self.name = function.name
        self._function, self._settings, self._log = function, settings, log
        self._queue, self._poison = queues
        self._changed = threading.Condition()
        # By the id and the receipt: one message may be taken twice, and those of one batch may share a receipt.
        self._running: dict[tuple[str, str], tuple[Any, float]] = {}
        self._stopped = False
        self._away = False
        # A daemon, so that a function that does not end cannot keep the process from ending.
        self._thread = threading.Thread(target=self._listen, name=f"devhost-queue-{self.name}", daemon=True)

    def start(self) -> None:
        """Begin to take messages."""
        self._thread.start()

    def stop(self) -> None:
        """Take no further message; calls under way continue."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def join(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for the calls that are under way; returns whether they have ended."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, timeout)

    # --- take messages

    def _listen(self) -> None:
        pause = 0.0
        while self._room_after(pause):
            taken = self._taken()
            for message in taken:
                self._begin(message)
            longer = max(pause * 2, _SHORTEST_POLL_SECONDS) * random.uniform(0.8, 1.2)  # noqa: S311  no secret
            pause = 0.0 if taken else min(longer, self._settings.max_polling_seconds)

    def _room_after(self, pause: float) -> bool:
        """Wait for ``pause`` seconds, and then until few enough calls are under way; False at the end."""
        until = time.monotonic() + pause
        with self._changed:
            while not self._stopped:
                left = until - time.monotonic()
                if left <= 0 and len(self._running) <= self._settings.new_batch_threshold:
                    return True
                self._changed.wait(min(left, _LOOK_SECONDS) if left > 0 else _LOOK_SECONDS)
                self._keep_hidden()
        return False

    def _taken(self) -> Sequence[Any]:
        try:
            taken = self._queue.take(self._settings.batch_size, hidden_for=_HIDDEN_SECONDS)
        except Exception as error:  # noqa: BLE001  it is tried again
            missing = getattr(error, "missing", False)  # until the first message is put
            if not self._away and not missing:
                self._log.warning("the queue of %s cannot be read: %s", self.name, error)
            self._away = not missing
            return []
        self._away = False
        return taken

    def _begin(self, message: Any) -> None:
        with self._changed:
            self._running[message.id, message.receipt] = (message, time.monotonic() + _HIDDEN_SECONDS / 2)
        name = f"devhost-{self.name}-{message.id[:8]}"
        threading.Thread(target=self._process, args=[message], name=name, daemon=True).start()

    def _keep_hidden(self) -> None:
        """Hide messages for longer whose functions still run."""
        now = time.monotonic()
        for taken, (message, at) in [each for each in self._running.items() if each[1][1] <= now]:
            try:
                hidden = self._queue.hide(message, _HIDDEN_SECONDS)
            except Exception as error:  # noqa: BLE001  the call goes on, and the message may be taken a second time
                self._log.warning("a message of %s may be taken again: %s", self.name, error)
                hidden = message
            if self._running.get(taken, (None, at))[0] is message:
                self._running[taken] = (hidden, now + _HIDDEN_SECONDS / 2)

    # --- process one

    def _process(self, message: Any) -> None:
        try:
            done = self._runs_well(message)
            self._complete(self._running[message.id, message.receipt][0], done=done)
        except Exception as error:  # noqa: BLE001  the message becomes visible again
            if not getattr(error, "gone", False):  # it has expired meanwhile, or others have taken it
                self._log.warning("a message of %s was not completed: %s", self.name, error)
        finally:
            with self._changed:
                self._running.pop((message.id, message.receipt), None)
                self._changed.notify_all()

    def _runs_well(self, message: Any) -> bool:
        text = message.text if self._settings.base64 else message.raw
        if text is None or message.dequeue_count > self._settings.max_dequeue_count:
            return False
        given = QueueMessage(  # type: ignore[no-untyped-call]
            id=message.id,
            body=text.encode(),
            dequeue_count=message.dequeue_count,
            insertion_time=message.inserted_at,
            pop_receipt=message.receipt,
        )
        try:
            returned = self._function.invoke(given, TraceContext())
        except BaseException:  # noqa: BLE001  a function may call sys.exit, and the listener goes on
            self._log.exception("%s failed, at try %d of its message", self.name, message.dequeue_count)
            return False
        if returned is not None:
            self._log.error("%s must return None; the Functions worker fails a queue function that does not", self.name)
        return returned is None

    def _complete(self, message: Any, *, done: bool) -> None:
        undecodable = self._settings.base64 and message.text is None
        if not done and not undecodable and message.dequeue_count < self._settings.max_dequeue_count:
            self._queue.hide(message, self._settings.visibility_seconds)
            return
        if not done:
            self._poison.create()
            self._poison.put_raw(message.raw)
            self._log.warning("a message of %s was given up and is in its poison queue", self.name)
        self._queue.delete(message)
