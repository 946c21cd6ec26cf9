# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts a disk image in QEMU without KVM and talks with it over its serial line.

A `VirtualMachine` is a `with`: whatever happens inside, QEMU is gone after it. The image is never written to.
"""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import time
from pathlib import Path
from types import TracebackType

__all__ = ["NotSaid", "VirtualMachine"]

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|c)")


class NotSaid(AssertionError):
    """The machine did not say what was expected of it in time; the text has all that it said."""


class VirtualMachine:
    """A disk image, started by its own boot loader, with its serial line in our hands."""

    def __init__(self, disk: Path, *, firmware: Path | None = None, interface: str = "virtio") -> None:
        # QEMU reads a comma in a file name doubled.
        drive = str(disk).replace(",", ",,")
        self._command = [
            "qemu-system-x86_64", "-accel", "tcg", "-m", "256", "-no-reboot", "-snapshot", "-nodefaults",
            "-display", "none", "-vga", "std", "-serial", "stdio",
            "-drive", f"file={drive},format=raw,if={interface}",
            *(["-bios", str(firmware)] if firmware else []),
        ]  # fmt: skip
        self._bytes = b""
        self._seen = 0

    def __enter__(self) -> VirtualMachine:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    @property
    def said(self) -> str:
        """All that came over the serial line, without the escapes that move a cursor."""
        return _ESCAPES.sub("", self._bytes.decode("utf-8", "replace")).replace("\r", "")

    def expect(self, pattern: str, seconds: float = 300) -> re.Match[str]:
        """Wait until `pattern` comes, after what the last `expect` found. Raises NotSaid."""
        deadline = time.monotonic() + seconds
        while True:
            match = re.compile(pattern, re.MULTILINE).search(self.said, self._seen)
            if match:
                self._seen = match.end()
                return match
            if not self._read(deadline):
                raise NotSaid(f"no {pattern!r} within {seconds:.0f} s; the machine said:\n{self.said}")

    def say(self, line: str) -> None:
        """Type a line."""
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n".encode())

    def ask(self, command: str) -> str:
        """Type a command at a shell's prompt; what it printed, up to the next prompt."""
        # The marks are in the answer only: what is typed has a quote in them.
        self.say(f'echo "<<""<"; {command}; echo "["$?"]>"">>"')
        match = self.expect(r"^<<<\n((?:.*\n)*?)\[(\d+)\]>>>$", 900)
        assert match[2] == "0", f"{command} ended with {match[2]}:\n{match[1]}"
        return match[1]

    def wait_for_end(self, seconds: float = 120) -> int:
        """QEMU's exit status, when the machine turned itself off. Raises NotSaid where it did not."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        try:
            return self._process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise NotSaid(f"still on after {seconds:.0f} s; the machine said:\n{self.said}") from None

    def _read(self, deadline: float) -> bool:
        """Read what there is; False at the deadline, or when there is nothing more to come."""
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return False
        piece = os.read(self._process.stdout.fileno(), 65536)
        self._bytes += piece
        return bool(piece)
