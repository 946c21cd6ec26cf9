# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m imgcore.kickstart.table [FILE]`: what becomes of every command, section and option.

Made from what reads and judges: no row is written by hand. With FILE (docs/kickstart.md) it is put between its marks.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from pathlib import Path

from pykickstart.base import DeprecatedCommand, RemovedCommand
from pykickstart.handlers.control import commandMap

from imgcore.kickstart import system
from imgcore.kickstart.dialect import MIC, kinds_of, names, parser_of
from imgcore.kickstart.document import SCRIPTS, SECTIONS
from imgcore.kickstart.judged import CARRIED, LAYOUT, NO_MEANING, REFUSED, SECTIONS_WITHOUT_MEANING
from imgcore.kickstart.sections import PACKAGES_OPTIONS, SCRIPT_OPTIONS
from imgcore.kickstart.software import CARRIED as CARRIED_PACKAGES
from imgcore.kickstart.software import NO_MEANING as PACKAGES_WITHOUT_MEANING
from imgcore.kickstart.tools import MIC as MIC_1
from imgcore.kickstart.tools import MIC2, Tool
from imgcore.kickstart.versions import MIC_SECTIONS, dialects

__all__ = ["put", "table"]

_HEAD = "| | dialects | read | kept | checked | mic | mic2 | built-in creator |\n|---|---|---|---|---|---|---|---|"
_BEGIN, _END = "<!-- made by python -m imgcore.kickstart.table -->", "<!-- end -->"
_RUNS = frozenset(("%pre", "%post", "%pack"))
_CHECKED = frozenset(system.READERS) | {"user", "group", "network", "desktop", "xconfig", "part", "partition"}
_ALSO_CHECKED = _CHECKED | {"bootloader", "repo", "url", "clearpart"}


def table() -> str:
    """All rows, commands first."""
    return "\n".join([_HEAD, *_commands(), *_sections()]) + "\n"


def _commands() -> Iterator[str]:
    for name in sorted(names()):
        done = name in CARRIED
        checked = "values" if name in _ALSO_CHECKED else "form"
        cells = (checked, MIC_1.of_command(name), MIC2.of_command(name), _builtin(name))
        yield _row(f"`{name}`", _dialects(name), *cells)
        carried = CARRIED.get(name)
        for option, attribute in sorted(_options(name).items()):
            ours = cells[3].partition(":")[0]
            if done and carried is not None:
                ours = "done" if attribute in carried.options else "refused"
                ours = "ignored" if attribute in carried.no_meaning else ours
            theirs = (_of(MIC_1, name, option, attribute), _of(MIC2, name, option, attribute))
            yield _row(f"`{name} {option}`", _dialects(name, option), checked, *theirs, ours)


def _row(what: str, dialects: str, checked: str, *tools: str) -> str:
    return f"| {what} | {dialects} | yes | yes | {checked} | {' | '.join(tools)} |"


def _of(tool: Tool, name: str, option: str, attribute: str) -> str:
    of_command = tool.of_command(name)
    return of_command if of_command == "left out" else tool.of_option(name, option, attribute)


def _builtin(name: str) -> str:
    if name in NO_MEANING:
        return "ignored"
    if name in CARRIED:
        return "done, not for `fs`" if name in LAYOUT else "done"
    return "refused: " + REFUSED.get(name, "leave it out")


def _options(name: str) -> dict[str, str]:
    """Every option that any dialect has of a command, and the attribute that it sets."""
    found: dict[str, str] = {}
    for kind in kinds_of(name):
        for option, attribute in _taken(kind).items():
            found.setdefault(option, attribute)
    return found


@functools.cache
def _taken(kind: type) -> dict[str, str]:
    """The options that a class takes, and the attributes they set."""
    actions = getattr(parser_of(kind), "_option_string_actions", {})
    return {option: action.dest for option, action in actions.items() if option.startswith("--")}


def _dialects(name: str, option: str = "") -> str:
    """Which dialects have a command, or an option of it: mic, and from which to which Fedora and RHEL."""
    parts = ["mic"] if _has(MIC.get(name), option) else []
    for family in ("f", "rhel"):
        having = [
            each.name
            for each in dialects()[2:][::-1]
            if each.name.startswith(family) and _has(commandMap[each.version].get(name), option)
        ]
        if having:
            newest = next(each.name for each in dialects()[2:] if each.name.startswith(family))
            until = "" if having[-1] == newest else f" to {having[-1]}"
            parts.append(having[0] + (" only" if having[0] == having[-1] != newest else until))
    return ", ".join(parts) or "mic"


def _has(kind: type | None, option: str) -> bool:
    if kind is None or issubclass(kind, RemovedCommand):
        return False
    if issubclass(kind, DeprecatedCommand) and option:
        return False
    return not option or option in _taken(kind)


def _sections() -> Iterator[str]:
    for name in sorted(SECTIONS):
        kind = name.removeprefix("%")
        theirs = ["done" if kind in tool.sections else "ignored" for tool in (MIC_1, MIC2)]
        ours = "done" if kind in ("packages", "prepackages", "attachment") or name in _RUNS else "refused"
        ours = "ignored" if kind in SECTIONS_WITHOUT_MEANING else ours
        checked = "`bash -n`" if name in SCRIPTS else "names" if ours == "done" else "form"
        which = "mic" if kind in MIC_SECTIONS else _having(kind)
        yield _row(f"`{name}`", which, checked, *theirs, ours)
        if name in _RUNS:
            for option in sorted(SCRIPT_OPTIONS):
                silent = option in ("--interpreter", "--log", "--logfile")
                of_mic = [("ignored" if silent else "done") if each == "done" else each for each in theirs]
                yield _row(f"`{name} {option}`", which, "form", *of_mic, ours)
        elif name == "%packages":
            yield from _packages(which)


def _packages(which: str) -> Iterator[str]:
    for option, meant in sorted(PACKAGES_OPTIONS.items()):
        theirs = "done" if meant.name in ("excludedocs", "ignoremissing", "inst-langs") else "ignored"
        ours = "done" if meant.name in CARRIED_PACKAGES else "refused"
        ours = "ignored" if meant.name in PACKAGES_WITHOUT_MEANING else ours
        yield _row(f"`%packages {option}`", which, "form", theirs, theirs, ours)


def _having(kind: str) -> str:
    having = [each.name for each in dialects()[::-1] if each.has_section(kind) and each.name != "fedora"]
    fedora = next((each for each in having if each.startswith("f")), "")
    rhel = next((each for each in having if each.startswith("rhel")), "")
    return ", ".join(filter(None, ("mic" if kind in MIC_1.sections else "", fedora, rhel)))


def put(page: str) -> str:
    """The page with the table between its marks."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table()}{_END}{after}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        file = Path(sys.argv[1])
        file.write_text(put(file.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table(), end="")
