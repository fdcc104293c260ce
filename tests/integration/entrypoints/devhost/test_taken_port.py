"""A port that somebody else listens on is named, with what to do about it."""

from __future__ import annotations

import socket

from tests.warm import warm_run


def test_a_taken_port_is_reported_in_one_sentence_with_the_remedy() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = warm_run(["-m", "jobs", "dev", "--port", str(port)])
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
