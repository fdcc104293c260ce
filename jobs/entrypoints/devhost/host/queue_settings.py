"""What is said of queues: by a function's trigger, by host.json, and by the app settings that win over it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobs.core.errors import ConfigurationError
from jobs.core.schedules.dialects.ncrontab import read_time_span

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SETTING = re.compile(r"%([^%]+)%")
_DEFAULT_CONNECTION = "AzureWebJobsStorage"
_LARGEST_BATCH = 32  # https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue#host-json
_OVERRIDE = "AzureFunctionsJobHost__extensions__queues__"


@dataclass(frozen=True, slots=True)
class QueueTrigger:
    """Which queue calls a function, and the setting that says where it is."""

    queue: str
    connection: str

    @classmethod
    def of(cls, trigger: Mapping[str, Any], settings: Mapping[str, str]) -> QueueTrigger:
        """Read a trigger; ``%NAME%`` in it is replaced from ``settings``. Raises ``ValueError`` for a missing one."""

        def setting(found: re.Match[str]) -> str:
            if not (value := settings.get(found[1])):
                raise ValueError(f"the queue is {found[0]}, and the setting {found[1]} is missing; set it")
            return value

        name = _SETTING.sub(setting, str(trigger["queueName"]))
        return cls(name, str(trigger.get("connection") or _DEFAULT_CONNECTION))


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """``extensions.queues`` of host.json, with the host's own defaults."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_polling_seconds: float = 60.0
    visibility_seconds: int = 0
    max_dequeue_count: int = 5
    base64: bool = True


def read_queue_settings(host_json: Path, environment: Mapping[str, str] = os.environ) -> QueueSettings:
    """Read host.json, and the app settings that win over it.

    Raises ``ConfigurationError`` naming the file if it cannot be read, or has a value that the host would refuse.
    """
    try:
        given: dict[str, Any] = {}
        if host_json.exists():
            given = json.loads(host_json.read_text("utf-8-sig")).get("extensions", {}).get("queues", {})
        given |= {
            name.removeprefix(_OVERRIDE): value for name, value in environment.items() if name.startswith(_OVERRIDE)
        }
        batch_size = _batch_size(given.get("batchSize", 16))
        return QueueSettings(
            batch_size,
            int(given.get("newBatchThreshold", batch_size // 2)),
            _seconds(given.get("maxPollingInterval", "00:01:00")),
            int(_seconds(given.get("visibilityTimeout", "00:00:00"))),
            int(given.get("maxDequeueCount", 5)),
            str(given.get("messageEncoding", "base64")).casefold() == "base64",
        )
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ConfigurationError(f"{host_json} has no usable extensions.queues: {error}") from error


def _batch_size(given: Any) -> int:
    size = int(given)
    if not 1 <= size <= _LARGEST_BATCH:
        raise ValueError(f"batchSize is {size}; it is from 1 to {_LARGEST_BATCH}")
    return size


def _seconds(text: object) -> float:
    return 0.0 if str(text) == "00:00:00" else read_time_span(str(text)).total_seconds()
