# SPDX-License-Identifier: GPL-2.0-or-later
"""The virtual machine as libvirt sees it: a transient domain that goes with whoever started it.

Reference: https://libvirt.org/formatdomain.html. Nothing is defined, no file of the machine is relabelled, and QEMU
runs as a user without rights.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import pwd
import queue
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from xml.etree import ElementTree

from imgcore.executor.vm import daemons
from imgcore.executor.vm.agent import AGENT_PORT, TUNNEL_PORT
from imgcore.executor.vm.initramfs import Unusable

__all__ = [
    "CONSOLE",
    "SESSION",
    "SYSTEM",
    "Domain",
    "Machine",
    "Root",
    "connect",
    "end_hanging_questions",
    "make_ready",
    "remove_logs",
    "user_of",
    "xml",
]

SYSTEM, SESSION = "qemu:///system", "qemu:///session"
#: By which init.sh finds the disk.
BASE_SERIAL = "imager-base"
#: The name of the machine's serial line.
CONSOLE = "console"
_SYSTEM_SOCKETS = ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock")
#: Who QEMU runs as where root starts it: Debian's, then Fedora's and openSUSE's name.
_USERS = ("libvirt-qemu", "qemu")
_LOG_SOCKETS = ("/run/libvirt/virtlogd-sock",)
#: Beside the daemons' sockets, the lock of who starts daemons: of two that do at once, one would end the other's.
_STARTING = "imager.lock"
_START_SECONDS = 15.0
#: libvirt asks QEMU first what it can; seen to take a minute, and once to hang for ever.
_CREATE_SECONDS = 90.0


@dataclass(frozen=True)
class Root:
    """The disk with the machine's root: an `overlay` (qcow2), which is written to, over a `base` of the `format`."""

    overlay: Path
    base: str
    format: str


@dataclass(frozen=True)
class Machine:
    """What a domain is made of. `place`: the directory of its sockets; `shared`: tag to directory, read-only."""

    name: str
    place: Path
    kernel: Path
    initramfs: Path
    arguments: str
    disk: Path
    memory_bytes: int
    cores: int
    shared: Mapping[str, str]
    accelerator: str = "tcg"
    network: bool = False
    #: The user and group that QEMU runs as, as numbers; None: whoever starts it.
    user: tuple[int, int] | None = None
    #: None: the root is made of what is shared.
    root: Root | None = None

    def socket(self, name: str) -> Path:
        """Where the channel `name` ends on this side."""
        return self.place / f"{name}.socket"


def xml(machine: Machine) -> str:
    """The domain's description."""
    domain = ElementTree.Element("domain", type="kvm" if machine.accelerator == "kvm" else "qemu")
    _add(domain, "name", machine.name)
    _add(domain, "memory", str(machine.memory_bytes >> 10), unit="KiB")
    _add(domain, "vcpu", str(machine.cores))
    system = _add(domain, "os")
    _add(system, "type", "hvm", arch="x86_64", machine="pc")
    for name, value in (
        ("kernel", machine.kernel), ("initrd", machine.initramfs), ("cmdline", machine.arguments),
    ):  # fmt: skip
        _add(system, name, str(value))
    _add(_add(domain, "features"), "acpi")
    if machine.accelerator == "kvm":
        _add(domain, "cpu", mode="host-passthrough")
    else:
        # QEMU's usual one has no random numbers, without which the first programs wait for seconds.
        processor = _add(domain, "cpu", mode="custom", match="exact")
        _add(processor, "model", "qemu64")
        _add(processor, "feature", name="rdrand", policy="require")
    _add(domain, "clock", offset="utc")
    # A guest that restarts itself has ended.
    for event in ("on_poweroff", "on_reboot", "on_crash"):
        _add(domain, event, "destroy")
    devices = _add(domain, "devices")
    for tag, directory in machine.shared.items():
        share = _add(devices, "filesystem", type="mount", accessmode="passthrough", multidevs="remap")
        _add(share, "source", dir=directory)
        _add(share, "target", dir=tag)
        _add(share, "readonly")
    _add_disk(devices, "vda", machine.disk, "raw")
    if machine.root is not None:
        disk = _add_disk(devices, "vdb", machine.root.overlay, "qcow2")
        below = _add(disk, "backingStore", type="file")
        _add(below, "format", type=machine.root.format)
        _add(below, "source", file=machine.root.base)
        # Whatever its header says.
        _add(below, "backingStore")
        _add(disk, "serial", BASE_SERIAL)
    for name in (AGENT_PORT, TUNNEL_PORT):
        channel = _add(devices, "channel", type="unix")
        _add(channel, "source", mode="bind", path=str(machine.socket(name)))
        _add(channel, "target", type="virtio", name=name)
    serial = _add(devices, "serial", type="unix")
    _add(serial, "source", mode="bind", path=str(machine.socket(CONSOLE)))
    _add(serial, "target", port="0")
    _add(devices, "controller", type="usb", model="none")
    _add(devices, "memballoon", model="none")
    if machine.network:
        card = _add(devices, "interface", type="user")
        _add(card, "model", type="virtio")
    if machine.user is not None:
        label = _add(domain, "seclabel", type="static", model="dac", relabel="no")
        _add(label, "label", "+{}:+{}".format(*machine.user))
    return ElementTree.tostring(domain, encoding="unicode")


