"""Kubernetes' protobuf as clients write it, from the specification of the encoding."""

from __future__ import annotations


def varint(number: int) -> bytes:
    """A number of variable length."""
    found = b""
    while number > 0x7F:
        found += bytes([number & 0x7F | 0x80])
        number >>= 7
    return found + bytes([number])


def text(number: int, value: str | bytes) -> bytes:
    """A field of text, bytes or a message."""
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def count(number: int, value: int) -> bytes:
    """A field with a number."""
    return varint(number << 3) + varint(value & (1 << 64) - 1)


def entry(number: int, key: str, value: str | bytes) -> bytes:
    """One entry of a map."""
    return text(number, text(1, key) + text(2, value))


def wrapped(kind: str, message: bytes, version: str = "v1") -> bytes:
    """A message of a kind as a request's body."""
    types = text(1, version) + text(2, kind)
    return b"k8s\x00" + text(1, types) + text(2, message) + text(3, "") + text(4, "")
