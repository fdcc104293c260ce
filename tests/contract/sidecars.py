"""Sidecars for tests: the real one, and a stand-in for machines without it that has passed the same suites.

The stand-in does what was observed of daprd 1.18.1 with scheduler 1.18.3 (each by calling it over gRPC and by listening
to its callbacks): an alarm that exists is ALREADY_EXISTS, deleting a missing one is OK, a past one rings at once, a
callback that is not answered 2xx comes again after the failure policy's interval, a dead scheduler leaves the sidecar's
health good and every call hanging, a wrong token is UNAUTHENTICATED, and a call that is not known UNIMPLEMENTED.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
from dapr.conf import settings
from dapr.proto import api_service_v1
from google.protobuf.empty_pb2 import Empty  # the answer's type matters to nobody, and it is as empty as theirs

from jobs.entrypoints.devhost.dapr import LocalDapr, free_ports
from tests.ports import HeldPorts

TOKEN = "token-of-the-sidecar"


class Callbacks:
    """The app as a sidecar sees it: takes down which alarms rang, and answers as it is told."""

    def __init__(self) -> None:
        rung = self.rung = list[str]()
        told = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.path.startswith("/job/"):
                    rung.append(self.path.removeprefix("/job/"))
                self._answer(told.status)

            def do_GET(self) -> None:
                self._answer(200 if self.path == "/api/health/live" else 404)

            def _answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.status = 200
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def real_sidecar(folder: Path) -> Iterator[Callbacks]:
    """Run scheduler and daprd with a recording app, and point the SDK at them."""
    callbacks = Callbacks()
    try:
        with HeldPorts() as ports, LocalDapr(folder, callbacks.port, ports.take) as dapr, pointed_at(dapr.environment):
            yield callbacks
    finally:
        callbacks.close()


@contextmanager
def pointed_at(environment: dict[str, str]) -> Iterator[None]:
    """Have the SDK find a sidecar; it has read its environment when it was imported."""
    names = ("DAPR_HTTP_PORT", "DAPR_GRPC_PORT", "DAPR_API_TOKEN")
    before = {name: getattr(settings, name) for name in names}
    for name in names:
        setattr(settings, name, environment[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)


class StandIn:
    """A sidecar in this process. ``stable`` False is one before 1.18; ``scheduler_dead`` leaves calls hanging."""

    def __init__(self, callbacks: Callbacks | None = None, *, stable: bool = True, jobs: bool = True) -> None:
        self.callbacks = callbacks
        self.scheduler_dead = False
        self.slow_seconds = 0.0
        self.calls: list[str] = []
        self._stable, self._jobs = stable, jobs
        self._alarms: dict[str, float] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._http = self._health_server()
        self._grpc = grpc.server(ThreadPoolExecutor(40))
        api_service_v1.add_DaprServicer_to_server(self._servicer(), self._grpc)
        port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        self.environment = {
            "DAPR_HTTP_PORT": str(self._http.server_port),
            "DAPR_GRPC_PORT": str(port),
            "DAPR_API_TOKEN": TOKEN,
        }
        self._ringer = threading.Thread(target=self._ring_due, daemon=True)
        self._ringer.start()

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._ringer.join()
        self._grpc.stop(0).wait()
        self._http.shutdown()
        self._http.server_close()

    def schedule(self, name: str, due_time: str) -> bool:
        with self._changed:
            if name in self._alarms:
                return False
            self._alarms[name] = datetime.fromisoformat(due_time).timestamp()
            self._changed.notify_all()
            return True

    def delete(self, name: str) -> None:
        with self._changed:
            self._alarms.pop(name, None)

    def admit(self, context: grpc.ServicerContext, call: str) -> None:
        self.calls.append(call)
        if dict(context.invocation_metadata()).get("dapr-api-token") != TOKEN:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "authentication error: api token mismatch")
        if not self._jobs or not (self._stable or call.endswith("Alpha1")):
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"unknown method {call}")
        time.sleep(self.slow_seconds)
        while self.scheduler_dead and context.is_active():
            time.sleep(0.01)

    def _servicer(self) -> api_service_v1.DaprServicer:
        sidecar = self

        class Servicer(api_service_v1.DaprServicer):
            def ScheduleJob(self, request, context, call="ScheduleJob"):  # noqa: N802  the protocol's name
                sidecar.admit(context, call)
                if not sidecar.schedule(request.job.name, request.job.due_time):
                    context.abort(grpc.StatusCode.ALREADY_EXISTS, "job already exists")
                return Empty()

            def ScheduleJobAlpha1(self, request, context):  # noqa: N802
                return self.ScheduleJob(request, context, "ScheduleJobAlpha1")

            def DeleteJob(self, request, context, call="DeleteJob"):  # noqa: N802
                sidecar.admit(context, call)
                sidecar.delete(request.name)
                return Empty()

            def DeleteJobAlpha1(self, request, context):  # noqa: N802
                return self.DeleteJob(request, context, "DeleteJobAlpha1")

        return Servicer()

    def _ring_due(self) -> None:
        with self._changed:
            while not self._closing:
                name, due = min(self._alarms.items(), key=lambda each: each[1], default=("", float("inf")))
                wait = due - datetime.now(UTC).timestamp()
                if wait > 0:
                    self._changed.wait(min(wait, 5))
                    continue
                answered = self._post(name)
                if answered:
                    del self._alarms[name]
                else:
                    self._alarms[name] = due + 5

    def _post(self, name: str) -> bool:
        assert self.callbacks is not None
        connection = HTTPConnection("127.0.0.1", self.callbacks.port, timeout=120)
        try:
            connection.request("POST", f"/job/{name}", body=b"")
            return connection.getresponse().status < 300
        finally:
            connection.close()

    @staticmethod
    def _health_server() -> ThreadingHTTPServer:
        class Health(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Health)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        return server


@contextmanager
def stand_in(*, stable: bool = True, jobs: bool = True) -> Iterator[StandIn]:
    """Run the stand-in with a recording app, and point the SDK at it."""
    callbacks = Callbacks()
    sidecar = StandIn(callbacks, stable=stable, jobs=jobs)
    try:
        with pointed_at(sidecar.environment):
            yield sidecar
    finally:
        sidecar.close()
        callbacks.close()


def nowhere() -> dict[str, str]:
    """Where no sidecar is."""
    http, channel = free_ports(2)
    return {"DAPR_HTTP_PORT": str(http), "DAPR_GRPC_PORT": str(channel), "DAPR_API_TOKEN": TOKEN}
