"""Say at the command line, in a sentence, that this Python lacks the app's packages. Imports none of them itself."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS = "jobs"


@contextmanager
def packages_needed(*, at_the_command_line: bool) -> Iterator[None]:
    """End the process with the mend if an import in the block finds a package missing; elsewhere let it be raised."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not at_the_command_line or (error.name or _OURS).partition(".")[0] == _OURS:
            raise
        sys.exit(
            f"error: the packages of requirements.txt are missing in this Python, {sys.executable} ({error}): run "
            "`make run` once and use .venv/bin/python, or `. .venv/bin/activate`"
        )


def is_run_as_a_module() -> bool:
    """Whether Python is still looking for the module that ``python -m`` named: then its first argument is ``-m``."""
    return sys.argv[:1] == ["-m"]
