"""Where the folder of a test's Postgres is made: in memory, where there is enough of it."""

from __future__ import annotations

from pathlib import Path
from shutil import disk_usage
from tempfile import gettempdir

_MEMORY = Path("/dev/shm")  # noqa: S108  the server gets a folder of its own within
_DISK = Path("/tmp")  # noqa: S108
_LEAST_FREE = 4 * 1024**3  # bytes; a server takes less than a tenth of it
_LONGEST_FOLDER = 60


def server_parent() -> str | None:
    """Return the folder in which to make the server's; None for the system's folder of temporary files.

    A database is a copy of some 300 files, which takes a sixth of the time in memory. The path is short, since that of
    the server's socket may have 107 characters at most.
    """
    if _available_memory() >= _LEAST_FREE and _MEMORY.is_dir() and disk_usage(_MEMORY).free >= _LEAST_FREE:
        return str(_MEMORY)
    return str(_DISK) if len(gettempdir()) > _LONGEST_FOLDER and _DISK.is_dir() else None


def _available_memory() -> int:
    """Return the bytes that Linux could hand out without swapping; 0 elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)