def _add_disk(devices: ElementTree.Element, name: str, file: Path, kind: str) -> ElementTree.Element:
    disk = _add(devices, "disk", type="file", device="disk")
    # A host without space is an error inside, not a machine that stands still.
    policy = {"error_policy": "report", "rerror_policy": "report"}
    _add(disk, "driver", name="qemu", type=kind, cache="unsafe", discard="unmap", **policy)
    _add(disk, "source", file=str(file))
    _add(disk, "target", dev=name, bus="virtio")
    return disk


def _add(parent: ElementTree.Element, tag: str, text: str = "", /, **attributes: str) -> ElementTree.Element:
    added = ElementTree.SubElement(parent, tag, attributes)
    added.text = text or None
    return added


def user_of(uri: str) -> tuple[int, int] | None:
    """Whom QEMU runs as at `uri`, as numbers; None: whoever asks. Raises Unusable."""
    if uri != SYSTEM:
        return None
    for name in _USERS:
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            group = user.pw_gid
            with contextlib.suppress(KeyError):
                group = grp.getgrnam("kvm").gr_gid
            return user.pw_uid, group
    raise Unusable(f"there is none of the users {', '.join(_USERS)}", "apt install libvirt-daemon-system")


def connect(uri: str) -> Any:
    """A connection to libvirt, whose daemon is started where it is ours to start. Raises Unusable."""
    try:
        import libvirt
    except ImportError as error:
        raise Unusable("Python's libvirt is not installed", "apt install python3-libvirt") from error
    # What goes wrong comes as an exception; libvirt would print it as well.
    libvirt.registerErrorHandler(lambda *_: None, None)
    _have_daemons(uri)
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            return libvirt.open(uri)
        except libvirt.libvirtError as error:
            if time.monotonic() > end or not ("connect" in str(error) or "spawn" in str(error)):
                raise Unusable(
                    f"libvirt does not answer at {uri}: {error}",
                    "apt install libvirt-daemon-system and start libvirtd, or set [vm] libvirt",
                ) from error
            time.sleep(0.1)


def make_ready(uri: str, *, kvm: bool) -> None:
    """Have libvirt's daemons run, and see with their eyes. To be called before the process has threads.

    `kvm`: whether that may be used. Raises Unusable.
    """
    _have_daemons(uri)
    if uri == SYSTEM and os.geteuid() == 0:
        for path in _SYSTEM_SOCKETS:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                listener.connect(path)
                daemons.join(listener, kvm=kvm)
                return


def _have_daemons(uri: str) -> None:
    """Start what is not there: libvirt's own way for a user leaves QEMU's processes to the machine's first."""
    if not (uri == SYSTEM and os.geteuid() == 0) and uri != SESSION:
        return
    directory = Path("/run/libvirt")
    if uri == SYSTEM:
        sockets = {"virtlogd": _LOG_SOCKETS, "libvirtd": _SYSTEM_SOCKETS}
    else:
        runtime = os.environ.get("XDG_RUNTIME_DIR") or f"{os.environ.get('HOME', '')}/.cache"
        directory = Path(runtime, "libvirt")
        sockets = {"libvirtd": (f"{directory}/libvirt-sock",)}
    if not _missing(sockets):
        return
    with _alone(directory / _STARTING):
        missing = _missing(sockets)
        if not missing:
            return  # somebody else has started them
        try:
            daemons.start(missing)
        except OSError as error:
            raise Unusable(
                f"libvirtd cannot be started: {error.strerror}", "apt install libvirt-daemon-system"
            ) from error
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end and _missing(sockets):
            time.sleep(0.05)


