# SPDX-License-Identifier: GPL-2.0-or-later
"""Two kickstarts compared by what they mean: order, spelling, comments and where a thing stands do not matter.

Commands are the same where they speak of the same thing (`part /`) and say the same of it; of packages it counts what
is listed and excluded at the end. Scripts run one after another, so they are compared in their order.
"""

from __future__ import annotations

import difflib
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgcore.credentials import MASK
from imgcore.kickstart.dialect import is_list
from imgcore.kickstart.identity import identity, same
from imgcore.kickstart.model import Command, Entry, Kickstart, ScriptSection
from imgcore.kickstart.redact import redact

__all__ = ["Difference", "differences"]

#: Lines (or scripts) that differ up to which it is looked for what among them is the same: that takes their square.
_MOST = 200
#: More lines than this of one difference are only counted.
_MOST_TOLD = 2000


@dataclass(frozen=True)
class Difference:
    """What differs (`command`, `package`, `script`, …), of what, and both sides; an empty side has not got it."""

    kind: str
    what: str
    before: str
    after: str


def differences(before: Kickstart, after: Kickstart) -> list[Difference]:
    """All that differs, without secrets; empty where the two mean the same."""
    found = [*_header(before, after), *_commands(before, after), *_package_options(before, after)]
    for kind, old, new in (
        ("package", _entries(before), _entries(after)),
        ("prepackage", _named(before.prepackages), _named(after.prepackages)),
        ("attachment", _named(before.attachments), _named(after.attachments)),
    ):
        found += _of(kind, old, new)
    return [*found, *_sections(before, after), *_scripts(before, after)]


