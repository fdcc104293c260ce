"""Dapr Jobs: alarms are one-shot jobs of the sidecar's scheduler, which calls ``POST /job/<alarm>`` when they are due.

Written for Dapr 1.18 and, by the SDK's fallback to the alpha1 API, 1.16. Importing this module imports the SDK, which
takes about half a second and 50 MB. So only ``bootstrap`` imports it, and only if this scheduler is selected.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC
from typing import TYPE_CHECKING, Any

import grpc
from dapr.clients.exceptions import DaprGrpcError
from dapr.clients.grpc._jobs import ConstantFailurePolicy, Job
from dapr.clients.grpc.client import DaprGrpcClient
from dapr.clients.retry import RetryPolicy
from dapr.conf import settings as dapr_settings

from jobs.adapters.schedulers.circuit_breaker import CircuitBreaker
from jobs.adapters.schedulers.parallel_calls import ParallelCalls
from jobs.core.errors import SchedulerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from jobs.core.lifecycle.ids import AlarmName
    from jobs.core.ports.scheduler import Alarm

_logger = logging.getLogger("jobs.scheduler")
_PROBE_TIMEOUT_SECONDS = 2.0
_CALL_TIMEOUT_SECONDS = 1.0
_PARALLEL_CALLS = 16
_PROBE = "probe-of-the-circuit-breaker"

# Without a maximum: the callback responds with 200 to every alarm that it understands, so only failures of the
# infrastructure are retried. Dapr's own default drops a one-shot job after three seconds.
_FAILURE_POLICY = ConstantFailurePolicy(max_retries=None, interval_seconds=5)
_OPENS_BREAKER = frozenset(
    {
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNAVAILABLE,
    }
)
"""Errors of which one opens the breaker: the next call would fail as well, after a wait."""


class DaprScheduler:
    """The ``Scheduler`` port on Dapr Jobs. Lives as long as the process; connects on first use.

    The SDK reads the sidecar's address and token from ``DAPR_GRPC_ENDPOINT`` or ``DAPR_GRPC_PORT``, ``DAPR_HTTP_PORT``
    and ``DAPR_API_TOKEN``, which Dapr sets. A sidecar reports healthy even if its scheduler is dead, and each call then
    hangs for 30 s. So a call times out after ``call_timeout_seconds``. From the first timeout on every call fails at
    once, until a probe in the background succeeds within ``probe_timeout_seconds``. ``on_return`` is then called, to
    set the alarms that could not be set.
    """

    name = "dapr"
    holds_alarms = True
    horizon = None

    def __init__(
        self,
        *,
        probe_timeout_seconds: float = _PROBE_TIMEOUT_SECONDS,
        call_timeout_seconds: float = _CALL_TIMEOUT_SECONDS,
        parallel_calls: int = _PARALLEL_CALLS,
    ) -> None:
        self.on_return: Callable[[], object] = lambda: None
        self._probe_timeout = probe_timeout_seconds
        self._call_timeout = min(call_timeout_seconds, probe_timeout_seconds)
        self._calls = ParallelCalls(parallel_calls, "jobs-dapr")
        self._breaker = self._new_breaker()
        self._lock = threading.Lock()
        self._client: DaprGrpcClient | None = None

    @property
    def available(self) -> bool:
        """False while the sidecar or its scheduler is known to be unavailable."""
        return self._breaker.why_open is None

    @property
    def unavailable_reason(self) -> str | None:
        """The last error of the sidecar or its scheduler; None while they are available."""
        return self._breaker.why_open

    def arm_many(self, alarms: Sequence[Alarm]) -> set[AlarmName]:
        """Schedule a one-shot job for each alarm, several in parallel; an existing one stays as it is."""
        wanted = {alarm.name: alarm for alarm in alarms}
        return self._call_each(wanted, lambda client, name: self._arm(client, wanted[name]))

    def disarm_many(self, names: Iterable[AlarmName]) -> None:
        """Delete the one-shot jobs of exactly these names."""
        self._call_each(dict.fromkeys(names), lambda client, name: client.delete_job(str(name)))

    def put_back(self, name: AlarmName, seconds: float) -> None:
        """Do nothing: a callback that fails is repeated."""

    def backlog(self) -> None:
        """Return None: the sidecar lists no jobs."""

    def close(self) -> None:
        """Close the connection; a later call connects again."""
        self._breaker.close()
        with self._lock:
            client, self._client = self._client, None
            self._breaker = self._new_breaker()
        self._calls.close()
        if client is not None:
            client.close()

    def _new_breaker(self) -> CircuitBreaker:
        return CircuitBreaker("the Dapr scheduler", self._probe, on_close=self._returned)

    def _returned(self) -> None:
        self.on_return()

    def _arm(self, client: DaprGrpcClient, alarm: Alarm) -> None:
        due = alarm.due_at.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
        try:
            # Do not overwrite: an alarm's name is never used for another time, and overwriting one that is firing
            # creates a second one.
            client.schedule_job(Job(name=str(alarm.name), due_time=due, failure_policy=_FAILURE_POLICY))
        except DaprGrpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise

    def _call_each(
        self, names: dict[AlarmName, Any], call: Callable[[DaprGrpcClient, AlarmName], object]
    ) -> set[AlarmName]:
        """Call for each name; returns the names that succeeded. Raises ``SchedulerUnavailable`` if none did."""
        if not names:
            return set()
        client = self._connected()
        return self._calls.each(names, lambda name: self._call_once(client, name, call))

    def _call_once(
        self, client: DaprGrpcClient, name: AlarmName, call: Callable[[DaprGrpcClient, AlarmName], object]
    ) -> str | None:
        """Call once unless the breaker is open; returns the error as text, None if the call succeeded."""
        if self._breaker.why_open is not None:
            return self._breaker.why_open
        try:
            call(client, name)
        except DaprGrpcError as error:
            why = _describe(error)
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                _logger.error("Dapr does not take the alarm %s: %s", name, why)  # noqa: TRY400
            else:
                self._breaker.failed(why, open_now=error.code() in _OPENS_BREAKER)
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
                    self._client = self._connect(_Timeout(self._call_timeout))
                except SchedulerUnavailable as error:
                    self._breaker.failed(str(error), open_now=True)
                    raise
            return self._client

    def _connect(self, timeout: _Timeout) -> DaprGrpcClient:
        """Create a client. Its constructor normally polls the sidecar's health for a minute; here it checks it once."""
        default, dapr_settings.DAPR_HEALTH_TIMEOUT = dapr_settings.DAPR_HEALTH_TIMEOUT, 0
        try:
            return DaprGrpcClient(retry_policy=timeout)
        except (TimeoutError, OSError) as error:
            raise SchedulerUnavailable(
                f"no Dapr sidecar is ready on {dapr_settings.DAPR_RUNTIME_HOST}, port {dapr_settings.DAPR_HTTP_PORT} "
                "(HTTP), or it refuses this app; start the app with `dapr run`, or set DAPR_HTTP_PORT, DAPR_GRPC_PORT "
                "and DAPR_API_TOKEN to the sidecar's"
            ) from error
        finally:
            dapr_settings.DAPR_HEALTH_TIMEOUT = default

    def _probe(self) -> None:
        """Raise unless sidecar and scheduler respond. Uses a new connection: an old one may be waiting to reconnect."""
        timeout = _Timeout(self._probe_timeout)
        client = self._connect(timeout)
        began = time.monotonic()
        try:
            client.delete_job(_PROBE)  # deleting a job that does not exist is no error
        except DaprGrpcError as error:
            client.close()
            raise SchedulerUnavailable(_describe(error)) from error
        # A slow sidecar needs a longer timeout, or it would be considered dead again and again.
        timeout.seconds = min(max(self._call_timeout, 3 * (time.monotonic() - began)), self._probe_timeout)
        with self._lock:
            old, self._client = self._client, client
        if old is not None:
            old.close()


class _Timeout(RetryPolicy):  # type: ignore[misc]
    """A retry policy of the SDK that sets a timeout on every call of this client and never retries."""

    def __init__(self, seconds: float) -> None:
        super().__init__(max_attempts=0)
        self.seconds = seconds

    def run_rpc(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return func(*args, timeout=self.seconds, **kwargs)


def _describe(error: DaprGrpcError) -> str:
    code, details = error.code(), error.details()
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return "Dapr's scheduler service does not answer; the sidecar does: see whether dapr-scheduler is running"
        case grpc.StatusCode.UNAVAILABLE:
            return f"the Dapr sidecar cannot be reached: {details}"
        case grpc.StatusCode.UNIMPLEMENTED:
            return "this Dapr sidecar has no Jobs API; the reconciler runs what is due, or set JOBS_SCHEDULER to timer"
        case grpc.StatusCode.UNAUTHENTICATED:
            return f"the Dapr sidecar refuses this app; set DAPR_API_TOKEN to the sidecar's own: {details}"
    return f"Dapr answered {code.name}: {details}"
