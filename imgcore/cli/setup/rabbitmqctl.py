# SPDX-License-Identifier: GPL-2.0-or-later
"""RabbitMQ's own command on the broker's machine: what there is, and what is to be there.

A password goes over standard input, where no list of processes shows it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable

from imgcore.cli.setup.rights import Rights
from imgcore.errors import ImagerError, InputError

__all__ = ["Rabbitmqctl"]

_SECONDS = 120
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


class Rabbitmqctl:
    """The command, for one node. `said` hears of each change, as a person would type it.

    With `dry` nothing is run: all is told as for a broker that has nothing yet.
    """

    def __init__(self, node: str | None, said: Callable[[str], None], *, dry: bool = False) -> None:
        self._said, self._dry = said, dry
        found = shutil.which("rabbitmqctl", path=f"{os.environ.get('PATH', '')}:{_SBIN}")
        if found is None and not dry:
            raise InputError(
                "rabbitmqctl is not here",
                "run this on the broker's machine; `apt install rabbitmq-server` makes it one",
            )
        self._command = [found or "rabbitmqctl", *(["-n", node] if node else [])]

    def vhost(self, name: str) -> None:
        """See to it that the vhost is there."""
        if name not in self._listed("list_vhosts", "name"):
            self._change("add_vhost", name)

    def user(self, name: str, password: str) -> None:
        """See to it that the user is there and has the password."""
        if name not in self._listed("list_users"):
            self._change("add_user", name, secret=password)
        elif self._run("authenticate_user", name, secret=password).returncode:
            self._change("change_password", name, secret=password)

    def rights(self, vhost: str, user: str, rights: Rights) -> None:
        """See to it that the user may do this in the vhost, and no more."""
        wanted = (rights.configure, rights.write, rights.read)
        if "\t".join((user, *wanted)) not in self._lines("list_permissions", "-p", vhost):
            self._change("set_permissions", "-p", vhost, user, *wanted)

    def _listed(self, *arguments: str) -> set[str]:
        return {line.partition("\t")[0] for line in self._lines(*arguments)}

    def _lines(self, *arguments: str) -> list[str]:
        if self._dry:
            return []
        done = self._run("-q", *arguments, "--no-table-headers")
        if done.returncode:
            raise _failed(arguments, done)
        return done.stdout.splitlines()

    def _change(self, *arguments: str, secret: str = "") -> None:
        self._said(
            shlex.join(("rabbitmqctl", *arguments)) + ("  # the password on its standard input" if secret else "")
        )
        if not self._dry:
            done = self._run(*arguments, secret=secret)
            if done.returncode:
                raise _failed(arguments, done)

    def _run(self, *arguments: str, secret: str = "") -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [*self._command, *arguments],
                input=f"{secret}\n" if secret else "",
                capture_output=True,
                text=True,
                check=False,
                timeout=_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ImagerError(f"rabbitmqctl {arguments[0]}: {error}", "does the broker run?") from error


def _failed(arguments: tuple[str, ...], done: subprocess.CompletedProcess[str]) -> ImagerError:
    lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    why = next((line for line in lines if line.lower().startswith("error")), lines[0] if lines else "no reason given")
    return ImagerError(f"rabbitmqctl {arguments[0]} failed: {why[:300]}", "does the broker run, and are you root?")
