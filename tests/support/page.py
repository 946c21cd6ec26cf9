"""The commands of a documentation page, to be run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["blocks", "commands"]


def commands(page: Path, heading: str) -> list[list[str]]:
    """The blocks of commands below a heading, each line with its prompt: `# ` is root's, `$ ` anybody's."""
    return [block.splitlines() for block in blocks(page, heading, "console")]


def blocks(page: Path, heading: str, language: str) -> list[str]:
    """The fenced blocks of a language below a heading."""
    text = page.read_text()
    section = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", re.sub(r"(?m)^# ", "\0", text), re.M | re.S)
    assert section, f"{page} has no heading {heading}"
    return [block.replace("\0", "# ") for block in re.findall(rf"```{language}\n(.*?)```", section[1], re.S)]
