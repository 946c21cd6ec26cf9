# SPDX-License-Identifier: GPL-2.0-or-later
"""A kickstart without its secrets, for the copy that is published beside an image.

Masked are user and password in URLs (everywhere, also in scripts), passwords and keys that options of any
command give, and plain-text passwords of users; a crypted one stays, as the image has it too. Nothing else of
the text changes. A script that holds a secret of its own is beyond what can be known here.
"""

from __future__ import annotations

import re

from imgcore.credentials import MASK, masked
from imgcore.kickstart.document import lines_of, roles

__all__ = ["redact", "redact_diff"]

_WORD = re.compile(r"(?:\"[^\"]*+\"|'[^']*+'|[^\s\"']++)++|[\"'][^\s]*+")
_SECRETS = frozenset(
    {
        "--password",
        "--passphrase",
        "--hw-passphrase",
        "--proxypasswd",
        "--wepkey",
        "--wpakey",
        "--one-time-password",
        "--md5pass",
        "--key",
        "--activation-key",
    }
)
#: Commands whose password may be crypted, and those that take it as a word of its own.
_WITH_PASSWORD = frozenset({"rootpw", "user", "sshpw", "bootloader", "group"})
_POSITIONAL = frozenset({"rootpw", "sshpw"})
#: Options of those that take a value.
_TAKES_VALUE = frozenset({"--username"})


def redact(text: str) -> str:
    """`text` with every secret that it shows replaced by `***`."""
    lines = lines_of(text, "")
    found = []
    for line, role in zip(lines, roles(lines), strict=True):
        body = line.text
        if role.kind == "command" or (role.kind == "blank" and body.strip()):
            body = _command(body)
        found.append(masked(body) + line.end)
    return "".join(found)


def redact_diff(diff: str) -> str:
    """A unified diff without secrets; what each of its lines was part of is not known, so all are masked alike."""
    lines = diff.split("\n")
    return "\n".join(line[:1] + masked(_command(line[1:])) for line in lines)


def _command(text: str) -> str:
    """A command line (or a comment, which may be one that was taken out) without its secrets."""
    words = list(_WORD.finditer(text))
    while words and not words[0][0].strip("#"):
        # A command that was taken out.
        del words[0]
    if not words:
        return text
    command = words[0][0].lstrip("#")
    crypted = command in _WITH_PASSWORD and any(_is(word[0], "--iscrypted") for word in words)
    spans: list[tuple[int, int]] = []
    skip = False
    for index, word in enumerate(words[1:], 1):
        following = words[index + 1] if index + 1 < len(words) else None
        if skip:
            skip = False
            continue
        if word[0].startswith("#"):
            break
        option, equals, _ = word[0].partition("=")
        if option.startswith("--"):
            secret = any(_is(option, each) for each in _SECRETS)
            skip = (secret or option in _TAKES_VALUE) and not equals
            if not secret or (crypted and _is(option, "--password")):
                continue
            if equals:
                spans.append((word.start() + len(option) + 1, word.end()))
            elif following is not None:
                spans.append(following.span())
        elif command in _POSITIONAL and not crypted:
            spans.append(word.span())
    for start, end in reversed(spans):
        text = text[:start] + MASK + text[end:]
    return text


def _is(word: str, option: str) -> bool:
    """Whether a word is an option or, as argparse has it, a beginning of it that is long enough to be meant."""
    return word == option or (len(word) >= 4 and option.startswith(word))
