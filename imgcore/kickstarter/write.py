# SPDX-License-Identifier: GPL-2.0-or-later
"""An image becomes the text of a kickstart, and every line of it remembers the place in the YAML that it comes from.

The text is the same each time: nothing of the machine, the time or the directory is in it. Values are quoted, so
that each stays one word; whether the words are valid is for the reader of kickstarts to say.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from imgcore.kickstart.dialect import NotUnderstood, Reader
from imgcore.kickstart.document import MIC_MARK, lines_of, roles
from imgcore.kickstart.mistakes import shown
from imgcore.kickstarter.description import Image
from imgcore.kickstarter.files import Source
from imgcore.kickstarter.mistakes import Notes, Spot
from imgcore.kickstarter.tree import Node

__all__ = ["Origin", "Written", "write"]

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./~^-]+")
_USER_GROUPS = "audio,video"
_FILE_SYSTEM = "ext4"
#: What Intel's tools called i586; mic and rpm do not know it.
_NO_ARCH = ("ia32",)


@dataclass(frozen=True)
class Origin:
    """Where a line comes from: a value, or a line of a file."""

    spot: Spot
    key: str = ""


@dataclass
class Written:
    """A kickstart with the origin of each line."""

    lines: list[str] = field(default_factory=list)
    origins: list[Origin | None] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The kickstart."""
        return "".join(f"{line}\n" for line in self.lines)

    def add(self, line: str, origin: Origin | None = None) -> None:
        """One line more."""
        self.lines.append(line)
        self.origins.append(origin)

    def gap(self) -> None:
        """An empty line, where there is none."""
        if self.lines and self.lines[-1]:
            self.add("")


def write(image: Image, sources: Sequence[Source], notes: Notes) -> Written:
    """The kickstart of `image`, which was made from `sources`."""
    return _Writer(image, notes).all(sources)


