# SPDX-License-Identifier: GPL-2.0-or-later
"""A system of a few hundred kilobytes, as packages in a repository, and kickstarts that ask for it."""

from __future__ import annotations

from pathlib import Path

from tests.support.rpms import Comps, Entry, Rpm, make_repository

__all__ = ["kickstart", "repository"]

_APPLETS = ("sh", "cat", "echo", "ls", "sleep", "env", "id")
_FILES: dict[str, Entry | str] = {
    **{path: Entry() for path in ("/usr", "/etc", "/var", "/dev", "/sys", "/boot")},
    "/proc": Entry(mode=0o555),
    "/root": Entry(mode=0o700),
    "/tmp": Entry(mode=0o1777),
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:2:2:daemon:/:/bin/false\n",
    "/etc/group": "root:x:0:\ndaemon:x:2:\n",
    "/etc/shadow": Entry("root:!:18000:0:99999:7:::\n", mode=0o600),
}


def repository(directory: Path) -> Path:
    """Make the repository; all but `owned` belongs to root, so that a single user id is enough to build."""
    packages = [
        Rpm("base", files=_FILES),
        Rpm(
            "shell",
            requires=["base"],
            provides=["/bin/sh"],
            files={
                "/bin/busybox": Entry(source=Path("/bin/busybox"), mode=0o755),
                **{f"/bin/{name}": Entry(link="busybox") for name in _APPLETS},
            },
        ),
        Rpm("app", requires=["shell"], files={"/usr/app": "app\n"}, scripts={"post": "echo set up > /etc/app"}),
        Rpm("extra", requires=["base"], files={"/usr/extra": "extra\n"}),
        Rpm("owned", requires=["base"], files={"/var/owned": Entry("x\n", owner="daemon", group="daemon")}),
        Rpm("clash", conflicts=["app"]),
        Rpm("lonely", requires=["something-that-nobody-has"]),
        Rpm("refuses", requires=["shell"], scripts={"pre": "echo not here; exit 3"}),
        Rpm("big", requires=["base"], files={"/usr/big": "0123456789abcde\n" * 500_000}),
    ]
    groups = [Comps("core", mandatory=["base"]), Comps("tools", mandatory=["extra"])]
    return make_repository(directory, packages, groups)


def kickstart(repository: Path | str, *packages: str, head: str = "", tail: str = "") -> str:
    """A kickstart that installs `packages` (default: app); `head` and `tail` are further lines of it."""
    url = repository if isinstance(repository, str) else repository.as_uri()
    listed = "".join(f"{each}\n" for each in packages or ("app",))
    return f"repo --name=small --baseurl={url}\n{head}%packages\n{listed}%end\n{tail}"
