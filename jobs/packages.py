"""Say at the command line, in a sentence, that this Python is too old or lacks the app's packages.

It imports none of them, and no syntax that an old Python cannot read, for it is what that one reads first.
"""

import sys
from contextlib import contextmanager
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS = "jobs"
_OLDEST = (3, 11)


@contextmanager
def packages_needed(*, at_the_command_line: bool) -> "Iterator[None]":
    """End the process with the mend if an import in the block finds a package missing; elsewhere raise the error.

    A Python that is too old ends it before the block.
    """
    if at_the_command_line and sys.version_info < _OLDEST:
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"error: this is Python {version}, {sys.executable}, and 3.11 to 3.14 are supported: {_mend()}")
    try:
        yield
    except ModuleNotFoundError as error:
        if not at_the_command_line or (error.name or _OURS).partition(".")[0] == _OURS:
            raise
        sys.exit(
            f"error: the packages of requirements.txt are missing in this Python, {sys.executable} ({error}): {_mend()}"
        )


def _mend() -> str:
    command = " ".join([".venv/bin/python -m jobs", *map(quote, sys.argv[1:])])
    return f"run `make run` once, then `{command}`; or enter the environment with `. .venv/bin/activate`"


def is_run_as_a_module() -> bool:
    """Whether Python is still looking for the module that ``python -m`` named: then its first argument is ``-m``."""
    return sys.argv[:1] == ["-m"]
