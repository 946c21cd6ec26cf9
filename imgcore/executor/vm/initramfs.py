# SPDX-License-Identifier: GPL-2.0-or-later
"""The file system that the machine's kernel begins with: made from what is installed here, for each machine anew.

    imager/busybox     the first program, Debian's static one
    imager/lib/        the agent, the sandbox and the creator
    modules/           what the kernel needs to see the shared directories and the channels, in this order
    etc/               what everybody may read of /etc, and is not named as hidden
    imager/python      for a machine of a base image, instead of etc: the host's Python by its own linker
    imager/modprobe    likewise: busybox, by which the kernel loads the host's modules
    init               imgcore/executor/vm/init.sh

Format: "newc" of cpio(5), as Documentation/driver-api/early-userspace/buffer-format.rst of the kernel says.
A leaf: standard library only.
"""

from __future__ import annotations

import io
import lzma
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcore.errors import BuildError
from imgcore.executor import code
from imgcore.run import CommandFailed, capture

__all__ = ["ENVIRONMENT", "MODULES", "Archive", "Kernel", "Unusable", "build", "busybox", "find_kernel"]

#: What the sandbox is made of, below the package's directory.
_SANDBOX = tuple(
    f"executor/{name}.py"
    for name in (
        "__init__", "code", "devices", "frames", "furnish", "guard", "identity", "kernel", "sandbox", "scratch",
        "vm/__init__", "vm/agent", "vm/tunnel",
    )
)  # fmt: skip
#: The rest is loaded by the kernel itself when it is needed, from the shared /usr.
MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "virtio_blk", "virtio_net")
#: What a machine needs to see its root on a disk.
_BASE_MODULES = (*MODULES, "ext4")
#: Where a machine of a base image sees the host's /usr (init.sh), and the linker of this machine's Python.
_HOST, _LINKER = Path("/imager/host"), Path("/lib64/ld-linux-x86-64.so.2")
#: For the programs that the making of a machine calls.
ENVIRONMENT = {"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"}
_BUSYBOX = ("/usr/bin/busybox", "/bin/busybox")
#: A larger file of /etc is no configuration that a build needs.
_ETC_BYTES = 1 << 20
_INIT = Path(__file__).with_name("init.sh")


class Unusable(Exception):
    """Something that a machine needs is not here; the text says what, `remedy` what to do."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True)
class Kernel:
    """A kernel of this machine and its version, by which its modules are found."""

    image: Path
    version: str


def find_kernel(wanted: str = "", boot: Path = Path("/boot"), modules: Path = Path("/lib/modules")) -> Kernel:
    """The kernel `wanted`, else the running one, else the newest, that has the modules it needs. Raises Unusable."""
    if wanted:
        path = Path(wanted)
        kernel = Kernel(path, path.name.partition("-")[2])
        if not path.is_file() or not (modules / kernel.version).is_dir():
            raise Unusable(f"{wanted} is no kernel with modules in {modules}/{kernel.version}", "correct [vm] kernel")
        if lacking := _lacking(modules / kernel.version):
            raise Unusable(_without(kernel, lacking), "correct [vm] kernel")
        return kernel
    running = boot / f"vmlinuz-{os.uname().release}"
    unfit = ""
    for path in [running, *sorted(boot.glob("vmlinuz-*"), key=lambda each: each.stat().st_mtime, reverse=True)]:
        kernel = Kernel(path, path.name.removeprefix("vmlinuz-"))
        if path.is_file() and os.access(path, os.R_OK) and (modules / kernel.version / "modules.dep").is_file():
            # Kernels made for virtual machines, as Debian's "cloud" one, lack the directory shares.
            if not (lacking := _lacking(modules / kernel.version)):
                return kernel
            unfit = unfit or _without(kernel, lacking)
    raise Unusable(
        unfit or f"there is no kernel in {boot} that can be read and has its modules", "apt install linux-image-amd64"
    )


def _without(kernel: Kernel, lacking: Sequence[str]) -> str:
    return f"the kernel {kernel.version} has no module {', '.join(lacking)}"


def _lacking(modules: Path) -> list[str]:
    """Which of MODULES are neither modules nor built in, by depmod's and the kernel's own lists in its directory."""
    there = set()
    for listed in ("modules.dep", "modules.builtin"):
        path = modules / listed
        for line in path.read_text().splitlines() if path.is_file() else ():
            there.add(Path(line.partition(":")[0]).name.partition(".")[0].replace("-", "_"))
    return [name for name in MODULES if name not in there]


def build(kernel: Kernel, hidden: Sequence[str] = (), etc: Path = Path("/etc"), *, base: bool = False) -> bytes:
    """The archive for `kernel`. `hidden`: paths of `etc`, relative, that are left out. Raises Unusable.

    `base`: for a machine whose root is a base image, which gets nothing of `etc`.
    """
    archive = Archive()
    for name in ("proc", "sys", "dev", "root", "modules", "imager"):
        archive.directory(name)
    archive.file("init", _INIT.read_bytes(), 0o755)
    archive.file("imager/busybox", busybox(), 0o755)
    for name, content in code.files((*code.CREATOR, *_SANDBOX)).items():
        archive.file(f"imager/lib/{name}", content)
    archive.modules(kernel, _BASE_MODULES if base else MODULES)
    if base:
        archive.file("imager/python", _python(), 0o755)
        archive.link("imager/modprobe", "busybox")
        return archive.finish()
    for path in _readable_by_all(etc, frozenset(hidden)):
        name = f"etc/{path.relative_to(etc)}"
        if path.is_symlink():
            archive.link(name, str(path.readlink()))
        elif path.is_dir():
            archive.directory(name)
        else:
            archive.file(name, path.read_bytes(), path.stat().st_mode & 0o755)
    return archive.finish()


def busybox() -> bytes:
    """The program, statically linked. Raises Unusable."""
    for each in _BUSYBOX:
        path = Path(each)
        # Dynamically linked it would need what is mounted by it: PT_INTERP names the linker.
        if path.is_file() and b"/ld-linux" not in (content := path.read_bytes()):
            return content
    raise Unusable("there is no statically linked busybox", "apt install busybox-static")


def _python() -> bytes:
    """A script that is this machine's Python, with its libraries, where another system is around it."""
    linker, python = _LINKER.resolve(), Path("/usr/bin/python3").resolve()
    if not linker.is_relative_to("/usr") or not python.is_relative_to("/usr"):
        raise Unusable("this machine's Python and its libraries are not all below /usr", "use no base image")
    return (
        f'#!/imager/busybox sh\nexec {_HOST}{linker} --library-path {_HOST}{linker.parent} {_HOST}{python} "$@"\n'
    ).encode()