class _Writer:
    def __init__(self, image: Image, notes: Notes) -> None:
        self._image, self._notes = image, notes
        self._values: Mapping[str, Node] = image.values
        self._made = Written()

    def all(self, sources: Sequence[Source]) -> Written:
        """Everything, in the order of mic's documentation."""
        self._header(sources)
        self._made.gap()
        self._command("Language", "lang")
        self._command("Keyboard", "keyboard")
        self._command("Timezone", "timezone --utc")
        self._part()
        self._command("RootPass", "rootpw")
        self._user()
        if (start := self._value("StartX")) is not None and start.truth:
            self._line("StartX", "xconfig --startxonboot")
        self._bootloader()
        self._desktop()
        self._repositories()
        self._packages()
        self._list("PrePackages", "%prepackages")
        self._list("Attachment", "%attachment")
        for header, scripts in self._image.scripts.items():
            self._script(header, scripts)
        return self._made

    def _value(self, key: str) -> Node | None:
        """A value that is given, if only as an empty text."""
        node = self._values.get(key)
        return None if node is None or node.kind == "null" else node

    def _line(self, key: str, text: str) -> None:
        self._made.add(text, Origin(self._values[key].spot, key))

    def _command(self, key: str, command: str) -> None:
        value = self._value(key)
        if value:
            # A value that begins with - would be an option.
            ended = " --" if value.text.startswith("-") else ""
            self._line(key, f"{command}{ended} {_quoted(value.text)}")

    def _header(self, sources: Sequence[Source]) -> None:
        options, arch = self._value("Mic2Options"), self._value("Architecture")
        words = " ".join(options.text.split()) if options else ""
        if options and (MIC_MARK in words or not _splits(words)):
            self._notes.mistake(options.spot, f"{shown(words)} is no list of options", key="Mic2Options")
            words = ""
        if arch and arch.text not in _NO_ARCH and f"--arch={arch.text}" not in words.split():
            # Behind what the options may say themselves: of two the last counts.
            words = f"{words} --arch={arch.text}".strip()
        if words:
            self._made.add(f"# {MIC_MARK} {words} {MIC_MARK}", Origin((options or arch or self._values["Name"]).spot))
        self._made.add(f"# {_comment(self._image.name)}: generated, so change what it was made from (with SHA-256):")
        for source in sources:
            self._made.add(f"#   {source.digest}  {_comment(source.name)}")

    def _part(self) -> None:
        if self._image.part is not None:
            for number, line in enumerate(_lines(self._image.part), 1):
                self._made.add(line, Origin(Spot(self._image.part.shown, number)))
        elif size := self._value("PartSize"):
            kind = self._value("FileSystem")
            fstype = kind.text if kind else _FILE_SYSTEM
            self._line("PartSize", f"part / --size={size.text} --ondisk=sda --fstype={_quoted(fstype)}")

    def _user(self) -> None:
        name = self._value("DefaultUser")
        # Root is there already; what is meant is who is logged in.
        if not name or name.text == "root":
            return
        groups = self._value("UserGroups")
        words = [f"--name={_quoted(name.text)}", f"--groups={_quoted(groups.text if groups else _USER_GROUPS)}"]
        password, gecos = self._value("DefaultUserPass"), self._value("DefaultUserGecos")
        if password is not None:
            words.append(f"--password={_quoted(password.text)}")
        if gecos:
            words.append(f"--gecos={_quoted(gecos.text)}")
        self._line("DefaultUser", f"user {' '.join(words)}")

    def _bootloader(self) -> None:
        words, first = [], ""
        for key, option in (("BootloaderTimeout", "--timeout"), ("BootloaderAppend", "--append")):
            if (value := self._value(key)) is not None:
                words.append(f"{option}={_quoted(value.text)}")
                first = first or key
        if options := self._value("BootloaderOptions"):
            words.extend(self._options(options.text, ("bootloader",), options.spot, "BootloaderOptions"))
            first = first or "BootloaderOptions"
        if words:
            self._line(first, f"bootloader {' '.join(words)}")

    def _desktop(self) -> None:
        desktop = self._value("Desktop")
        if not desktop:
            return
        words = []
        for key, option in (("DefaultUser", "--autologinuser"), ("Desktop", "--defaultdesktop"),
                            ("Session", "--session")):  # fmt: skip
            value = self._value(key)
            if value and not (key == "Desktop" and value.text == "None"):
                words.append(f"{option}={_quoted(value.text)}")
        if words:
            self._line("Desktop", f"desktop {' '.join(words)}")

    def _repositories(self) -> None:
        self._made.gap()
        for each in self._image.repositories:
            command = ("repo", f"--name={each.name}", f"--baseurl={each.url}")
            words = [*command, *self._options(each.options, command, each.spot, "Repositories")]
            self._made.add(" ".join(map(_quoted, words)), Origin(each.spot, "Repositories"))

    def _options(self, text: str, command: Sequence[str], spot: Spot, key: str) -> list[str]:
        """The options in `text` that the command has. For one of another kind, mic would ignore the whole line."""
        try:
            words = shlex.split(text)
        except ValueError:
            self._notes.mistake(spot, f"{shown(text)} is no list of options", key=key)
            return []
        found: list[str] = []
        while words:
            option = [words.pop(0)]
            while words and option[0].startswith("-") and not words[0].startswith("-"):
                option.append(words.pop(0))
            try:
                Reader().read([*command, *option], 1)
            except NotUnderstood as error:
                self._notes.warning(spot, f"{shown(' '.join(option))} is left out: {error}", key=key)
            else:
                found.extend(option)
        return found

    def _packages(self) -> None:
        self._made.gap()
        arguments = self._value("PackageArgs")
        self._made.add(
            f"%packages --{arguments.text}" if arguments else "%packages",
            Origin(arguments.spot, "PackageArgs") if arguments else None,
        )
        for key, sign in (("Groups", "@"), ("Kernel", ""), ("ExtraPackages", ""), ("RemovePackages", "-")):
            value = self._value(key)
            for each in (value.items or (value,)) if value else ():
                self._entry(each, key, sign)
        self._made.add("%end")

    def _entry(self, entry: Node, key: str, sign: str = "") -> None:
        """A line of a list. What the list would take for something else than an entry is a mistake."""
        text = entry.text.strip()
        if "#" in text or text.startswith("%"):
            self._notes.mistake(entry.spot, f"{shown(text)} is not a name", key=key)
        elif entry:
            self._made.add(f"{sign}{text}", Origin(entry.spot, key))

    def _list(self, key: str, header: str) -> None:
        value = self._value(key)
        if not value:
            return
        self._made.gap()
        self._made.add(header)
        for each in value.items:
            self._entry(each, key)
        self._made.add("%end")

    def _script(self, header: str, scripts: Sequence[Source]) -> None:
        body = [(line, Origin(Spot(each.shown, number))) for each in scripts
                for number, line in enumerate([*_lines(each), ""], 1)]  # fmt: skip
        while body and not body[-1][0]:
            body.pop()
        if not body:
            return
        self._made.gap()
        self._made.add(header, body[0][1])
        for line, origin in body:
            self._made.add(line, origin)
        self._made.add("%end")
        text = "".join(f"{line}\n" for line, _ in body)
        for role, (line, origin) in zip(roles(lines_of(text, ""), header.split()[0]), body, strict=True):
            if role.kind != "body":
                self._notes.mistake(origin.spot, f"{shown(line)} would end the script {header}", "write it otherwise")


def _lines(source: Source) -> list[str]:
    return [line.text for line in lines_of(source.text, source.shown)]


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    option, equals, rest = value.partition("=")
    if equals and option.startswith("--") and _PLAIN.fullmatch(option):
        return f"{option}={_quoted(rest)}"
    # As people write it, where that is as good.
    return f'"{value}"' if not set(value) & set("\"\\$`'") else shlex.quote(value)


def _splits(text: str) -> bool:
    try:
        return bool(shlex.split(text))
    except ValueError:
        return False


def _comment(text: str) -> str:
    return shown(text.replace(MIC_MARK, ""), 160)
