"""Queue triggers under the development host, on a real storage emulator, as the Functions host serves them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import azure.functions as func
import pytest

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.host import queues as module
from jobs.entrypoints.devhost.host.host import DevHost, DevHostError
from jobs.entrypoints.devhost.host.queue_settings import QueueSettings, read_queue_settings
from tests.support import most_at_once, until

QUICK = QueueSettings(max_polling_seconds=0.2)


@contextmanager
def listening(
    queues, handle: Callable[[func.QueueMessage], None], settings: QueueSettings = QUICK
) -> Iterator[DevHost]:
    """Serve an app whose only function is called with each message."""
    app = func.FunctionApp()

    @app.function_name("listen")
    @app.queue_trigger(arg_name="message", queue_name="any", connection="AzureWebJobsStorage")
    async def listen(message: func.QueueMessage, context: func.Context) -> None:
        assert context.function_name == "listen"
        handle(message)

    host = DevHost(app, port=0, open_queues=lambda *_: queues, queue_settings=settings)
    with host:
        yield host


@pytest.fixture
def queue(queues):
    queues[0].create()
    return queues[0]


@pytest.fixture
def poison(queues):
    return queues[1]


class Calls:
    """Takes down the calls, and from when until when each lasted; ``hold`` is waited for in each."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.tries: list[tuple[float, int]] = []
        self.spells: list[tuple[float, float]] = []
        self.hold = threading.Event()
        self.hold.set()
        self.fails = False

    def __call__(self, message: func.QueueMessage) -> None:
        began = time.monotonic()
        self.tries.append((began, message.dequeue_count))
        self.texts.append(message.get_body().decode())
        self.hold.wait(60)
        self.spells.append((began, time.monotonic()))
        if self.fails:
            raise RuntimeError("as it was told")


@pytest.fixture
def calls():
    calls = Calls()
    yield calls
    calls.hold.set()


def test_a_message_calls_its_function_and_is_deleted(queues, queue, calls):
    with listening(queues, calls):
        queue.put("hello")
        until(lambda: calls.spells)
        until(lambda: queue.count() == 0)
    assert (calls.texts, calls.tries[0][1]) == (["hello"], 1)


def test_a_queue_that_does_not_exist_yet_is_waited_for(queues, calls):
    with listening(queues, calls):
        time.sleep(0.3)
        queues[0].create()
        queues[0].put("hello")
        until(lambda: calls.spells)


@pytest.mark.parametrize(("batch", "threshold", "most"), [(1, 3, 4), (4, 0, 4), (2, 2, 4), (1, 0, 1)])
def test_at_most_a_batch_and_its_threshold_run_at_once(queues, queue, calls, batch, threshold, most):
    calls.hold.clear()
    for number in range(12):
        queue.put(str(number))
    with listening(queues, calls, replace(QUICK, batch_size=batch, new_batch_threshold=threshold)):
        # A service may give less than a batch, and with more than the threshold at work no further one is asked for.
        until(lambda: len(calls.texts) > threshold)
        time.sleep(0.5)  # in which more would begin
        assert threshold < len(calls.texts) <= most
        calls.hold.set()
        until(lambda: len(calls.spells) == 12)
    assert most_at_once(calls.spells) <= most


def test_a_message_whose_function_runs_on_is_kept_hidden(queues, queue, calls, monkeypatch):
    monkeypatch.setattr(module, "_HIDDEN_SECONDS", 2)
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.1)
    calls.hold.clear()
    queue.put("long")
    with listening(queues, calls):
        until(lambda: calls.texts)
        time.sleep(4)
        assert queue.take(1, hidden_for=1) == []
        calls.hold.set()
        until(lambda: queue.count() == 0)
    assert calls.texts == ["long"]


def test_a_message_that_expires_while_its_function_runs_is_done_with_all_the_same(queues, queue, calls, caplog):
    calls.hold.clear()
    queue.put("look", expires_in=2)
    with listening(queues, calls):
        until(lambda: calls.texts)
        until(lambda: queue.count() == 0)
        calls.hold.set()
        until(lambda: not any(thread.name.startswith("devhost-listen") for thread in threading.enumerate()))
    assert "was not completed" not in caplog.text


def test_a_message_that_is_taken_a_second_time_while_its_function_runs_is_done_with(
    queues, queue, calls, caplog, monkeypatch
):
    monkeypatch.setattr(module, "_HIDDEN_SECONDS", 1)
    monkeypatch.setattr(module.QueueListener, "_keep_hidden", lambda _: None)
    calls.hold.clear()
    queue.put("long")
    with listening(queues, calls):
        until(lambda: len(calls.texts) == 2)
        calls.hold.set()
        until(lambda: queue.count() == 0)
        until(lambda: not any(thread.name.startswith("devhost-listen") for thread in threading.enumerate()))
    assert "was not completed" not in caplog.text


def test_a_function_that_fails_is_tried_five_times_within_a_moment_and_its_message_is_given_up(
    queues, queue, poison, calls
):
    calls.fails = True
    queue.put("bad")
    with listening(queues, calls):
        until(lambda: queue.count() == 0)
        until(lambda: _counted(poison) == 1)
    assert [tries for _, tries in calls.tries] == [1, 2, 3, 4, 5]
    [given_up] = poison.take(1, hidden_for=1)
    assert given_up.text == "bad"


