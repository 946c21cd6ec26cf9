# SPDX-License-Identifier: GPL-2.0-or-later
"""What makes the image: `builtin`, `mic`, `mic2`, or a tool that the configuration describes.

A tool turns an order into a command line and input files (`prepare`), and judges from what came
out whether there is an image (`judge`): by the tool's own proof, never by its exit status alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from imgcore.errors import InputError
from imgcore.executor import Outcome

__all__ = ["Artifact", "Order", "Output", "Package", "Prepared", "Result", "Tool", "by_name"]


@dataclass(frozen=True)
class Order:
    """One image to make; every field has passed its validator."""

    image_id: str
    name: str
    arch: str
    image_type: str
    #: The kickstart to build, UTF-8 or as it was found.
    kickstart: bytes
    #: What error messages call the kickstart.
    kickstart_name: str = "image.ks"
    tokens: Mapping[str, str] = field(default_factory=dict)
    extra_opts: Sequence[str] = ()
    #: Seconds since the epoch, for images that are the same each time.
    source_date_epoch: int = 0


@dataclass(frozen=True)
class Prepared:
    """What the executor needs to know, and the kickstart as it will be built (without secrets)."""

    arguments: tuple[str, ...]
    #: The files of the sandbox's input directory.
    inputs: Mapping[str, bytes]
    as_built: bytes
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Directories that the build reads, in the order of their places in the sandbox.
    readable: tuple[Path, ...] = ()
    #: Where its packages are, as far as that is on the network.
    urls: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Artifact:
    """A file to publish; `kind` is image, archive, bmap, kernel, initrd, packages, attachment or file."""

    name: str
    kind: str


@dataclass(frozen=True)
class Package:
    """A line of the manifest; what the tool does not tell is empty."""

    name: str
    epoch: str = ""
    version: str = ""
    release: str = ""
    arch: str = ""
    repository: str = ""


@dataclass(frozen=True)
class Result:
    """An image that was made."""

    artifacts: tuple[Artifact, ...]
    packages: tuple[Package, ...]
    warnings: tuple[str, ...] = ()


class Output(Protocol):
    """What a run has left: the delivered files and the end of its log."""

    @property
    def files(self) -> Mapping[str, int]:
        """Delivered files: relative name to size in bytes."""

    @property
    def tail(self) -> Sequence[str]:
        """The last lines of the log, without their times."""

    def read(self, name: str, limit: int) -> bytes:
        """The first `limit` bytes of a delivered file."""


class Tool(Protocol):
    """One way to make an image."""

    @property
    def name(self) -> str:
        """What the record calls it."""

    def prepare(self, order: Order) -> Prepared:
        """Check the order and say what to run. Raises InputError."""

    def judge(self, order: Order, outcome: Outcome, output: Output) -> Result:
        """The image that the run made. Raises BuildError with the cause where it made none."""


def by_name(name: str, commands: Mapping[str, Sequence[str]]) -> Tool:
    """The tool of that name. Raises InputError where there is none."""
    if name == "builtin":
        from imgcore.tool.builtin import Builtin

        return Builtin()
    from imgcore.tool.mic import Mic, Mic2

    if name == "mic2":
        return Mic2()
    if name in commands:
        return Mic(name)
    raise InputError(f"tool {name!r} is not known", f"choose one of builtin, {', '.join(sorted(commands))}")
