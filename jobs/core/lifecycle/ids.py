"""Job ids (time-ordered UUIDs) and alarm names."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from random import Random
from uuid import UUID, SafeUUID

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_ALARM_PARTS = 2
_HEX_DIGITS = 32

# Ids are not secret, so a generator seeded by the system is enough, at a tenth of a system call's cost. A forked child
# seeds its own.
_random = Random(os.urandom(64))  # noqa: S311
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(64)))
_MAX_GENERATION_DIGITS = 18


def new_id() -> UUID:
    """Return a version 7 UUID (RFC 9562, section 5.7): 48 bits of Unix milliseconds, 12 of their fraction, 62 random.

    Later ids sort later, to a quarter of a microsecond (section 6.2, method 3). So inserts go to the right-hand edge of
    the primary key, and jobs that are enqueued in one statement and due at the same instant run in order.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000 << 64
    return _uuid((milliseconds & 0xFFFF_FFFF_FFFF) << 80 | _VERSION_7 | fraction | _VARIANT | _random.getrandbits(62))


def _uuid(number: int) -> UUID:
    """Return a UUID without the constructor's checks of its other forms, as ``uuid.uuid7`` does in Python 3.14."""
    made = object.__new__(UUID)
    object.__setattr__(made, "int", number)
    object.__setattr__(made, "is_safe", SafeUUID.unknown)
    return made


@dataclass(frozen=True, slots=True)
class AlarmName:
    """The name of an alarm: the job to wake, and the generation of the alarm.

    The job's ``generation`` grows whenever its due time changes, so that earlier alarms have no effect.
    """

    job_id: UUID
    generation: int

    def __str__(self) -> str:
        """Return ``<32 hex digits>-<generation>``: characters that schedulers and URLs accept without escaping."""
        return f"{self.job_id.hex}-{self.generation}"

    @classmethod
    def parse(cls, text: str) -> AlarmName | None:
        """Read an alarm's name; None if ``text`` is not one that ``str`` returns."""
        parts = text.split("-")
        if len(parts) != _ALARM_PARTS or len(parts[0]) != _HEX_DIGITS or not parts[1].isascii():
            return None
        if not parts[1].isdigit() or len(parts[1]) > _MAX_GENERATION_DIGITS:
            return None
        try:
            name = cls(UUID(hex=parts[0]), int(parts[1]))
        except ValueError:
            return None
        return name if str(name) == text else None
