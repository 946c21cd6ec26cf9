# SPDX-License-Identifier: GPL-2.0-or-later
"""`%include` and `%ksappend`: the lines of another file in the place of one.

Only relative names, and only files inside the root (also through symbolic links); never a URL. Depth, number
and size are bounded and loops are found, so that reading ends whatever the files say.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path

from imgcore.errors import InputError
from imgcore.kickstart import beneath
from imgcore.kickstart.decode import MOST_BYTES, MOST_LINES, decode
from imgcore.kickstart.document import Line, lines_of, roles
from imgcore.kickstart.mistakes import Notes, Place, shown

__all__ = ["expand"]

_ADD_IT = "add it, or remove the line"
MOST_DEPTH = 20
MOST_FILES = 1000


def expand(
    text: str,
    name: str,
    root: Path | None,
    replace: Callable[[str], str],
    notes: Notes,
    seen: list[Line] | None = None,
    naming: Callable[[str], str] | None = None,
) -> list[Line]:
    """The lines of `text` with tokens replaced and includes in place. Includes that cannot be are noted.

    `seen` gets the lines of all files, also those that include others. `naming` replaces the tokens in the names of
    included files, where these can have more of them than are to be replaced in the lines.
    """
    return _Expansion(root, replace, naming or replace, notes, [] if seen is None else seen).lines(text, name, name)


class _Expansion:
    def __init__(
        self,
        root: Path | None,
        replace: Callable[[str], str],
        naming: Callable[[str], str],
        notes: Notes,
        seen: list[Line],
    ) -> None:
        self._seen = seen
        self._root = Path(os.path.realpath(root)) if root is not None else None
        self._replace = replace
        self._naming = naming
        self._notes = notes
        self._open: list[Path] = []
        self._files = 0
        self._bytes = 0
        self._total = 0

    def lines(self, text: str, shown_as: str, relative: str, outer: int = 0, section: str = "") -> list[Line]:
        """The lines of one file, which lies at `relative` to the root."""
        if self._root is not None and not outer:
            main = Path(os.path.realpath(self._root / relative))
            self._open.append(main if main.is_relative_to(self._root) else self._root / main.name)
        own = [line._replace(text=self._replace(line.text)) for line in lines_of(text, shown_as, outer)]
        self._total += len(own)
        self._seen.extend(own)
        found: list[Line] = []
        for line, role in zip(own, roles(own, section), strict=True):
            if role.kind == "include":
                found.extend(self._included(line, role.section))
            else:
                found.append(line)
        return found

    def _included(self, line: Line, section: str) -> Iterable[Line]:
        try:
            words = shlex.split(self._naming(line.text[:4096]), comments=True)
        except ValueError as error:
            self._notes.mistake(line.place, f"%include: {shown(str(error)).lower()}")
            return ()
        if len(words) != 2:
            self._notes.mistake(line.place, f"{words[0] if words else '%include'} takes the name of one file")
            return ()
        path = self._path(line.place, words[1])
        if path is None:
            return ()
        content = self._content(line.place, words[1], path)
        if content is None:
            return ()
        self._open.append(path)
        try:
            relative = str(path.relative_to(self._root or path))
            included = self.lines(content, relative, relative, line.place.outer, section)
        finally:
            self._open.pop()
        if included and not included[-1].end:
            included[-1] = included[-1]._replace(end=line.end or "\n")
        return included

    def _path(self, place: Place, given: str) -> Path | None:
        problem = remedy = ""
        path = Path()
        if "://" in given:
            problem, remedy = "is a URL", "fetch the file and include it by its name"
        elif self._root is None:
            problem, remedy = "cannot be followed here", "put its lines into the kickstart"
        elif os.path.isabs(given):  # noqa: PTH117 - a Path would hide what was written
            problem, remedy = "is an absolute path", "name it relative to the kickstart"
        else:
            directory = self._open[-1].parent if self._open else self._root
            path = Path(os.path.realpath(directory / given))
            if not path.is_relative_to(self._root):
                problem, remedy = "is outside the directory of the kickstart", "copy it there"
            elif path in self._open:
                problem, remedy = "includes itself", "remove one of the %include lines"
            elif len(self._open) > MOST_DEPTH:
                problem, remedy = f"is more than {MOST_DEPTH} files deep", "include it directly"
            elif self._files >= MOST_FILES:
                problem, remedy = f"is one of more than {MOST_FILES} included files", "join some of them"
        if problem:
            self._notes.mistake(place, f"included file {shown(given)} {problem}", remedy, word=given, rule="include")
            return None
        self._files += 1
        return path

    def _content(self, place: Place, given: str, path: Path) -> str | None:
        try:
            root = self._root or path.parent
            content = beneath.content(root, path.relative_to(root), MOST_BYTES + 1)
            self._bytes += len(content)
            if self._bytes > MOST_BYTES or self._total > MOST_LINES:
                raise OSError(0, "the included files are too large together")
            return decode(content, shown(given))
        except FileNotFoundError:
            self._notes.mistake(
                place, f"included file {shown(given)} is not there", _ADD_IT, word=given, rule="include"
            )
        except (OSError, ValueError) as error:
            reason = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            what = f"included file {shown(given)} cannot be read: {shown(reason)}"
            self._notes.mistake(place, what, word=given, rule="include")
        except InputError as error:
            self._notes.mistake(place, f"included file {error.message}", error.remedy, word=given, rule="include")
        return None
