# SPDX-License-Identifier: GPL-2.0-or-later
"""A kickstart is looked at from all sides: everything that is wrong with it, or will not be as it was asked for.

What is found is said once, with its grade, its place, the text of the line and, where it is known, the column. What
depends on the tool names the tool; of a tool that was chosen a refusal is an error, of any other a warning.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcore.kickstart import lint, scripts
from imgcore.kickstart.mistakes import Grade, Mistake, Notes, Place, TooMany
from imgcore.kickstart.model import Kickstart
from imgcore.kickstart.plan import IMAGE_TYPES, judged
from imgcore.kickstart.read import Findings, read_all
from imgcore.kickstart.tools import MIC_TOOLS
from imgcore.kickstart.versions import Recognised, dialect, recognise

__all__ = ["TOOLS", "Examination", "examine"]

TOOLS = ("builtin", *MIC_TOOLS)


@dataclass(frozen=True)
class Examination:
    """What was found, the worst first within a line; `lines` has all lines by file and number, secrets too."""

    kickstart: Kickstart
    recognised: Recognised
    found: tuple[Mistake, ...]
    lines: Mapping[tuple[str, int], str]

    def worst(self) -> Grade | None:
        """The worst grade of all; None if nothing was found."""
        return max((each.grade for each in self.found), default=None)


def examine(
    content: bytes,
    name: str,
    *,
    root: Path | None = None,
    tokens: Mapping[str, str] | None = None,
    dialect_name: str = "",
    tools: Sequence[str] = (),
    image_type: str = "",
    online: bool = False,
) -> Examination:
    """Look at the kickstart in `content`; `root` is where it may include files from.

    `online`: ask the repositories too. Without `tools` none is chosen, and those of the dialect are spoken of.
    Raises InputError for what is no kickstart.
    """
    chosen = dialect(dialect_name) if dialect_name else None
    read = read_all(content, name, root=root, tokens=tokens, reader=chosen.reader() if chosen else None)
    kickstart = read.kickstart
    recognised = Recognised(chosen, "it was given") if chosen else recognise(kickstart)
    found = [*read.found, *_of_dialect(recognised, kickstart, read)]
    cut = set(read.cut)
    found += _noted(cut, lint.lint, kickstart, recognised.dialect)
    found += _noted(cut, scripts.check, kickstart.scripts)
    if online:
        # Only now: what speaks HTTP takes as long to load as all the rest.
        from imgcore.kickstart.online import check

        found += _noted(cut, check, kickstart)
    spoken_of = tools or (TOOLS if recognised.dialect.name == "mic" else TOOLS[:1])
    of_tools = _of_tools(kickstart, spoken_of, bool(tools), image_type or _type_of(kickstart), cut)
    # What is said of a value that a token is missing in is no news.
    without = {each.place for each in read.found if each.rule == "token"}
    found += [each for each in of_tools if each.rule != "value" or each.place not in without]
    if any(each.grade is Grade.ERROR for each in read.found):
        # What is not there, or not understood, may have it.
        found = [each for each in found if each.rule not in ("no-root", "no-repo")]
    lines = {(line.place.file, line.place.line): line.text for line in read.lines}
    found.sort(key=lambda each: (each.place.outer, each.place.file, each.place.line, -each.grade))
    for grade in sorted(cut):
        found.append(Mistake(found[-1].place, f"there are more {grade}s; only so many are told", "", grade))
    return Examination(kickstart, recognised, tuple(dict.fromkeys(found)), lines)


def _noted(cut: set[Grade], check: Callable[..., object], *given: Any, rule: str = "syntax") -> list[Mistake]:
    """What a check notes; `cut` gets the grades of which there was more than is told."""
    notes = Notes(rule)
    with contextlib.suppress(TooMany):
        check(*given, notes)
    cut |= notes.cut
    return [*notes.mistakes, *notes.warned]


def _type_of(kickstart: Kickstart) -> str:
    """The type of image that a kickstart is most likely for."""
    header = kickstart.header.image_type
    return header or ("raw" if any(each.name in ("part", "partition") for each in kickstart.commands) else "fs")


def _of_dialect(recognised: Recognised, kickstart: Kickstart, read: Findings) -> list[Mistake]:
    """What the dialect has to say; of one that was only recognised, what it does not take is a note.

    Where there are lines that none takes, it is told with those which one comes closest.
    """
    name, found = recognised.dialect.name, []
    unread = [each for each in read.found if each.grade is Grade.ERROR and each.rule == "syntax"]
    if recognised.why == "it was given":
        unread = []
    if unread or recognised.refused:
        lines = sorted({each.place.outer for each in (*unread, *recognised.refused)})
        what = f"no dialect takes every line; {name} comes closest, but not with line"
        what += f"{'s' * (len(lines) > 1)} {', '.join(map(str, lines[:8]))}{', …' * (len(lines) > 8)}"
        first, grade = (unread[0], Grade.WARNING) if unread else (recognised.refused[0], Grade.NOTE)
        found.append(Mistake(first.place, what, "", grade, "dialect", first.word))
        found += [dataclasses.replace(each, grade=Grade.NOTE) for each in recognised.refused]
    for section in kickstart.all_sections:
        if recognised.why == "it was given" and not recognised.dialect.has_section(section.kind):
            what = f"section %{section.kind} is none of {name}"
            found.append(Mistake(section.place, what, "", Grade.ERROR, "dialect", f"%{section.kind}"))
    return found


def _of_tools(
    kickstart: Kickstart, tools: Sequence[str], chosen: bool, image_type: str, cut: set[Grade]
) -> list[Mistake]:
    """What the tools would make of it."""
    said: dict[tuple[Place, str], tuple[Mistake, list[str]]] = {}
    general: list[Mistake] = []
    for tool in tools:
        if tool == "builtin":
            general, of_tool = _builtin(kickstart, image_type, cut)
        else:
            of_tool = _noted(cut, MIC_TOOLS[tool].judge, kickstart, rule="tool")
        for each in of_tool:
            said.setdefault((each.place, each.what), (each, []))[1].append(tool)
    if "builtin" not in tools:
        general, _ = _builtin(kickstart, image_type, cut)
    return general + [_named(each, names, chosen) for each, names in said.values()]


def _builtin(kickstart: Kickstart, image_type: str, cut: set[Grade]) -> tuple[list[Mistake], list[Mistake]]:
    """What is wrong whatever the tool is, and what only the built-in creator does not do."""
    if image_type not in IMAGE_TYPES:
        image_type = "raw"
    found = _noted(cut, judged, kickstart, image_type, rule="value")
    return [each for each in found if each.rule != "tool"], [each for each in found if each.rule == "tool"]


def _named(mistake: Mistake, tools: Sequence[str], chosen: bool) -> Mistake:
    grade = mistake.grade if chosen else min(mistake.grade, Grade.WARNING)
    return dataclasses.replace(mistake, what=f"{', '.join(tools)}: {mistake.what}", grade=grade)
