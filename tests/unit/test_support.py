"""What the tests stand on."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import ROOT, instant

CHILD = "import os, signal; os.kill(os.getpid(), signal.SIG{name}); print('it lives on')"
PARENT = """
import subprocess, sys
from tests.support import start_children_with_default_signals
start_children_with_default_signals()
print(subprocess.run([sys.executable, "-c", sys.argv[1]], stderr=subprocess.DEVNULL).returncode)
"""


@pytest.mark.parametrize("name", ["HUP", "INT"])
def test_what_a_test_starts_heeds_a_signal_that_the_tests_were_started_to_ignore(name):
    started = f'trap \'\' {name}; exec "$0" "$@"'
    done = subprocess.run(
        ["sh", "-c", started, sys.executable, "-c", PARENT, CHILD.format(name=name)],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert int(done.stdout) != 0


def test_instants_compare_though_only_some_have_a_fraction():
    assert instant("2027-01-04T08:30:00.034604Z") > instant("2027-01-04T08:30:00Z")
