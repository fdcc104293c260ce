"""The tokens of the scheduler's callback, and the reporting of refused callbacks."""

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
_REPORTED_FOR_SECONDS = 600.0
TOKEN_HEADER = "dapr-api-token"  # noqa: S105  the header's name


class CallbackTokens:
    """Accepts callbacks, or refuses and counts them. Lives as long as the app.

    The scheduler repeats a refused callback every few seconds, forever, while its job waits for the reconciler. So
    refusals are logged, at most once a minute, and the app is degraded for ten minutes after each.
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
        """Return whether ``given`` is a valid token. Compares with every token in constant time."""
        sent = given.encode("utf-8", "surrogatepass")
        matches = [hmac.compare_digest(sent, token) for token in self._tokens]
        return any(matches) or self._open

    def refusal(self, given: str) -> Refusal:
        """Count a refused callback, and return the error to respond with."""
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
                self._reason(given),
            )  # fmt: skip
        detail = (
            f"{TOKEN_HEADER} must be one of this app's; set the sidecar's APP_API_TOKEN to one of JOBS_CALLBACK_TOKENS"
            if self._tokens
            else "this app has no callback token, so it takes no callback; set JOBS_CALLBACK_TOKENS"
        )
        return Refusal(BAD_TOKEN, detail, WWW_Authenticate=TOKEN_HEADER)

    @property
    def trouble(self) -> str | None:
        """The fault if callbacks were refused within the last ten minutes; None otherwise."""
        refused_at = self._refused_at
        if refused_at is None or self._monotonic() - refused_at > _REPORTED_FOR_SECONDS:
            return None
        return "callbacks are refused: set the sidecar's APP_API_TOKEN to one of JOBS_CALLBACK_TOKENS"

    def _reason(self, given: str) -> str:
        if not self._tokens:
            return "this app has no callback token; set JOBS_CALLBACK_TOKENS to the sidecar's APP_API_TOKEN"
        sent = f"a wrong {TOKEN_HEADER}" if given else f"no {TOKEN_HEADER}"
        return f"they bring {sent}; set the sidecar's APP_API_TOKEN to one of JOBS_CALLBACK_TOKENS"
