# SPDX-License-Identifier: GPL-2.0-or-later
"""A clean Debian of one's own for each test: a base made once by debootstrap, what a test writes in a layer over it.

A `Root` is a mount and PID namespace that is entered for each command, so nothing of it is left when it is closed: no
mount, no process. It has the machine's network, and the packages of `debs` as a repository that apt knows. This needs
root.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import TracebackType

__all__ = ["Base", "Root"]

_MIRROR = "http://deb.debian.org/debian"
_SUITE = "bookworm"
_APT = ("apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", "--no-install-recommends")
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
    "INITRD": "No",
}
#: Mounts, then becomes the first process of the root. In a mere chroot the kernel would give no user namespace.
_ENTER = """
set -e
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/changes,workdir=$2/work" "$2/root"
mount -t proc proc "$2/root/proc"
mount --rbind /dev "$2/root/dev"
mount --rbind /sys "$2/root/sys"
mount -t tmpfs -o mode=1777 tmpfs "$2/root/tmp"
mount --bind "$3" "$2/root/var/cache/apt/archives"
mount --bind -o ro "$4" "$2/root/srv"
cp /etc/resolv.conf "$2/root/etc/resolv.conf" 2>/dev/null || true
cd "$2/root"
pivot_root . .
umount -l .
echo entered
exec sleep infinity
"""
#: What a comparison leaves out: what is no package's, and the books of dpkg and apt.
_IGNORED = (
    "/proc",
    "/dev",
    "/sys",
    "/tmp",
    "/srv",
    "/run",
    "/var/cache/apt",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/log/apt",
)
_LIST = """
set -e
list() { find / $1 -printf '%p\\t%M %U:%G %l\\n'; }
left_out=
for each; do left_out="$left_out -path $each -prune -o"; done
list "$left_out"
find /etc -type f -exec sha256sum {} + | sed 's/^\\([0-9a-f]*\\)  \\(.*\\)/content of \\2\\t\\1/'
"""


class Base:
    """What all roots of a session stand on: `place/base`, made once for all sessions, and apt's index of `debs`."""

    def __init__(self, place: Path, debs: Path, scratch: Path) -> None:
        self.archives, self.debs, self._scratch = place / "archives", debs, scratch
        self.layers = [place / "base"]
        (self.archives / "partial").mkdir(parents=True, exist_ok=True)
        if not self.layers[0].is_dir():
            made = place / "base.new"
            shutil.rmtree(made, ignore_errors=True)
            command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", _SUITE, made, _MIRROR]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            # Services are started by hand here, as there is no service manager.
            policy = made / "usr/sbin/policy-rc.d"
            policy.write_text("#!/bin/sh\nexit 101\n")
            policy.chmod(0o755)
            (made / "etc/apt/sources.list.d/ours.list").write_text("deb [trusted=yes] file:/srv ./\n")
            made.rename(self.layers[0])
        listing = subprocess.run(["dpkg-scanpackages", "-m", "."], cwd=debs, check=True, capture_output=True)
        (debs / "Packages").write_bytes(listing.stdout)
        with Root(self, scratch / "index") as index:
            index.apt("update")
        self.layers.insert(0, scratch / "index/changes")

    def root(self, name: str, over: Root | None = None) -> Root:
        """A new root, with what was done in another one that is closed by now."""
        return Root(self, self._scratch / name, over)


class Root:
    """One root, open inside a `with`; the tests' `run`, `start` and `apt` in it, `path` from outside."""

    def __init__(self, base: Base, place: Path, over: Root | None = None) -> None:
        self._base, self.place = base, place
        self.layers = [over.place / "changes", *over.layers] if over else list(base.layers)
        # What is tried a second time begins anew.
        shutil.rmtree(place, ignore_errors=True)
        for name in ("changes", "work", "root"):
            (place / name).mkdir(parents=True)

    def __enter__(self) -> Root:
        layers = ":".join(map(str, self.layers))
        told = [layers, str(self.place), str(self._base.archives), str(self._base.debs)]
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, "sh", *told],
            stdout=subprocess.PIPE,
            env={**_ENVIRONMENT},
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"entered\n"
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text().split()
        self._process = children[0]
        self._enter = self._entering()
        return self

    def _entering(self, *more: str) -> list[str]:
        target = f"--target={self._process}"
        return ["nsenter", target, "--mount", "--uts", "--pid", *more, "--root", "--wdns=/", "--"]

    def join(self, network: int) -> None:
        """Have what is run from now on be in the network namespace of that process, without the machine's network."""
        self._enter = self._entering(f"--net=/proc/{network}/ns/net")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # With its first process the kernel ends all others, and the mounts.
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()

    def command(self, *arguments: str, user: str = "", **environment: str) -> tuple[list[str], dict[str, str]]:
        """What starts a command in the root, as that user in their home; and its environment."""
        who = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env"] if user else []
        assigned = ["env", *(f"{name}={value}" for name, value in environment.items())]
        return [*self._enter, *who, *assigned, *arguments], _ENVIRONMENT

    def run(
        self, *arguments: str, user: str = "", check: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the root to its end. Fails where it does, unless `check` is off."""
        command, variables = self.command(*arguments, user=user, **environment)
        done = subprocess.run(
            command, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, (
            f"{' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def apt(self, *arguments: str) -> str:
        """What apt-get says."""
        return self.run(*_APT, *arguments).stdout

    def install(self, *packages: str) -> None:
        """Install packages, and what they cannot be without."""
        self.apt("install", *packages)

    def needed(self, package: str) -> list[str]:
        """What of Debian a package of ours brings along."""
        said = self.run(*_APT, "--simulate", "install", package).stdout
        names = [line.split()[1] for line in said.splitlines() if line.startswith("Inst ")]
        ours = {path.name.partition("_")[0] for path in self._base.debs.glob("*.deb")}
        return [name for name in names if name not in ours]

    def packages(self) -> set[str]:
        """The names of the packages that are there."""
        return set(self.run("dpkg-query", "-W", "-f", "${Package}\n").stdout.split())

    def copy(self, source: Path, target: str) -> None:
        """Copy a file or a directory of the machine to `target`, which is not there yet; everybody may read it."""
        archive = ["tar", "-C", source.parent, "--owner=0", "--group=0", "--mode=go+rX", "-c", source.name]
        command, variables = self.command("tar", "-C", "/tmp", "-x")
        with subprocess.Popen(archive, stdout=subprocess.PIPE) as sender:
            subprocess.run(command, env=variables, stdin=sender.stdout, check=True)
        self.run("sh", "-c", f'mkdir -p "$(dirname "$1")" && mv "/tmp/{source.name}" "$1"', "sh", target)

    def write(self, path: str, text: str, mode: str = "644", group: str = "root") -> None:
        """Write a file."""
        command, variables = self.command("sh", "-c", 'umask 077; cat >"$1"; chgrp "$3" "$1"; chmod "$2" "$1"', "sh",
                                          path, mode, group)  # fmt: skip
        subprocess.run(command, env=variables, input=text, text=True, check=True)

    def listing(self) -> dict[str, str]:
        """Every path with its kind, mode, owner, and of configuration the content; without what is no package's."""
        return dict(line.split("\t", 1) for line in self.run("sh", "-c", _LIST, "sh", *_IGNORED).stdout.splitlines())
