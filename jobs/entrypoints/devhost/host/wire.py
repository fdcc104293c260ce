"""What the web server below the Functions host refuses before any function is called, and what it does not pass on.

waitress is more lenient than Kestrel, so its parser is extended here by what Kestrel refuses.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

# No header of a caller's can have these names: waitress writes theirs in capitals.
_BAD, _CHUNKED, _READ_AT = "devhost-bad", "devhost-chunked", "devhost-read-at"
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")


def is_bad(environ: WSGIEnvironment) -> bool:
    """Whether Kestrel would have answered 400, without a body."""
    return f"HTTP_{_BAD}" in environ


def is_chunked(environ: WSGIEnvironment) -> bool:
    """Whether the body came in chunks; the Functions host passes none of those to a Python function."""
    return f"HTTP_{_CHUNKED}" in environ


def read_at(environ: WSGIEnvironment) -> float:
    """When the request's head had been read, by the monotonic clock."""
    return float(environ[f"HTTP_{_READ_AT}"])


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection whose requests are checked as Kestrel does."""


_FIRST_REQUEST_SECONDS = 0.2


def is_new(channel: Channel) -> bool:
    """Whether the first request on this connection may still be on its way."""
    asked = channel.last_activity != channel.creation_time
    return not asked and time.time() - channel.creation_time < _FIRST_REQUEST_SECONDS


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        self.headers[_READ_AT] = str(time.monotonic())
        if _kestrel_minds(header_plus, self.version):
            self.headers[_BAD] = ""
        if self.chunked:
            self.headers[_CHUNKED] = ""
        elif not self.content_length:
            self.expect_continue = False  # with nothing to come waitress would wait for it for ever


Channel.parser_class = _Parser


def _kestrel_minds(head: bytes, version: str) -> bool:
    first, *lines = head.split(b"\r\n")
    target = first.split(b" ")[1] if b" " in first else b""
    hosts = [line[5:].strip(b" \t") for line in lines if line[:5].lower() == b"host:"]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        return True
    if b"%00" in target.partition(b"?")[0] or not all(map(bytes.isascii, lines)):
        return True
    absolute = re.match(rb"[a-z]+://([^/?#]*)", target, re.IGNORECASE)
    if absolute and hosts and _without_port_80(absolute[1]) != _without_port_80(hosts[0]):
        return True
    return any(_HOST.fullmatch(host) is None for host in hosts)


def _without_port_80(host: bytes) -> bytes:
    return host.lower().removesuffix(b":80")
