# SPDX-License-Identifier: GPL-2.0-or-later
"""One small set of packages that the creator's tests install, built once a session."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.support.rpms import Comps, Entry, Rpm, make_repository

_PASSWD = """root:x:0:0:root:/root:/bin/sh
daemon:x:2:2:daemon:/:/sbin/nologin
"""
_GROUP = "root:x:0:\ndaemon:x:2:\naudio:x:63:\nvideo:x:39:\nusers:x:100:\n"


def _base() -> Rpm:
    folders = {path: Entry() for path in ("/usr", "/etc", "/etc/skel", "/var", "/var/lib", "/sys", "/dev", "/home")}
    return Rpm(
        "base-files",
        files={
            **folders,
            "/proc": Entry(mode=0o555),
            "/root": Entry(mode=0o700),
            "/tmp": Entry(mode=0o1777),
            "/etc/passwd": _PASSWD,
            "/etc/group": _GROUP,
            "/etc/shadow": Entry("root:!:18000:0:99999:7:::\ndaemon:*:18000:0:99999:7:::\n", mode=0o600),
            "/etc/gshadow": Entry("root:::\ndaemon:::\naudio:::\nvideo:::\nusers:::\n", mode=0o600),
            "/etc/skel/.profile": "umask 022\n",
        },
    )


def _shell() -> Rpm:
    applets = ("sh", "cat", "ls", "id", "mkdir", "touch", "rm", "sleep", "env", "date", "readlink", "ps")
    return Rpm(
        "shell",
        requires=["base-files"],
        provides=["/bin/sh"],
        files={
            "/bin/busybox": Entry(source=Path("/bin/busybox"), mode=0o755),
            **{f"/bin/{name}": Entry(link="busybox") for name in applets},
        },
    )


def _foreign_program(folder: Path) -> Path:
    """The head of an ELF program for aarch64, which is enough for a kernel to refuse it."""
    path = folder / "foreign"
    ident = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    path.write_bytes(ident + struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, 0, 64, 0, 0, 64, 56, 0, 0, 0, 0) + b"\0" * 64)
    return path


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with everything that the tests of packages need."""
    top = tmp_path_factory.mktemp("repository")
    foreign = _foreign_program(tmp_path_factory.mktemp("foreign"))
    packages = [
        _base(),
        _shell(),
        Rpm("lib", requires=["base-files"], files={"/usr/lib/lib.txt": "lib\n"}),
        Rpm("lib", version="0.9", requires=["base-files"], files={"/usr/lib/lib.txt": "old\n"}),
        Rpm(
            "app",
            requires=["lib", "shell"],
            recommends=["extra"],
            files={"/usr/bin/app": Entry("#!/bin/sh\necho app\n", mode=0o755), "/usr/share/app": "app\n"},
            scripts={"post": 'echo "app is set up"; echo made > /etc/app.made'},
        ),
        Rpm("extra", requires=["base-files"], files={"/usr/share/extra": "extra\n"}),
        Rpm(
            "texts",
            requires=["base-files"],
            files={
                "/usr/share/doc/texts/README": Entry("read me\n", marks="%doc"),
                "/usr/share/locale/de/texts": Entry("hallo\n", marks="%lang(de)"),
                "/usr/share/locale/fr/texts": Entry("bonjour\n", marks="%lang(fr)"),
                "/usr/share/texts": "texts\n",
            },
        ),
        Rpm("clash", conflicts=["lib"], files={"/usr/share/clash": "clash\n"}),
        Rpm("broken", requires=["nothing-has-this"]),
        Rpm("same-file", requires=["base-files"], files={"/usr/share/app": "not app\n"}),
        Rpm("bad-pre", requires=["shell"], scripts={"pre": "echo refusing; exit 3"}),
        Rpm("bad-post", requires=["shell"], files={"/usr/share/bad-post": "x\n"}, scripts={"post": "exit 4"}),
        Rpm("owned", requires=["base-files"], files={"/var/lib/owned": Entry("x\n", owner="daemon", group="daemon")}),
        Rpm("big", files={"/usr/share/big": "0123456789abcde\n" * 250_000}),
        Rpm("new-rpm", requires=["base-files"], files={"/usr/lib/sysimage/rpm": Entry()}),
        Rpm(
            "draws-identity",
            requires=["shell"],
            scripts={"post": "cat /proc/sys/kernel/random/uuid > /etc/machine-id; cat /etc/resolv.conf > /dev/null"},
        ),
        Rpm("foreign", arch="aarch64", files={"/usr/bin/foreign": Entry(source=foreign, mode=0o755)}),
        Rpm(
            "foreign-script",
            arch="aarch64",
            files={"/usr/bin/foreign2": Entry(source=foreign, mode=0o755)},
            scripts={"post -p /usr/bin/foreign2": ""},
        ),
    ]
    groups = [
        Comps("core", mandatory=["base-files"], name="Core"),
        Comps(
            "tools",
            mandatory=["lib"],
            default=["extra", "not-in-any-repository"],
            optional=["texts"],
            name="All Tools",
        ),
    ]
    return make_repository(top, packages, groups)
