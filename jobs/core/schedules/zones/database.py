"""Time zones, from the database of the ``tzdata`` package and no other.

Hosts differ in the release of their own database, and some have none. The package is pinned with the app, so that a
schedule means the same on every instance, on the machine where it was previewed, and until the app is deployed again.
"""

from __future__ import annotations

import re
from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from jobs.core.errors import InvalidSchedule
from jobs.core.schedules.zones.names import is_zone_name, suggestion_for

_NAME = re.compile(r"(?!right/|posix/|localtime$|posixrules$|Factory$)[A-Za-z0-9_+/-]{1,64}", re.ASCII)


@lru_cache(maxsize=1024)
def load_zone(name: str) -> tzinfo:
    """Load an IANA time zone; "UTC" is ``datetime.UTC``. Raises ``InvalidSchedule`` at ``/timezone``."""
    if name == "UTC":
        return UTC
    if _NAME.fullmatch(name):
        # Imported here: a cold start with jobs in UTC alone need not pay for it.
        from importlib.resources import files  # noqa: PLC0415

        try:
            with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
                zone = ZoneInfo.from_file(data, key=name)
        except (ValueError, OSError):  # no zone's data, no such file, or a directory
            zone = None
        # Case-insensitive file systems find europe/berlin as well; the next host would refuse the same job.
        if zone is not None and is_zone_name(name):
            return zone
    raise InvalidSchedule.at("/timezone", suggestion_for(name))


@lru_cache(maxsize=256)
def rules_of(name: str) -> bytes:
    """Return the data of a zone that ``load_zone`` accepts; it is equal for two names (aliases) of one zone."""
    from importlib.resources import files  # noqa: PLC0415

    return files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def zone_release() -> str:
    """Return the release of the time zone database that is in use, such as ``2026a``."""
    import tzdata  # noqa: PLC0415

    return str(tzdata.IANA_VERSION)
