# SPDX-License-Identifier: GPL-2.0-or-later
"""A kickstart without its secrets, for the copy that is published beside an image.

Masked are user and password in URLs (everywhere, also in scripts), passwords and keys that options of any
command give, and plain-text passwords of users; a crypted one stays, as the image has it too. Nothing else of
the text changes. A script that holds a secret of its own is beyond what can be known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from imgcore.credentials import MASK, masked
from imgcore.kickstart.document import lines_of, roles

__all__ = ["redact", "redact_diff"]

#: What words of a line are made of, as a shell reads them. A quote that is not closed ends at the next space.
_PIECE = re.compile(
    r"""\\(?P<escaped>.?)|"(?P<double>(?:[^"\\]|\\.)*+)"|'(?P<single>[^']*+)'|(?P<open>["']\S*+)|(?P<bare>[^\s"'\\]++)"""
)
_WORD = re.compile(rf"(?:{re.sub(r'[?]P<[a-z]+>', '?:', _PIECE.pattern)})++")
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
_SPECIAL = re.compile(r"[\"'\\#]")
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


class _Word(NamedTuple):
    """What a shell makes of a word, and where it stands."""

    meaning: str
    start: int
    end: int


def _command(text: str) -> str:
    """A command line (or a comment, which may be one that was taken out) without its secrets."""
    found = []
    last = 0
    for start, end, mask in sorted(span for words in _parts(text) for span in _spans(text, words)):
        if start >= last:
            found += [text[last:start], mask]
            last = end
    return "".join([*found, text[last:]])


def _parts(text: str) -> Iterator[list[_Word]]:
    """The words of a line: of the command, and of each comment behind it, whose words are none of the command's."""
    words: list[_Word] = []
    for found in _WORD.finditer(text):
        meaning, length, closed = _meaning(found[0])
        end = found.end() if closed else len(text)
        if length:
            words.append(_Word(meaning, found.start(), end))
        if length < len(found[0]):
            rest = found[0][length:].lstrip("#")
            yield words
            words = [_Word(_meaning(rest)[0], found.end() - len(rest), end)] if rest else []
    yield words


def _meaning(word: str) -> tuple[str, int, bool]:
    """A word without quotes, how much of it is before a comment, and whether all of its quotes are closed."""
    if not _SPECIAL.search(word):
        return word, len(word), True
    meaning: list[str] = []
    closed = True
    for piece in _PIECE.finditer(word):
        kind, text = piece.lastgroup, piece[piece.lastgroup or 0]
        if kind == "bare" and "#" in text:
            before = text.partition("#")[0]
            return "".join([*meaning, before]), piece.start() + len(before), closed
        closed = closed and kind != "open"
        meaning.append(re.sub(r'\\(["\\])', r"\1", text) if kind == "double" else text)
    return "".join(meaning), len(word), closed


def _spans(text: str, words: Sequence[_Word]) -> Iterator[tuple[int, int, str]]:
    """Where in `text` secrets of one command are, and what is to stand there."""
    command = words[0].meaning if words else ""
    crypted = command in _WITH_PASSWORD and any(_is(word.meaning, "--iscrypted") for word in words)
    skip = False
    for index, word in enumerate(words):
        if skip:
            skip = False
            continue
        option, equals, _ = word.meaning.partition("=")
        if option.startswith("--"):
            secret = any(_is(option, each) for each in _SECRETS)
            skip = (secret or option in _TAKES_VALUE) and not equals
            if not secret or (crypted and _is(option, "--password")):
                continue
            if not equals:
                yield from ((each.start, each.end, MASK) for each in words[index + 1 : index + 2])
            elif text.startswith(f"{option}=", word.start):
                yield word.start + len(option) + 1, word.end, MASK
            else:
                yield word.start, word.end, f"{option}={MASK}"
        elif index and command in _POSITIONAL and not crypted:
            yield word.start, word.end, MASK


def _is(word: str, option: str) -> bool:
    """Whether a word is an option or, as argparse has it, a beginning of it that is long enough to be meant."""
    return word == option or (len(word) >= 4 and option.startswith(word))
