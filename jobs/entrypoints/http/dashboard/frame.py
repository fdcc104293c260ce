"""The dashboard's frame: a page without any data, its style and its script, which anybody may load.

The frame is the same for every path. Its script loads the view that belongs to the path, with the caller's rights.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import azure.functions as func

from jobs.entrypoints.http.problems import NO_ROUTE, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""What every answer of the dashboard says to browsers."""
ASSETS = Path(__file__).with_name("assets")
_FRAME = Path(__file__).with_name("templates") / "frame.html"
_ROOT = "dashboard"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_EVER = "public, max-age=31536000, immutable"


class Asset(NamedTuple):
    """A file of the frame."""

    body: bytes
    media_type: str


@lru_cache(maxsize=1)
def assets() -> dict[str, Asset]:
    """Return the frame's files by name."""
    files = sorted(path for path in ASSETS.iterdir() if path.suffix in _TYPES)
    return {path.name: Asset(path.read_bytes(), _TYPES[path.suffix]) for path in files}


@lru_cache(maxsize=1)
def version() -> str:
    """Return what tells these assets from those of another release. It is part of their URLs."""
    digest = hashlib.sha256()
    for name, asset in assets().items():
        digest.update(name.encode() + b"\0" + asset.body)
    return digest.hexdigest()[:12]


def frame_response(url: str, path: str, if_none_match: str) -> func.HttpResponse:
    """Return the frame, or one of its assets where ``path``, what follows ``dashboard/`` in ``url``, names one.

    Raises ``Refusal`` for an asset that there is not.
    """
    folder, _, rest = path.partition("/")
    if folder != "assets":
        return _response(Asset(_frame(_root_from(url)), "text/html"), "no-cache", if_none_match)
    asked, _, name = rest.partition("/")
    asset = assets().get(name)
    if asset is None:
        raise Refusal(NO_ROUTE, "the dashboard has no such file; load its page again")
    return _response(asset, _FOR_EVER if asked == version() else "no-cache", if_none_match)


def _response(asset: Asset, caching: str, if_none_match: str) -> func.HttpResponse:
    tag = f'"{hashlib.sha256(asset.body).hexdigest()[:16]}"'
    headers = {**HEADERS, "Cache-Control": caching, "ETag": tag}
    if tag in if_none_match:
        return func.HttpResponse(status_code=304, headers=headers)
    return func.HttpResponse(asset.body, headers=headers, mimetype=asset.media_type, charset="utf-8")


@lru_cache(maxsize=8)
def _frame(root: str) -> bytes:
    template = Template(_FRAME.read_text(encoding="utf-8"))
    return template.substitute(root=root, assets=f"{root}assets/{version()}/").encode()


def _root_from(url: str) -> str:
    """Return the relative URL of the dashboard's root, from a page of it: so it works below any prefix."""
    segments = urlsplit(url).path.split("/")
    place = next((number for number, each in enumerate(segments) if each.lower() == _ROOT), len(segments) - 1)
    below = len(segments) - 1 - place
    return f"{_ROOT}/" if below == 0 else "../" * (below - 1) or "./"