def _modules(kernel: Kernel, names: Sequence[str]) -> list[Path]:
    found: dict[Path, None] = {}
    for name in names:
        try:
            said = capture(["modprobe", "-S", kernel.version, "--show-depends", name], environment=ENVIRONMENT)
        except CommandFailed as error:
            raise Unusable(
                f"the kernel {kernel.version} has no module {name}",
                "choose another with [vm] kernel, such as linux-image-amd64",
            ) from error
        except BuildError as error:
            raise Unusable(error.message, "apt install kmod") from error
        for line in said.splitlines():
            kind, _, path = line.strip().partition(" ")
            # Below arch are some processors' own variants of others, which they do without.
            if kind == "insmod" and "/kernel/arch/" not in path:
                found[Path(path.split()[0])] = None
    return list(found)


def _readable_by_all(etc: Path, hidden: frozenset[str]) -> Iterator[Path]:
    """What has the right to be read by others, itself and every directory on the way."""
    for path in sorted(etc.iterdir()):
        if str(path.relative_to(etc)) in hidden:
            continue
        yield from _walk(path, etc, hidden)


def _walk(path: Path, etc: Path, hidden: frozenset[str]) -> Iterator[Path]:
    status = path.lstat()
    if str(path.relative_to(etc)) in hidden:
        return
    if stat.S_ISLNK(status.st_mode):
        yield path
    elif stat.S_ISDIR(status.st_mode) and status.st_mode & 0o005 == 0o005:
        yield path
        for each in sorted(path.iterdir()):
            yield from _walk(each, etc, hidden)
    elif stat.S_ISREG(status.st_mode) and status.st_mode & 0o004 and status.st_size <= _ETC_BYTES:
        yield path


class Archive:
    """Writes the entries one after the other; parents of a file are made where they are missing."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._number = 0
        self._made: set[str] = set()

    def directory(self, name: str) -> None:
        """Add one; again is nothing."""
        if name not in self._made:
            self._parents(name)
            self._made.add(name)
            self._entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add one, of root's."""
        self._parents(name)
        self._entry(name, stat.S_IFREG | mode, content)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        self._parents(name)
        self._entry(name, stat.S_IFLNK | 0o777, os.fsencode(target))

    def modules(self, kernel: Kernel, names: Sequence[str]) -> None:
        """Add these modules and what they need below `modules`, where `list` has their order. Raises Unusable."""
        added = []
        for path in _modules(kernel, names):
            name = path.name.removesuffix(".xz")
            content = path.read_bytes()
            self.file(f"modules/{name}", lzma.decompress(content) if path.suffix == ".xz" else content)
            added.append(name)
        self.file("modules/list", "".join(f"{name}\n" for name in added).encode())

    def finish(self) -> bytes:
        """The archive, to which nothing more is added."""
        self._entry("TRAILER!!!", 0, b"")
        return self._out.getvalue()

    def _parents(self, name: str) -> None:
        parent = name.rpartition("/")[0]
        if parent:
            self.directory(parent)

    def _entry(self, name: str, mode: int, content: bytes) -> None:
        self._number += 1
        encoded = os.fsencode(name) + b"\0"
        # ino, mode, uid, gid, nlink, mtime, filesize, device (4), namesize, check
        numbers = (self._number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
        self._out.write(b"070701" + b"".join(b"%08X" % number for number in numbers) + encoded)
        self._pad()
        self._out.write(content)
        self._pad()

    def _pad(self) -> None:
        self._out.write(bytes(-self._out.tell() % 4))