def _of(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for what in dict.fromkeys((*old, *new)):
        if old.get(what, "") != new.get(what, ""):
            yield Difference(kind, what, old.get(what, ""), new.get(what, ""))


def _header(before: Kickstart, after: Kickstart) -> Iterator[Difference]:
    for field in ("image_type", "arch"):
        yield from _of("header", {field: getattr(before.header, field)}, {field: getattr(after.header, field)})


def _commands(before: Kickstart, after: Kickstart) -> Iterator[Difference]:
    old, new = _by_identity(before.commands), _by_identity(after.commands)
    for key in dict.fromkeys((*old, *new)):
        one, other = old.get(key, []), new.get(key, [])
        gone, come = _without(one, other), _without(other, one)
        if gone or come:
            yield Difference("command", " ".join(filter(None, key)), _text(gone), _text(come))


def _by_identity(commands: Sequence[Command]) -> dict[tuple[str, ...], list[Command]]:
    """The lines about each thing; of a command that can stand only once, the last."""
    found: dict[tuple[str, ...], list[Command]] = {}
    for each in commands:
        lines = found.setdefault(identity(each.words, each.values), [])
        if not is_list(same(each.name)):
            lines.clear()
        lines.append(each)
    return found


def _without(lines: Sequence[Command], others: Sequence[Command]) -> list[Command]:
    """The lines that the others do not say, too."""
    left = Counter(map(_said, others))
    found = []
    for each in lines:
        said = _said(each)
        left[said] -= 1
        if left[said] < 0:
            found.append(each)
    return found


def _said(command: Command) -> str:
    """What the command says: an option that is given with its default says what leaving it out says."""
    return repr(sorted((name, value) for name, value in command.values.items() if value not in (None, "", [], False)))


def _text(commands: Sequence[Command]) -> str:
    return "\n".join(redact(shlex.join(each.words)) for each in commands)


def _entries(kickstart: Kickstart) -> dict[str, str]:
    """What becomes of each package and group: the last line about it counts."""
    found = {}
    for section in kickstart.packages:
        for entry in section.entries:
            found[_name(entry)] = "excluded" if entry.excluded else f"listed{_include(entry)}"
    return found


def _name(entry: Entry) -> str:
    return {"package": "", "environment": "@^"}.get(entry.kind, "@") + entry.name


def _include(entry: Entry) -> str:
    return "" if entry.include == "default" else f" ({entry.include})"


def _named(entries: Sequence[Entry]) -> dict[str, str]:
    return {each.name: "listed" for each in entries}


def _package_options(before: Kickstart, after: Kickstart) -> Iterator[Difference]:
    old, new = ({f"--{n}": v or "given" for s in ks.packages for n, v in s.options.items()} for ks in (before, after))
    yield from _of("packages", old, new)


def _others(kickstart: Kickstart) -> dict[str, str]:
    """The sections that nothing here looks into: their text by their header."""
    found: dict[str, str] = {}
    for each in kickstart.sections:
        header = " ".join(each.header.split())
        found[header] = f"{found.get(header, '')}{header}\n{each.body}"
    return found


def _sections(before: Kickstart, after: Kickstart) -> Iterator[Difference]:
    for each in _of("section", _others(before), _others(after)):
        old, new = redact(each.before), redact(each.after)
        yield Difference(each.kind, each.what, *(_differing(old, new) if old and new else (old, new)))


def _scripts(before: Kickstart, after: Kickstart) -> Iterator[Difference]:
    kinds = dict.fromkeys(each.kind for each in (*before.scripts, *after.scripts))
    for kind in kinds:
        old = [each for each in before.scripts if each.kind == kind]
        new = [each for each in after.scripts if each.kind == kind]
        for a, b, c, d in _runs([_key(each) for each in old], [_key(each) for each in new]):
            if max(b - a, d - c) > _MOST:
                yield Difference("script", f"%{kind}", f"{b - a} scripts", f"{d - c} scripts")
                continue
            for index in range(max(b - a, d - c)):
                one = old[a + index] if a + index < b else None
                other = new[c + index] if c + index < d else None
                number = (a if one is not None else c) + index + 1
                yield Difference("script", f"%{kind} {number}", *_both(one, other))


def _key(script: ScriptSection) -> tuple[object, ...]:
    return (script.body, script.interpreter, script.chroot, script.error_on_fail, script.log)


def _runs(old: Sequence[Any], new: Sequence[Any]) -> Iterator[tuple[int, int, int, int]]:
    """From where to where the two differ; what is the same within a long run of that is not looked for."""
    start = next((i for i, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), None)
    if start is None:
        start = min(len(old), len(new))
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    one, other = old[start : len(old) - end], new[start : len(new) - end]
    if len(one) + len(other) > _MOST:
        yield start, start + len(one), start, start + len(other)
        return
    for tag, a, b, c, d in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag != "equal":
            yield start + a, start + b, start + c, start + d


def _both(one: ScriptSection | None, other: ScriptSection | None) -> tuple[str, str]:
    """The two sides: of scripts that are both there only what differs."""
    if one is None or other is None:
        return _whole(one), _whole(other)
    return _differing(_whole(one), _whole(other))


def _differing(before: str, after: str) -> tuple[str, str]:
    """The lines of two texts that differ, or how many they are."""
    old, new = before.splitlines(), after.splitlines()
    runs = list(_runs(old, new))
    gone = [line for a, b, _, _ in runs for line in old[a:b]]
    come = [line for _, _, c, d in runs for line in new[c:d]]
    if len(gone) + len(come) > _MOST_TOLD:
        return f"{len(gone)} lines", f"{len(come)} lines"
    if not runs:
        # They differ in what is not shown.
        return MASK, MASK
    return "\n".join(gone), "\n".join(come)


def _whole(script: ScriptSection | None) -> str:
    if script is None:
        return ""
    options = [f"--interpreter={script.interpreter}"] if script.interpreter else []
    options += [] if script.chroot else ["--nochroot"]
    options += ["--erroronfail"] if script.error_on_fail else []
    options += [f"--log={script.log}"] if script.log else []
    return redact("\n".join([" ".join([f"%{script.kind}", *options]), script.body.rstrip("\n")]))
