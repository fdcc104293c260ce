"""Protobuf's wire format, as far as Terraform's plugin protocol is spoken here."""

from __future__ import annotations


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def text(field: int, value: str) -> bytes:
    return message(field, value.encode())


def message(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def fields(written: bytes) -> dict[int, bytes]:
    """Read a message's texts and messages by number, the last of each; numbers are passed over."""
    found: dict[int, bytes] = {}
    place = 0
    while place < len(written):
        key, place = _read(written, place)
        value, place = _read(written, place)
        if key & 7 == 2:
            found[key >> 3] = written[place : place + value]
            place += value
    return found


def _read(written: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = written[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
