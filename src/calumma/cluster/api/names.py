"""Which names, label keys and label values Kubernetes takes, and what it says of the others.

Each function returns the sentences of a real API server about a text, none where it is fine. Pure.
Source: Kubernetes' ``apimachinery/pkg/api/validate/content``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

Rule = Callable[[str], list[str]]
"""What is wrong with a name."""

_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"
_NAME: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE: Final = f"({_NAME})?"
_CONFIG_KEY: Final = "[-._a-zA-Z0-9]+"
_ENDS: Final = "and must start and end with an alphanumeric character"
_NAME_TEXT: Final = f"must consist of alphanumeric characters, '-', '_' or '.', {_ENDS}"


def _mismatch(sentence: str, expression: str, *examples: str) -> str:
    """What a text is told that an expression does not match."""
    shown = " or ".join(f"'{example}', " for example in examples)
    return f"{sentence} (e.g. {shown}regex used for validation is '{expression}')"


def _matches(expression: str, text: str) -> bool:
    return re.fullmatch(expression, text) is not None


def _too_long(text: str, limit: int) -> list[str]:
    return [f"must be no more than {limit} bytes"] if len(text.encode()) > limit else []


def dns_subdomain(text: str) -> list[str]:
    """What is wrong with the name of most objects."""
    found = _too_long(text, 253)
    if not _matches(_SUBDOMAIN, text):
        sentence = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            f"'-' or '.', {_ENDS}"
        )
        found.append(_mismatch(sentence, _SUBDOMAIN, "example.com"))
    return found


def dns_label(text: str) -> list[str]:
    """What is wrong with the name of a namespace."""
    found = _too_long(text, 63)
    if _matches(_LABEL, text):
        return found
    if _matches(_SUBDOMAIN, text):
        return [*found, "must not contain dots"]
    sentence = (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        f"{_ENDS}"
    )
    return [*found, _mismatch(sentence, _LABEL, "my-name", "123-abc")]


def qualified_name(text: str) -> list[str]:
    """What is wrong with a label key, an annotation key or a finalizer."""
    *prefixes, name = text.split("/")
    if len(prefixes) > 1:
        sentence = _mismatch(_NAME_TEXT, _NAME, "MyName", "my.name", "123-abc")
        optional = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return [f"a valid label key {sentence} {optional}"]
    found = []
    for prefix in prefixes:
        problems = dns_subdomain(prefix) if prefix else ["must be non-empty"]
        found += [f"prefix part {problem}" for problem in problems]
    problems = _too_long(name, 63) if name else ["must be non-empty"]
    if not _matches(_NAME, name):
        problems.append(_mismatch(_NAME_TEXT, _NAME, "MyName", "my.name", "123-abc"))
    return found + [f"name part {problem}" for problem in problems]


def label_value(text: str) -> list[str]:
    """What is wrong with the value of a label."""
    found = _too_long(text, 63)
    if not _matches(_VALUE, text):
        sentence = (
            "a valid label must be an empty string or consist of alphanumeric characters, "
            f"'-', '_' or '.', {_ENDS}"
        )
        found.append(_mismatch(sentence, _VALUE, "MyValue", "my_value", "12345"))
    return found


def config_key(text: str) -> list[str]:
    """What is wrong with a key of a ConfigMap's or Secret's data."""
    found = _too_long(text, 253)
    if not _matches(_CONFIG_KEY, text):
        sentence = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
        found.append(_mismatch(sentence, _CONFIG_KEY, "key.name", "KEY_NAME", "key-name"))
    elif text in (".", "..") or text.startswith(".."):
        found.append(f"must not be '{text}'" if text in (".", "..") else "must not start with '..'")
    return found
