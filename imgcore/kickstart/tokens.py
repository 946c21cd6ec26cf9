# SPDX-License-Identifier: GPL-2.0-or-later
"""`@TOKEN@`: replaced by its value everywhere in a kickstart, in the text, as mic does it.

Values are one line. What is not known stays as it is; whoever needs a value there says so (`unresolved`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from imgcore.errors import InputError
from imgcore.kickstart.mistakes import shown

__all__ = ["replacer", "unresolved", "with_defaults"]

_TOKEN = re.compile(r"@([A-Z][A-Z0-9_]*)@")


def with_defaults(tokens: Mapping[str, str], *, arch: str = "", release: str = "") -> dict[str, str]:
    """`tokens` with the values that mic gives to RELEASE and BUILD_ID where nobody did, and ARCH."""
    complete = dict(tokens)
    if arch:
        complete.setdefault("ARCH", arch)
    complete.setdefault("RELEASE", release or "latest")
    complete.setdefault("BUILD_ID", complete["RELEASE"])
    return complete


def replacer(tokens: Mapping[str, str]) -> Callable[[str], str]:
    """A function that replaces the tokens in a line. Raises InputError for a value that is not one line."""
    for name, value in tokens.items():
        if any(each in value for each in "\r\n\0"):
            raise InputError(
                f"token {shown(name)} has a value of more than one line", "give a value without line ends"
            )
    known = {name: value for name, value in tokens.items() if name}
    if not known:
        return lambda text: text
    names = "|".join(re.escape(name) for name in known)
    pattern = re.compile(f"@({names})@")

    def replace(text: str) -> str:
        return pattern.sub(lambda match: known[match[1]], text) if "@" in text else text

    return replace


def unresolved(text: str) -> str:
    """The name of the first token in `text` that has no value, or nothing."""
    match = _TOKEN.search(text)
    return match[1] if match else ""
