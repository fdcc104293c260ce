"""Reads HTML as a browser would, far enough to see which elements a text has become."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import NamedTuple

_VOID = {"input", "link", "meta", "br", "path", "rect", "circle", "line"}


class Element(NamedTuple):
    """An element: its name, its attributes, and the text in it."""

    name: str
    attributes: dict[str, str]
    pieces: list[str]

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Element] = []
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, [])
        self.found.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(Element(tag, {name: value or "" for name, value in attrs}, []))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().name != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.pieces.append(data)


def elements(html: str, name: str | None = None) -> list[Element]:
    """Return the elements of a page in their order, all or those of one name."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return [each for each in reader.found if name in {None, each.name}]


def text_of(html: str) -> str:
    """Return the text that a page shows."""
    return elements(f"<div>{html}</div>")[0].text
