"""What failures have in common: the kind of error, the shape of its message, and where in the user's code it arose.

Failures with the same three have the same fingerprint. It is computed once, when an attempt is recorded, so that
reading groups of failures costs the same however many there are. The shape is the message without what differs from one
failure to the next: quoted texts, paths, addresses and every word with a digit. The place has no line number, so that a
release that moves lines makes no new group.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from jobs.core.lifecycle.status import FAULTS, AttemptOutcome

_LONGEST = 1_000
_LONGEST_SHAPE = 300
_ANY = "*"
_PLACE = re.compile(r" \(in (?P<function>[^()]{1,200}), (?P<file>[^()/]{1,200}):\d+\)$")
_VARYING = re.compile(
    r"""
    (?<!\w)(?:'[^']*'|"[^"]*"|`[^`]*`|“[^”]*”|„[^“]*“|«[^»]*»)(?!\w)  # quoted
    | \b[A-Za-z][A-Za-z0-9+.-]*://[^\s'"]+  # an address
    | (?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+
    | (?<![\w*])(?:[A-Za-z]:)?(?:[\\/][\w.@~+-]+)+[\\/]?  # a path
    | (?<!SQLSTATE\ )\b\w*\d\w*  # a number, an id
    """,
    re.VERBOSE,
)
_REPEATED = re.compile(r"\*(?:[\s.,:;/+_-]*\*)+")
_FAILED = FAULTS | {AttemptOutcome.LOST}


class Failure(NamedTuple):
    """The cause of a failed attempt. ``place`` is empty where no user code was involved."""

    kind: str
    message: str
    place: str

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, the same for every failure of this cause."""
        return hashlib.sha256("\0".join(self).encode("utf-8", "replace")).hexdigest()[:16]


LOST_WORKER = Failure(AttemptOutcome.LOST.value, "the worker was lost", "")
"""The cause of every attempt that lost its worker."""


def failure_of(outcome: AttemptOutcome, error: str | None) -> Failure | None:
    """Return the cause of an attempt with this outcome, from its error as the history has it; None if it did not fail.

    ``kind`` is the error's type, or the outcome where that says more.
    """
    if outcome not in _FAILED:
        return None
    if outcome is AttemptOutcome.LOST:
        return LOST_WORKER
    text, place = error or "", ""
    if (found := _PLACE.search(text[-500:])) is not None:
        place = f"{found['function']}, {found['file']}"
        text = text[: len(text) - len(found[0])]
    kind = outcome.value
    if outcome is AttemptOutcome.FAILED:
        name, colon, rest = text.partition(": ")
        if colon and name.isidentifier():
            kind, text = name, rest
    return Failure(kind, _shape(text), place)


def fingerprint_of(outcome: AttemptOutcome, error: str | None) -> str | None:
    """Return the fingerprint of an attempt's cause; None if it did not fail."""
    failure = failure_of(outcome, error)
    return None if failure is None else failure.fingerprint


def _shape(message: str) -> str:
    short = _VARYING.sub(_ANY, " ".join(message[:_LONGEST].split()))
    return _REPEATED.sub(_ANY, short)[:_LONGEST_SHAPE]
