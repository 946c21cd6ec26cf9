# SPDX-License-Identifier: GPL-2.0-or-later
"""A participant's process: its configuration in a directory, `skynet_exo` as a child, its log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from tests.support.rabbitmq import Node

__all__ = ["OLD", "Hosted", "configure"]

OLD = Path(__file__).with_name("old_participant.py")
_ROOT = Path(__file__).parents[2]


def configure(place: Path, address: str, name: str, code: Path = OLD, more: str = "") -> Path:
    """Write `skynet.conf` and the participant's file; returns the latter."""
    place.mkdir(exist_ok=True)
    (place / "skynet.conf").write_text(
        f"[boss]\namqp_host = {address}\namqp_user = guest\namqp_pwd = guest\namqp_vhost = /\n"
    )
    (place / "skynet.conf").chmod(0o600)
    own = place / "own.conf"
    own.write_text(
        f"[participant]\nname = {name}\ncode = {code}\njournal = {place}/journal\n[old]\ngreeting = hello\n{more}"
    )
    return own


class Hosted:
    """The process; a context that ends it."""

    def __init__(self, node: Node, place: Path, name: str, *, code: Path = OLD, more: str = "", **env: str) -> None:
        self.place = place
        self.states = place / "states"
        self.own = configure(place, node.address, name, code, more)
        self._log = place / "log"
        self._env = {**env, "OLD_STATES": str(self.states)}
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Hosted:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "SkyNET.exo", str(self.own)],
                cwd=_ROOT,
                env={**os.environ, "SKYNET_CONFIG_DIR": str(self.place), **self._env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        if error is not None:
            # pytest shows it with the failure.
            print(self.log)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str, within: float = 60) -> None:
        """Wait until the log has the text."""
        end = time.monotonic() + within
        while text not in self.log:
            assert time.monotonic() < end, f"{text!r} is not in the log:\n{self.log}"
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def ended(self, within: float = 60) -> int:
        """The exit status."""
        assert self.process
        return self.process.wait(within)
