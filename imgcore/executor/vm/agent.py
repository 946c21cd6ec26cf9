# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs inside the machine: one order over the channel, then the sandbox, which speaks over it from then on.

The order is one packed JSON value (imgcore.executor.frames): `arguments` of the sandbox, `shared` directories (tag to
path), `scratch` (a block device), `tunnel` (whether one leads to the repositories), `network` (whether there is a
network card), `devices` (whether the tool makes block devices), `shell` (the environment of somebody who wants to
look around instead, or nothing), `keep` (whether the disk may be looked at later). A leaf: standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from imgcore.executor import frames, kernel

__all__ = ["AGENT_PORT", "HELLO", "PROXY_PORT", "SCRATCH", "SHARED", "TUNNEL_PORT", "main"]

AGENT_PORT, TUNNEL_PORT = "imager.agent", "imager.tunnel"
#: Said on the console, so that whoever started the machine knows that it runs.
HELLO = "imager: the machine is there"
#: Where the shared directories are in the machine, and its disk.
SHARED, SCRATCH = "/shared", "/scratch"
#: The machine's end of the tunnel to the repositories: an HTTP proxy.
PROXY_PORT = 3128
_9P = "trans=virtio,version=9p2000.L,cache=loose,msize=512000"
_BUSYBOX = "/imager/busybox"
#: Only there in machines of a base image.
_MODPROBE = "/imager/modprobe"


def main() -> NoReturn:
    """Serve one order, and turn the machine off."""
    _say(HELLO)
    try:
        _serve()
    except BaseException:
        # The first process must not end before the machine does: the kernel would call it a panic.
        _say(f"imager: the agent failed: {traceback.format_exc()}")
    Path("/proc/sysrq-trigger").write_text("o", encoding="ascii")
    while True:
        signal.pause()


def _serve() -> None:
    port = os.open(_port(AGENT_PORT), os.O_RDWR | os.O_CLOEXEC)
    order = frames.receive_json(port)
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    _run("ifconfig", "lo", "up")
    for tag, path in order["shared"].items():
        Path(path).mkdir(parents=True, exist_ok=True)
        kernel.mount("9p", path, f"ro,{_9P}", source=tag)
    Path(SCRATCH).mkdir(exist_ok=True)
    kernel.mount("ext4", SCRATCH, source=order["scratch"])
    for name in ("cache", "work"):
        # They are there on one that was kept.
        Path(SCRATCH, name).mkdir(exist_ok=True)
    if order["network"]:
        _run("ifconfig", "eth0", "10.0.2.15", "netmask", "255.255.255.0", "up")
        _run("route", "add", "default", "gw", "10.0.2.2")
        # Where a base image has a link to what nobody makes here.
        Path("/etc/resolv.conf").unlink(missing_ok=True)
        Path("/etc/resolv.conf").write_text("nameserver 10.0.2.3\n", encoding="ascii")
    if order["tunnel"] and os.fork() == 0:
        from imgcore.executor.vm.tunnel import serve

        serve(_port(TUNNEL_PORT), PROXY_PORT)
        os._exit(0)
    if order["devices"]:
        _load("loop", "dm-mod")
    _know_foreign_programs()
    os.dup2(port, 0)
    os.dup2(port, 1)
    if order["shell"]:
        import pty

        Path("/dev/pts").mkdir(exist_ok=True)
        kernel.mount("devpts", "/dev/pts", "ptmxmode=0666,mode=620", devices=True)
        os.chdir(SCRATCH)
        shell = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
        os.environ.update(HOME="/root", SHELL=shell, **order["shell"])
        pty.spawn(["/bin/sh", "-c", 'stty rows "$LINES" cols "$COLUMNS"; unset LINES COLUMNS; exec "$SHELL" -i'])
        return
    from imgcore.executor import sandbox, scratch

    arguments: Sequence[str] = order["arguments"]
    sandbox.main(arguments, shown=scratch.Shown(f"{SCRATCH}/work"))
    if order["keep"]:
        os.sync()


def _load(*modules: str) -> None:
    # The host's program knows how its modules are packed; a base image need not have one.
    program = _MODPROBE if Path(_MODPROBE).exists() else "modprobe"
    subprocess.run([program, "-a", *modules], check=False)


def _know_foreign_programs() -> None:
    """Have the kernel start programs of other architectures by the QEMUs that the machine has (binfmt.d(5))."""
    known = sorted(Path("/usr/lib/binfmt.d").glob("qemu-*.conf"))
    if known:
        _load("binfmt_misc")
        kernel.mount("binfmt_misc", "/proc/sys/fs/binfmt_misc")
    for each in known:
        # What is not understood is as if it were not there.
        with contextlib.suppress(OSError):
            for line in each.read_bytes().splitlines():
                if line.startswith(b":"):
                    Path("/proc/sys/fs/binfmt_misc/register").write_bytes(line)


def _port(name: str) -> str:
    for each in Path("/sys/class/virtio-ports").iterdir():
        if (each / "name").read_text(encoding="ascii").strip() == name:
            return f"/dev/{each.name}"
    raise FileNotFoundError(f"the machine has no channel {name}")


def _run(*arguments: str) -> None:
    subprocess.run([_BUSYBOX, *arguments], check=True)


def _say(text: str) -> None:
    Path("/dev/console").write_text(f"{text}\n", encoding="utf-8")
