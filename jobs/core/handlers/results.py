"""Results of runs: JSON of at most 64 KiB."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.errors import InvalidInput, InvalidResult
from jobs.core.strict_json import write_json

if TYPE_CHECKING:
    from jobs.core.lifecycle.job import JsonValue

MAX_RESULT = 64 * 1024
"""The largest result, in bytes of JSON."""


def result_json(value: JsonValue) -> str:
    """Return ``value`` as JSON text; raises ``InvalidResult`` if it is not JSON or longer than ``MAX_RESULT``."""
    try:
        text = write_json(value, "/result")
    except InvalidInput as error:
        raise InvalidResult(f"a result is a JSON value: {error}") from None
    if len(text.encode()) > MAX_RESULT:
        raise InvalidResult(
            f"a result has at most {MAX_RESULT} bytes of JSON, this has {len(text.encode())}; keep it elsewhere, "
            "and give here where it is"
        )
    return text
