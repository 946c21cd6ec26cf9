# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of a documentation page, to be run as they stand there.

A block of commands is fenced, of the language `console`; each of its lines begins with `# ` (for root) or `$ ` (for
anybody), or with `> ` where the command of the line before goes on. What stands behind a ` # ` explains it, and may
say how the command ends: `fails`, or `ends with 1`.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.checkout import ROOT

__all__ = ["Block", "Command", "Document", "blocks", "commands", "fenced", "run", "section"]


@dataclass(frozen=True)
class Command:
    """What is to be typed, and what the page says of it."""

    text: str
    remark: str = ""

    def ended_as_said(self, status: int) -> bool:
        """Whether the exit status is the one that the page tells; 0 where it tells none."""
        told = re.search(r"ends with (\d+)", self.remark)
        return status == int(told[1]) if told else (status != 0) == self.remark.startswith("fails")


@dataclass(frozen=True)
class Block:
    """The commands of one block; `heading` is what it stands under."""

    page: str
    heading: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}, {self.heading}: {self.lines[0]}"

    @property
    def commands(self) -> list[Command]:
        """The commands, without prompts; one that goes on in other lines is one."""
        texts: list[str] = []
        for line in self.lines:
            prompt, text = line[:2], line[2:]
            if prompt == "> ":
                texts[-1] += f"\n{text}"
            else:
                assert prompt in ("$ ", "# "), f"{self}: {line!r} has no prompt"
                texts.append(text)
        parts = [re.split(r"\s+# (?=[^\n]*\Z)", each, maxsplit=1) for each in texts]
        return [Command(*each) for each in parts]


class Document:
    """The blocks of commands of a page, or of one section, in their order: each is taken once, by who runs it.

    Where there are blocks that nobody has taken, `end` fails.
    """

    def __init__(self, page: str, heading: str | None = None) -> None:
        self._left = [each for each in fenced(ROOT / page) if heading in (None, each.heading)]
        assert self._left, f"{page} has no commands{f' under {heading}' if heading else ''}"

    def take(self, beginning: str) -> Block:
        """The next block, which has to begin like this."""
        assert self._left, f"there is no further block, so none that begins with {beginning}"
        block = self._left.pop(0)
        assert block.commands[0].text.startswith(beginning), f"{block} does not begin with {beginning}"
        return block

    def rest(self) -> list[Block]:
        """All that nobody has taken, and now somebody has."""
        blocks, self._left = self._left, []
        return blocks

    def end(self) -> None:
        """Nothing is left that nobody has run."""
        assert not self._left, f"no test runs {'; '.join(map(str, self._left))}"


def run(block: Block, directory: Path, environment: Mapping[str, str], within: float = 600) -> list[str]:
    """Type a block in a shell there; what each command said. Fails where one does not end as told."""
    said = []
    for command in block.commands:
        done = subprocess.run(
            ["bash", "-c", command.text], cwd=directory, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=within,
        )  # fmt: skip
        output = done.stdout + done.stderr
        assert command.ended_as_said(done.returncode), f"{block.page}: {command.text}: {done.returncode}\n{output}"
        said.append(output)
    return said


def fenced(page: Path) -> list[Block]:
    """All blocks of commands of a page."""
    return list(_fenced(page))


def _fenced(page: Path) -> Iterator[Block]:
    heading, lines = "", []
    language: str | None = None
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = re.match(r"\s*```(\w*)", line)
        if fence and language is None:
            language, lines = fence[1], []
        elif fence:
            if language == "console":
                yield Block(page.name, heading, tuple(each.strip() for each in lines))
            language = None
        elif language is not None:
            lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()


def section(page: Path, heading: str) -> str:
    """The text of a section, up to the next heading."""
    text = page.read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no heading {heading}"
    return found[1]


def commands(page: Path, heading: str) -> list[list[str]]:
    """The blocks of commands below a heading, each line with its prompt: `# ` is root's, `$ ` anybody's."""
    return [block.splitlines() for block in blocks(page, heading, "console")]


def blocks(page: Path, heading: str, language: str) -> list[str]:
    """The fenced blocks of a language below a heading."""
    text = page.read_text()
    section = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", re.sub(r"(?m)^# ", "\0", text), re.M | re.S)
    assert section, f"{page} has no heading {heading}"
    return [block.replace("\0", "# ") for block in re.findall(rf"```{language}\n(.*?)```", section[1], re.S)]
