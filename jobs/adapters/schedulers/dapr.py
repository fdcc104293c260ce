"""Dapr Jobs: alarms are one-shot jobs of the sidecar's scheduler, which calls ``POST /job/<alarm>`` when they are due.

Written against Dapr 1.18 and, by the SDK's fallback to the alpha1 calls, 1.16. Importing this module imports the SDK,
about half a second and 50 MB, so only ``bootstrap`` does, and only when this scheduler is chosen.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
from dapr.clients.exceptions import DaprGrpcError
from dapr.clients.grpc._jobs import ConstantFailurePolicy, Job
from dapr.clients.grpc.client import DaprGrpcClient
from dapr.clients.retry import RetryPolicy
from dapr.conf import settings as dapr_settings

from jobs.adapters.schedulers.circuit_breaker import CircuitBreaker
from jobs.core.errors import SchedulerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.ports.scheduler import Alarm

_logger = logging.getLogger("jobs.scheduler")
_DEADLINE_SECONDS = 2.0
_PATIENCE_SECONDS = 1.0
_PARALLEL_CALLS = 16
_PROBE = "probe-of-the-circuit-breaker"

# Without a maximum: the callback answers 200 to everything that it has understood, so what is delivered again is only
# what met a fault of the infrastructure. Dapr's own default gives a one-shot up after three seconds.
_FAILURE_POLICY = ConstantFailurePolicy(max_retries=None, interval_seconds=5)
_AT_ONCE = frozenset(
    {
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAVAILABLE,
    }
)
"""Failures of which one is enough: the next caller would not fare better, and had to wait to find out."""


class DaprScheduler:
    """The ``Scheduler`` port on Dapr Jobs; lives as long as the process, connects when first used.

    Where the sidecar is, and with which token, the SDK reads from ``DAPR_GRPC_ENDPOINT`` or ``DAPR_GRPC_PORT``,
    ``DAPR_HTTP_PORT`` and ``DAPR_API_TOKEN``, which Dapr sets. (The sidecar's health stays good when its scheduler is
    dead, and each call would then hang for 30 s.) A caller waits ``patience_seconds`` for an answer and then goes on;
    from the first that is not had, every call fails at once until a probe in the background succeeds, which may take
    ``deadline_seconds``. What could not be set meanwhile is for ``on_return`` to set.
    """

    name = "dapr"
    holds_alarms = True

    def __init__(
        self,
        *,
        deadline_seconds: float = _DEADLINE_SECONDS,
        patience_seconds: float = _PATIENCE_SECONDS,
        parallel_calls: int = _PARALLEL_CALLS,
    ) -> None:
        self.on_return: Callable[[], object] = lambda: None
        self._deadline = deadline_seconds
        self._patience = min(patience_seconds, deadline_seconds)
        self._parallel = parallel_calls
        self._breaker = self._new_breaker()
        self._lock = threading.Lock()
        self._client: DaprGrpcClient | None = None
        self._pool: ThreadPoolExecutor | None = None

    @property
    def available(self) -> bool:
        """False while the sidecar or its scheduler is known to be away."""
        return self._breaker.why_open is None

    @property
    def unavailable_reason(self) -> str | None:
        """What the sidecar or its scheduler last failed with."""
        return self._breaker.why_open

    def arm_many(self, alarms: Sequence[Alarm]) -> set[AlarmName]:
        """Schedule a one-shot for each alarm, several at a time; one that is there already stays as it is."""
        wanted = {alarm.name: alarm for alarm in alarms}
        return self._each(wanted, lambda client, name: self._arm(client, wanted[name]))

    def disarm_many(self, names: Iterable[AlarmName]) -> None:
        """Delete the one-shots of these exact names."""
        self._each(dict.fromkeys(names), lambda client, name: client.delete_job(str(name)))

    def close(self) -> None:
        """Close the connection; a later call makes a new one."""
        self._breaker.close()
        with self._lock:
            client, self._client = self._client, None
            pool, self._pool = self._pool, None
            self._breaker = self._new_breaker()
        if pool is not None:
            pool.shutdown(cancel_futures=True)
        if client is not None:
            client.close()

    def _new_breaker(self) -> CircuitBreaker:
        return CircuitBreaker("the Dapr scheduler", self._probe, on_close=self._returned)

    def _returned(self) -> None:
        self.on_return()

    def _arm(self, client: DaprGrpcClient, alarm: Alarm) -> None:
        due = alarm.due_at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
        try:
            # Not overwriting: an alarm's name is never used for another time, and overwriting one that is ringing makes
            # a second beside it.
            client.schedule_job(Job(name=str(alarm.name), due_time=due, failure_policy=_FAILURE_POLICY))
        except DaprGrpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise

    def _each(self, names: dict[AlarmName, Any], call: Callable[[DaprGrpcClient, AlarmName], object]) -> set[AlarmName]:
        """Call for each name; returns those that went well. Raises ``SchedulerUnavailable`` if none did."""
        if not names:
            return set()
        client = self._connected()
        results = (
            [_Result(name, self._tried(client, name, call)) for name in names]
            if len(names) == 1
            else list(self._workers().map(lambda name: _Result(name, self._tried(client, name, call)), names))
        )
        done = {result.name for result in results if result.why_not is None}
        if not done:
            raise SchedulerUnavailable(next(result.why_not for result in results if result.why_not is not None))
        return done

    def _tried(
        self, client: DaprGrpcClient, name: AlarmName, call: Callable[[DaprGrpcClient, AlarmName], object]
    ) -> str | None:
        """Call once unless the breaker is open; returns why it failed, None if it went well."""
        if self._breaker.why_open is not None:
            return self._breaker.why_open
        try:
            call(client, name)
        except DaprGrpcError as error:
            why = _in_words(error)
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                _logger.error("Dapr does not take the alarm %s: %s", name, why)  # noqa: TRY400
            else:
                self._breaker.failed(why, for_good=error.code() in _AT_ONCE)
            return why
        except (grpc.RpcError, ValueError) as error:
            why = f"the connection to the Dapr sidecar was closed: {error}"
            self._breaker.failed(why)
            return why
        self._breaker.succeeded()
        return None

    def _connected(self) -> DaprGrpcClient:
        client = self._client
        why = self._breaker.why_open
        if client is not None and why is None:
            return client
        with self._lock:
            why = self._breaker.why_open
            if why is not None:
                raise SchedulerUnavailable(why)
            if self._client is None:
                try:
                    self._client = self._connect(_Deadline(self._patience))
                except SchedulerUnavailable as error:
                    self._breaker.failed(str(error), for_good=True)
                    raise
            return self._client

    def _connect(self, deadline: _Deadline) -> DaprGrpcClient:
        """Make a client. Its constructor polls the sidecar's health for a minute as a rule; here it looks once."""
        patience, dapr_settings.DAPR_HEALTH_TIMEOUT = dapr_settings.DAPR_HEALTH_TIMEOUT, 0
        try:
            return DaprGrpcClient(retry_policy=deadline)
        except (TimeoutError, OSError) as error:
            raise SchedulerUnavailable(
                f"no Dapr sidecar is ready on {dapr_settings.DAPR_RUNTIME_HOST}, port {dapr_settings.DAPR_HTTP_PORT} "
                "(HTTP), or it refuses this app; start the app with `dapr run`, or set DAPR_HTTP_PORT, DAPR_GRPC_PORT "
                "and DAPR_API_TOKEN to the sidecar's"
            ) from error
        finally:
            dapr_settings.DAPR_HEALTH_TIMEOUT = patience

    def _probe(self) -> None:
        """Raise unless sidecar and scheduler answer. On a new connection: an old one may be waiting to reconnect."""
        deadline = _Deadline(self._deadline)
        client = self._connect(deadline)
        began = time.monotonic()
        try:
            client.delete_job(_PROBE)  # deleting what is not there is answered without an error
        except DaprGrpcError as error:
            client.close()
            raise SchedulerUnavailable(_in_words(error)) from error
        # Of one that is slow, callers must be more patient, or it would be taken for dead again and again.
        deadline.seconds = min(max(self._patience, 3 * (time.monotonic() - began)), self._deadline)
        with self._lock:
            old, self._client = self._client, client
        if old is not None:
            old.close()

    def _workers(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._parallel, thread_name_prefix="jobs-dapr")
            return self._pool


class _Result(NamedTuple):
    name: AlarmName
    why_not: str | None


class _Deadline(RetryPolicy):  # type: ignore[misc]
    """Gives every call of our client a deadline and no second try, and leaves other clients of the same SDK alone.

    The SDK makes each call through its retry policy, so this costs no further layer of interceptors.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(max_attempts=0)
        self.seconds = seconds

    def run_rpc(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return func(*args, timeout=self.seconds, **kwargs)


def _in_words(error: DaprGrpcError) -> str:
    code, said = error.code(), error.details()
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return "Dapr's scheduler service does not answer; the sidecar does: see whether dapr-scheduler is running"
        case grpc.StatusCode.UNAVAILABLE:
            return f"the Dapr sidecar cannot be reached: {said}"
        case grpc.StatusCode.UNIMPLEMENTED:
            return "this Dapr sidecar has no Jobs API; the reconciler runs what is due, or set JOBS_SCHEDULER to timer"
        case grpc.StatusCode.UNAUTHENTICATED:
            return f"the Dapr sidecar refuses this app; set DAPR_API_TOKEN to the sidecar's own: {said}"
    return f"Dapr answered {code.name}: {said}"
