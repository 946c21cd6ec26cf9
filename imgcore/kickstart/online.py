# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the repositories of a kickstart are there and have its packages, by their own metadata.

Asked are only http and https URLs, and only for what a repository is made of; time and size are bounded. Groups,
patterns of names and what other repositories could provide are not looked into.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree

from imgcore.credentials import without
from imgcore.fetch import NotFetched, fetch
from imgcore.kickstart.mistakes import Notes, nearest, shown
from imgcore.kickstart.model import Command, Kickstart, url_of

__all__ = ["check"]

#: For each file.
_SECONDS = 60
_MOST_BYTES = 256 * 2**20
_AT_ONCE = 8
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_REPOMD = "{http://linux.duke.edu/metadata/repo}"
_COMMON = "{http://linux.duke.edu/metadata/common}"
_RPM = "{http://linux.duke.edu/metadata/rpm}"


class _Unusable(Exception):
    """Why a repository could not be asked."""


def check(kickstart: Kickstart, notes: Notes) -> None:
    """Note each repository that is not there or cannot be looked into, and each package that none of them has."""
    asked = [each for each in kickstart.commands if each.name in ("repo", "url")]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(_answer, asked))
    known: set[str] = set()
    complete = bool(asked)
    for command, answer in zip(asked, answers, strict=True):
        name = f"repository {shown(str(command.values.get('name') or 'install'))}"
        if isinstance(answer, set):
            known |= answer
            continue
        complete = False
        if isinstance(answer, _Unusable):
            notes.mistake(command.place, f"{name}: {answer}", "check its URL", word="--", rule="online")
        else:
            what = f"{name} is not looked into, and packages are not looked for: {answer}"
            notes.warning(command.place, what, word="--", rule="online")
    for section in kickstart.packages if complete else ():
        for entry in section.entries:
            name = (
                entry.name.rpartition(".")[0] if entry.name.endswith((".i686", ".x86_64", ".noarch")) else entry.name
            )
            if entry.kind == "package" and not entry.excluded and _PLAIN.fullmatch(name) and name not in known:
                what = f"no repository has the package {entry.name}{nearest(name, _near(name, known))}"
                notes.mistake(entry.place, what, "correct its name, or add a repo line", word=name, rule="online")


def _near(name: str, known: Sequence[str] | set[str]) -> list[str]:
    """Those that could be meant: looking at all of a distribution takes too long."""
    return [each for each in known if each[:2] == name[:2] and abs(len(each) - len(name)) <= 3][:2000]


def _answer(command: Command) -> set[str] | _Unusable | str:
    """Names and provides of a repository; or why it is of no use, or why nobody looks into it."""
    url = url_of(command.values)
    if url and not command.values.get("baseurl"):
        return "it is a list of mirrors"
    url = url or str(command.values.get("url") or "")
    if not url.startswith(("http://", "https://")):
        return "it is no http or https URL"
    if without(url) != url:
        return "it wants a user and a password"
    return _provided(url)


def _provided(url: str) -> set[str] | _Unusable | str:
    base = url.rstrip("/")
    try:
        meta = ElementTree.fromstring(_got(f"{base}/repodata/repomd.xml").decode("utf-8"))  # noqa: S314 - expat bounds
        places = [
            str(location.get("href"))
            for data in meta.iter(f"{_REPOMD}data")
            if data.get("type") == "primary" and (location := data.find(f"{_REPOMD}location")) is not None
        ]
        if not places:
            raise _Unusable("its metadata names no list of packages")
        openers = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".xml": lambda file: file}
        opener = next((openers[end] for end in openers if places[0].endswith(end)), None)
        if opener is None:
            return f"its list of packages is packed as {places[0].rpartition('.')[2]}"
        packed = _got(f"{base}/{places[0]}")
        return set(_names(opener(io.BytesIO(packed))))  # type: ignore[operator]
    except _Unusable as error:
        return error
    except (ElementTree.ParseError, OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as error:
        return _Unusable(f"its metadata is not understood: {error}")


def _names(file: io.BufferedIOBase) -> Iterator[str]:
    bounded = _Bounded(file)
    for _, element in ElementTree.iterparse(bounded):  # noqa: S314 - expat bounds entities
        if element.tag == f"{_COMMON}name" and element.text:
            yield element.text
        elif element.tag == f"{_RPM}provides":
            yield from (str(each.get("name")) for each in element)
        elif element.tag == f"{_COMMON}package":
            element.clear()


class _Bounded:
    """Reads a file up to a bound, whatever it unpacks to."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file, self._left = file, 8 * _MOST_BYTES

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise ValueError("it unpacks to too much")
        return content


def _got(url: str) -> bytes:
    try:
        return fetch(url, seconds=_SECONDS, most=_MOST_BYTES)
    except NotFetched as error:
        raise _Unusable(str(error)) from error
