# SPDX-License-Identifier: GPL-2.0-or-later
"""User and password in URLs, and values that are secrets by their name, which nothing may show. A leaf."""

from __future__ import annotations

import re

__all__ = ["MASK", "has_password", "masked", "names_secret", "without"]

MASK = "***"
_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{0,20}://)([^\s/?#\"'<>@]*(?:@[^\s/?#\"'<>@]*)*)@")
#: For what is shown, wider: also a password that no URL may have, with its @, quotes and question marks. But a host
#: that is a kickstart's @TOKEN@ is none.
_SHOWN = re.compile(r"([\w+.-]://)(?:[^/\s:]*:[^/\s]*@|(?!@\w+@)[^\s/?#\"'<>]*@)")
_SECRET = re.compile(r"pass(wor|wr)?d|secret|credential|api_?key|auth_?token", re.IGNORECASE)


def masked(text: str, mask: str = MASK) -> str:
    """`text` with `mask` for what each URL in it has before its host."""
    return _SHOWN.sub(rf"\1{mask}@", text) if "://" in text else text


def without(text: str) -> str:
    """`text` without what each URL in it has before its host."""
    return _URL.sub(r"\1", text)


def has_password(text: str) -> bool:
    """Whether a URL in it has a user and a password."""
    return any(":" in found[2].rstrip(":") for found in _URL.finditer(text))


def names_secret(name: str) -> bool:
    """Whether what has this name is a secret, as far as a name tells."""
    return _SECRET.search(name) is not None
