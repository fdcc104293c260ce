"""How the development host ends: what is claimed, and what is waited for, once it has said that it stops."""

import logging

import azure.functions as func

from jobs.entrypoints.devhost.built_in import built_in_host
from jobs.entrypoints.devhost.host.host import DevHost
from jobs.entrypoints.triggers.termination import ClosableApp


def test_no_work_is_claimed_any_more_while_the_host_waits_for_its_calls_to_end(monkeypatch):
    done: list[str] = []
    stop = DevHost.stop
    monkeypatch.setattr(DevHost, "stop", lambda host, *given: (done.append("the host stops"), stop(host, *given))[1])
    app = ClosableApp(
        func.FunctionApp(), lambda: done.append("the app closes"), lambda: done.append("nothing more is claimed")
    )
    kept = {each: (list(each.filters), each.formatter) for each in logging.getLogger().handlers}
    try:
        with built_in_host(app, 0):
            assert done == []
    finally:
        for handler, (filters, formatter) in kept.items():
            handler.filters[:] = filters
            handler.setFormatter(formatter)
    assert done[:3] == ["nothing more is claimed", "the host stops", "the app closes"]
