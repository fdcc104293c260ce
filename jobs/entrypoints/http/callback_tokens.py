"""The tokens that the scheduler's callback must carry, and how refused callbacks are reported."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from typing import TYPE_CHECKING

from jobs.entrypoints.http.problems import BAD_TOKEN, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_logger = logging.getLogger("jobs.callback")
_WARN_EVERY_SECONDS = 60.0
_TOLD_FOR_SECONDS = 600.0
TOKEN_HEADER = "dapr-api-token"  # noqa: S105  the header's name


class CallbackTokens:
    """Accepts callbacks, or refuses and counts them; lives as long as the app.

    A callback that is refused rings again every few seconds, for ever, while its job waits for the sweep. So it is
    logged, once a minute at most, and makes the app degraded for ten minutes.
    """

    def __init__(
        self,
        tokens: Sequence[bytes],
        *,
        open_without_token: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = tuple(tokens)
        self._open = open_without_token and not tokens
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._refused_at: float | None = None
        self._warned_at: float | None = None
        self._since_warning = 0
        self.refused = 0

    def accept(self, given: str) -> bool:
        """Compare as bytes and in constant time with every token, so that timing reveals nothing of either."""
        sent = given.encode("utf-8", "surrogatepass")
        matches = [hmac.compare_digest(sent, token) for token in self._tokens]
        return any(matches) or self._open

    def refusal(self, given: str) -> Refusal:
        """Count a refused callback, and return its answer."""
        now = self._monotonic()
        with self._lock:
            self.refused += 1
            self._since_warning += 1
            self._refused_at = now
            warn = self._warned_at is None or now - self._warned_at >= _WARN_EVERY_SECONDS
            if warn:
                self._warned_at, count, self._since_warning = now, self._since_warning, 0
        if warn:
            _logger.warning(
                "%d callbacks refused: %s; until that is mended alarms ring for nothing, and jobs run late", count,
                self._what_is_wrong(given),
            )  # fmt: skip
        mend = (
            f"{TOKEN_HEADER} must be one of this app's; set the sidecar's APP_API_TOKEN to one of JOBS_CALLBACK_TOKENS"
            if self._tokens
            else "this app has no callback token, so it takes no callback; set JOBS_CALLBACK_TOKENS"
        )
        return Refusal(BAD_TOKEN, mend, WWW_Authenticate=TOKEN_HEADER)

    @property
    def trouble(self) -> str | None:
        """What is wrong with callbacks that were refused lately, None if none were."""
        refused_at = self._refused_at
        if refused_at is None or self._monotonic() - refused_at > _TOLD_FOR_SECONDS:
            return None
        return "callbacks are refused: set the sidecar's APP_API_TOKEN to one of JOBS_CALLBACK_TOKENS"

    def _what_is_wrong(self, given: str) -> str:
        if not self._tokens:
            return "this app has no callback token; set JOBS_CALLBACK_TOKENS to the sidecar's APP_API_TOKEN"
        brought = f"a wrong {TOKEN_HEADER}" if given else f"no {TOKEN_HEADER}"
        return f"they bring {brought}; set the sidecar's APP_API_TOKEN to one of JOBS_CALLBACK_TOKENS"