def _missing(sockets: Mapping[str, Sequence[str]]) -> list[str]:
    """The daemons of which none of the sockets answers."""
    return [name for name, paths in sockets.items() if not any(map(_answers, paths))]


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock that only this user can hold, for the block; where that cannot be made, go on without."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            # As libvirt would make it: the system's is for everybody.
            path.parent.mkdir(mode=0o755 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            held.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tried:
        try:
            tried.connect(path)
        except OSError:
            return False
        return True


class Domain:
    """A running machine; a `with` that ends it. Raises Unusable where it cannot be started."""

    def __init__(self, uri: str, machine: Machine) -> None:
        import libvirt

        self._uri, self._machine, self._error = uri, machine, libvirt.libvirtError
        self._connection = connect(uri)
        flags = libvirt.VIR_DOMAIN_START_AUTODESTROY | libvirt.VIR_DOMAIN_START_PAUSED
        made: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=_put, args=(made, self._connection, machine, flags), daemon=True).start()
        for again in (True, False):
            try:
                self._domain = made.get(timeout=_CREATE_SECONDS)
                break
            except queue.Empty:
                if again:
                    end_hanging_questions(_CREATE_SECONDS / 2)
        else:
            raise Unusable(
                f"libvirt did not start the machine within {2 * _CREATE_SECONDS:.0f} s", "see libvirtd's log"
            ) from None
        if isinstance(self._domain, Exception):
            self._connection.close()
            raise Unusable(f"QEMU cannot be started: {_told(self._domain)}", "`img doctor` looks for the reason")

    def __enter__(self) -> Domain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        with contextlib.suppress(self._error):
            self._connection.close()
        # What libvirt keeps of each machine that ever was, for nobody.
        with contextlib.suppress(OSError):
            (_logs(self._uri) / f"{self._machine.name}.log").unlink()

    def channel(self, name: str) -> socket.socket:
        """The other end of a channel of the machine, or of its serial line."""
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        end.connect(str(self._machine.socket(name)))
        return end

    def resume(self) -> None:
        """Let it run, once everybody listens who wants to miss nothing."""
        self._domain.resume()

    def forgotten(self) -> bool:
        """Whether libvirt's daemon has ended since; one that does so in good order ends its machines first."""
        try:
            self._connection.getLibVersion()
        except self._error:
            return True
        return False

    def end(self) -> None:
        """End it at once. Can be repeated, and by any thread."""
        try:
            self._domain.destroy()
        except self._error:
            # Gone already, or libvirt was started anew: then it knows the machine still, but not that it is ours.
            with contextlib.suppress(self._error, Unusable):
                connection = connect(self._uri)
                with contextlib.closing(connection):
                    connection.lookupByName(self._machine.name).destroy()


def end_hanging_questions(older: float, proc: Path = Path("/proc")) -> list[int]:
    """End the QEMUs that libvirt asks what they can, where one has not answered for `older` seconds.

    Seen once: the first one on a machine stood in accept(2) for ever, and with it whoever wanted a machine.
    """
    ended = []
    now = time.time()
    for each in proc.iterdir():
        with contextlib.suppress(OSError):
            if each.name.isdecimal() and now - each.stat().st_ctime > older:
                words = (each / "cmdline").read_bytes().split(b"\0")
                if b"qemu-system-" in words[0] and any(word.startswith(b"none,accel=") for word in words):
                    os.kill(int(each.name), signal.SIGKILL)
                    ended.append(int(each.name))
    return ended


def _put(made: queue.SimpleQueue[Any], connection: Any, machine: Machine, flags: int) -> None:
    try:
        made.put(connection.createXML(xml(machine), flags))
    except Exception as error:  # libvirt's, and it is told there where somebody waits
        made.put(error)


def remove_logs(uri: str) -> None:
    """Remove the logs of machines whose launcher was killed, which nobody reads any more."""
    with contextlib.suppress(OSError):
        for each in _logs(uri).glob("imager-*.log"):
            number = each.name.split("-")[1]
            if number.isdecimal() and not Path("/proc", number).exists():
                each.unlink(missing_ok=True)


def _logs(uri: str) -> Path:
    if uri == SYSTEM:
        return Path("/var/log/libvirt/qemu")
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return Path(cache or f"{os.environ.get('HOME', '')}/.cache") / "libvirt/qemu/log"


def _told(error: Exception) -> str:
    return " ".join(str(error).split())[-300:]