def test_tries_are_spaced_and_counted_as_host_json_says(queues, queue, poison, calls):
    calls.fails = True
    queue.put("bad")
    with listening(queues, calls, replace(QUICK, visibility_seconds=1, max_dequeue_count=3)):
        until(lambda: _counted(poison) == 1)
    (first, _), (second, _), (third, _) = calls.tries
    assert second - first > 0.9
    assert third - second > 0.9


def test_a_message_that_is_no_base64_is_given_up_without_a_call(queues, queue, poison, calls):
    queue.put_raw("{plain}")
    with listening(queues, calls):
        until(lambda: _counted(poison) == 1)
    assert calls.texts == []


def test_without_an_encoding_a_message_is_taken_as_it_is(queues, queue, calls):
    queue.put_raw("{plain}")
    with listening(queues, calls, replace(QUICK, base64=False)):
        until(lambda: calls.texts == ["{plain}"])


def test_a_call_under_way_is_waited_for_at_the_end_and_no_other_begins(queues, queue, calls):
    calls.hold.clear()
    queue.put("first")
    with listening(queues, calls, replace(QUICK, batch_size=1, new_batch_threshold=0)) as host:
        until(lambda: calls.texts)
        queue.put("second")
        threading.Timer(0.5, calls.hold.set).start()
        assert host.stop()
    assert calls.texts == ["first"]
    assert len(calls.spells) == 1
    assert queue.count() == 1


def test_an_emulator_that_is_away_is_told_of_once_and_waited_for(azurite, queues, queue, calls, caplog):
    with listening(queues, calls):
        azurite.kill()
        until(lambda: any("cannot be read" in record.getMessage() for record in caplog.records))
        azurite.start()
        queue.create()  # it forgets what it has not written yet
        queue.put("after")
        until(lambda: calls.texts == ["after"])
    assert sum("cannot be read" in record.getMessage() for record in caplog.records) == 1


def _counted(queue) -> int:
    queue.create()
    return queue.count()


class TestSettings:
    def test_without_any_the_hosts_defaults_hold(self, tmp_path):
        assert read_queue_settings(tmp_path / "host.json", {}) == QueueSettings()

    def test_app_settings_win_over_host_json(self, tmp_path):
        path = tmp_path / "host.json"
        path.write_text(
            '{"extensions": {"queues": {"batchSize": 1, "newBatchThreshold": 15, "maxPollingInterval": "00:00:02",'
            '"visibilityTimeout": "00:00:30", "maxDequeueCount": 9, "messageEncoding": "none"}}}'
        )
        assert read_queue_settings(path, {}) == QueueSettings(1, 15, 2.0, 30, 9, base64=False)
        override = {"AzureFunctionsJobHost__extensions__queues__newBatchThreshold": "0"}
        assert read_queue_settings(path, override).new_batch_threshold == 0

    def test_the_threshold_is_half_of_the_batch_unless_it_is_set(self, tmp_path):
        path = tmp_path / "host.json"
        path.write_text('{"extensions": {"queues": {"batchSize": 32}}}')
        assert read_queue_settings(path, {}).new_batch_threshold == 16

    @pytest.mark.parametrize(
        "value",
        ['{"batchSize": "many"}', '{"batchSize": 33}', '{"batchSize": 0}', '{"maxPollingInterval": "soon"}', "[]"],
    )
    def test_a_value_that_cannot_be_used_is_named_with_its_file(self, tmp_path, value):
        path = tmp_path / "host.json"
        path.write_text(f'{{"extensions": {{"queues": {value}}}}}')
        with pytest.raises(ConfigurationError, match=r"host\.json has no usable extensions\.queues"):
            read_queue_settings(path, {})


class TestLoading:
    @staticmethod
    def app(queue_name: str = "orders", annotation: type = func.QueueMessage) -> func.FunctionApp:
        app = func.FunctionApp()

        def listen(message) -> None:
            pass

        listen.__annotations__["message"] = annotation
        app.queue_trigger(arg_name="message", queue_name=queue_name, connection="Orders")(listen)
        return app

    def test_the_queues_name_may_stand_in_a_setting(self, monkeypatch):
        monkeypatch.setenv("ORDERS_QUEUE", "orders-now")
        [function] = DevHost(self.app("%ORDERS_QUEUE%")).functions
        assert (function.queue.queue, function.queue.connection) == ("orders-now", "Orders")

    def test_a_setting_that_is_missing_is_named(self):
        with pytest.raises(DevHostError, match="MISSING_QUEUE is missing"):
            DevHost(self.app("%MISSING_QUEUE%"))

    def test_another_annotation_than_a_message_is_refused(self):
        with pytest.raises(DevHostError, match="QueueMessage"):
            DevHost(self.app(annotation=func.TimerRequest))

    def test_without_queues_the_function_is_not_called_and_the_log_says_so(self, caplog):
        caplog.set_level(logging.WARNING)
        with DevHost(self.app(), port=0):
            pass
        assert "was given no queues" in caplog.text
