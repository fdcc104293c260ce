"""How the development host ends: what is claimed, and what is waited for, once it has said that it stops."""

import logging
import threading

import azure.functions as func

from jobs.entrypoints.devhost import run
from jobs.entrypoints.devhost.host.host import DevHost
from jobs.entrypoints.triggers.termination import ClosableApp


def test_no_work_is_claimed_any_more_while_the_host_waits_for_its_calls_to_end(monkeypatch):
    done: list[str] = []
    stop = DevHost.stop
    monkeypatch.setattr(DevHost, "stop", lambda host: (done.append("the host stops"), stop(host))[1])
    app = ClosableApp(
        func.FunctionApp(), lambda: done.append("the app closes"), lambda: done.append("nothing more is claimed")
    )
    filters = {handler: list(handler.filters) for handler in logging.getLogger().handlers}
    try:
        with run._hosted(run.DevOptions(port=0, host="builtin"), lambda: app, threading.Event()):
            assert done == []
    finally:
        for handler, before in filters.items():
            handler.filters[:] = before
    assert done[:3] == ["nothing more is claimed", "the host stops", "the app closes"]
