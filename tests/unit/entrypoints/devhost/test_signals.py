"""A signal ends a local start whichever of its threads the kernel gives it to."""

from __future__ import annotations

from tests.warm import warm_run

CODE = """
import os, signal, threading
from jobs.entrypoints.devhost.signals import wait_for

stop, waiting = threading.Event(), threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())

def be_given_the_signal():
    waiting.wait(60)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Event().wait(600)

threading.Thread(target=be_given_the_signal, daemon=True).start()
threading.Timer(0.2, waiting.set).start()
wait_for(stop)
print("it ended", flush=True)
os._exit(0)
"""


def test_a_signal_that_another_thread_is_given_ends_the_wait_of_the_main_one():
    assert warm_run(["-c", CODE]).stdout == "it ended\n"
