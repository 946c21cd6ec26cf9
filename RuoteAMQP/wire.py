# SPDX-License-Identifier: GPL-2.0-or-later
"""JSON as it travels: what is read and written again is the same, or it is refused with a ValueError.

Numbers that a float cannot hold exactly become Decimal; NaN and Infinity are no JSON. Lone surrogates survive (as
escapes). Nesting that Python cannot follow is refused, not a crash.
"""

from __future__ import annotations

import json
import math
import re
import secrets
import traceback
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

__all__ = ["decode", "dumps", "encode", "ruby_trace"]

# Python refuses to turn longer texts into an int (sys.set_int_max_str_digits); Decimal has no such limit.
_INT_DIGITS = 4300
_TRACE_LINES = 50


def decode(text: str | bytes) -> Any:
    """What JSON text holds. Raises ValueError for what is no JSON."""
    try:
        return _DECODER.decode(text if isinstance(text, str) else _text(text))
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def _text(body: bytes) -> str:
    # json's own guess, so that UTF-16 and a byte order mark are read too.
    return body.decode(json.detect_encoding(body), "surrogatepass")


def dumps(value: Any) -> str:
    """JSON text. Raises ValueError or TypeError for what JSON cannot hold."""
    return _dumps(value, ascii_only=False)


def encode(value: Any) -> bytes:
    """JSON text in UTF-8; a lone surrogate makes everything beyond ASCII an escape."""
    try:
        return dumps(value).encode()
    except UnicodeEncodeError:
        return _dumps(value, ascii_only=True).encode()


def _dumps(value: Any, *, ascii_only: bool) -> str:
    # The encoder knows no raw numbers: they are written as a string that cannot occur, whose quotes are then removed.
    mark = f"{secrets.token_hex(12)}:"

    def default(other: Any) -> Any:
        if isinstance(other, Decimal) and other.is_finite():
            return f"{mark}{other}"
        if isinstance(other, Mapping):
            as_dict = getattr(other, "as_dict", None)
            return as_dict() if callable(as_dict) else dict(other)
        if isinstance(other, (tuple, set, frozenset)):
            return list(other)
        raise TypeError(f"{type(other).__name__} cannot travel as JSON")

    try:
        text = json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, default=default)
    except RecursionError:
        raise ValueError("nested too deeply for JSON") from None
    return re.sub(f'"{mark}([^"]*)"', r"\1", text)


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _INT_DIGITS else Decimal(text)


def _number(text: str) -> float | Decimal:
    number = float(text)
    try:
        exact = Decimal(text)
        if math.isfinite(number) and Decimal(repr(number)) == exact:
            return number
    except InvalidOperation:
        raise ValueError(f"the number {text[:40]} is beyond everything") from None
    if not exact.is_finite():
        raise ValueError(f"the number {text[:40]} is beyond everything")
    return exact


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_refuse)


def ruby_trace(error: BaseException) -> list[str]:
    """Where an exception arose, innermost first and written as Ruby would."""
    frames = traceback.extract_tb(error.__traceback__)[-_TRACE_LINES:]
    return [f"{frame.filename}:{frame.lineno}: in `{frame.name}'" for frame in reversed(frames)]
