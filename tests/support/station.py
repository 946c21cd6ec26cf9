# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine that hosts participants as docs/participants.md says: conf/skynet as it is, beside what is its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imgcore.spool import Spool
from tests.support import slow
from tests.support.rabbitmq import Node

__all__ = ["Station"]

_CONF = Path(__file__).parents[2] / "conf/skynet"
_EXO = Path(sys.executable).with_name("skynet_exo")
_TOOL = Path(__file__).with_name("slow_tool.py")


class Station:
    """Directories of its own for records, images, configuration and journals; one broker for all stations."""

    def __init__(
        self,
        node: Node,
        place: Path,
        *,
        user: str = "guest",
        password: str = "guest",
        vhost: str = "/",
        tls: bool = False,
    ) -> None:
        self.place = place
        self.spool = Spool(place / "spool")
        self.ksstore = place / "ksstore"
        self.configuration = place / "skynet"
        for directory in (self.configuration, self.ksstore):
            directory.mkdir(parents=True)
        secret = self.configuration / "password"
        secret.write_text(password)
        secret.chmod(0o600)
        host = node.address
        if tls:
            # Who connects shows a certificate too.
            host = f"127.0.0.1:{node.tls_port}\namqp_ca = {node.place}/ca.pem"
            host += f"\namqp_cert = {node.place}/client.pem\namqp_key = {node.place}/client.key"
        self._write(
            "skynet.conf",
            f"[boss]\namqp_host = {host}\namqp_user = {user}\namqp_pwd_file = {secret}\n"
            f"amqp_vhost = {vhost}\n[skynet]\nstop_timeout = 5\n",
        )
        self._write("skynet.env", f"IMAGER_CONFIG={place}/imager.conf\nSTATE_DIRECTORY={place}/state\n")
        (place / "imager.conf").write_text(
            f"[imager]\nspool = {place}/spool\nbase_dir = {place}/images\ncache = {place}/cache\n"
            f"ksstore = {place}/ksstore\ntool = slow\n[tool slow]\ncommand = {_TOOL}\n"
            "[worker]\nslots = 2\nfree_memory = 1M\nfree_disk = 1M\n"
        )

    def _write(self, name: str, text: str) -> None:
        (self.configuration / name).write_text(text)

    def log(self, participant: str) -> str:
        """What the participant has said."""
        return (self.place / f"{participant}.log").read_text()

    def skynet(self, *arguments: str) -> str:
        """The command `skynet`, as somebody of this machine has it."""
        done = subprocess.run(
            [_EXO.with_name("skynet"), *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        """What somebody of this machine has in theirs."""
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.place), "LANG": "C.UTF-8"}
        return {**kept, "SKYNET_CONFIG_DIR": str(self.configuration)}

    @contextmanager
    def hosting(self, *participants: str) -> Iterator[None]:
        """Host these while the `with` lasts; they end as a service does."""
        running: dict[str, subprocess.Popen[bytes]] = {}
        try:
            for name in participants:
                with (self.place / f"{name}.log").open("ab") as log:
                    running[name] = subprocess.Popen(
                        [_EXO, _CONF / f"{name}.conf"],
                        env=self.environment(),
                        cwd=self.place,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                    )
            for name, process in running.items():
                slow.until(lambda n=name, p=process: "taking workitems" in self.log(n) or p.poll() is not None, 60)  # type: ignore[misc]
                assert "taking workitems" in self.log(name), self.log(name)
            yield
        except BaseException:
            # pytest shows it with the failure.
            print(*(f"--- {name}\n{self.log(name)}" for name in running), sep="\n")
            raise
        finally:
            for process in running.values():
                process.terminate()
            for process in running.values():
                process.wait(30)
