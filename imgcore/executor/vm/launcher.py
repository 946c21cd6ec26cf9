# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that holds a virtual machine: started like the sandbox, it speaks as the sandbox does.

Standard input brings the job's input files, then stays open; when the worker closes it, for whatever reason, the
machine ends. Standard output carries the frames that come out of the machine, each checked. What the machine needs
of files is in a directory that is gone as soon as it runs. Standard library and libvirt only.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import json
import os
import secrets
import selectors
import shutil
import signal
import socket
import struct
import sys
import tempfile
import termios
import threading
import time
import tty
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from imgcore.errors import BuildError
from imgcore.executor import frames, kernel, sandbox, scratch
from imgcore.executor.vm import accelerators, bases, border, disk, domain, initramfs, keeping, proxy, vmlinux
from imgcore.executor.vm.agent import AGENT_PORT, HELLO, PROXY_PORT, SCRATCH, SHARED, TUNNEL_PORT
from imgcore.executor.vm.domain import CONSOLE
from imgcore.executor.vm.initramfs import Unusable
from imgcore.run import capture

__all__ = ["main", "parser"]

#: After a panic there is a second in which its words reach us. Where many machines start at once, an emulated timer
#: is late, over which the check for broken ones panics.
_ARGUMENTS = "console=ttyS0 quiet panic=1 mitigations=off random.trust_cpu=on no_timer_check"
#: A disk must have a limit: this one where the job has none.
_DISK_BYTES = 32 * 2**30
_PREFIX = "imager-vm-"
#: A panic is some forty lines, with all that is on the stack.
_CONSOLE_LINES, _CONSOLE_BYTES = 200, 4096
#: How long one that is to be kept may take to write what it has in memory.
_OFF_SECONDS = 30.0
#: How long a machine may take to its first word where the accelerator is known to work: emulated, on a host with ten
#: times the work that it can do, some needed more than five minutes.
_HELLO_SECONDS = 600.0
#: The same for an accelerator that nobody tried yet: one that works takes two.
_TRIAL_SECONDS = 20.0
#: Bytes of a path below which a socket of a machine can be: it has 107 in all (unix(7)).
_SHORT = 50
#: How often the size of what was changed of a base image is looked at.
_LOOK_SECONDS = 1.0


class _NotStarted(Unusable):
    """A machine was made, and its kernel did not come up."""


class _DaemonEnded(Unusable):
    """A daemon that ends takes its machines with it."""

    def __init__(self) -> None:
        super().__init__("libvirt's daemon was ended, and the virtual machine with it", "build it again")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one tool in a machine of its own. Returns 0 when it ended, however it did, and told so."""
    writer = frames.Writer(os.dup(1))
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    request = parser().parse_args(argv)
    try:
        _run(request, writer)
    except BrokenPipeError:
        return 1  # the worker is gone, and so is everybody who could want to know
    except Unusable as error:
        _refuse(request, writer, str(error), error.remedy)
    except OSError as error:
        what = f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")
        _refuse(request, writer, f"the virtual machine cannot be made: {what}", "`img doctor` looks for the reason")
    else:
        return 0
    return 1


def _refuse(request: argparse.Namespace, writer: frames.Writer, message: str, remedy: str) -> None:
    if request.shell:
        sys.stderr.write(f"img: {message} ({remedy})\n")
    else:
        writer.send_json(frames.REFUSED, {"message": message, "remedy": remedy})


def parser() -> argparse.ArgumentParser:
    """What it understands: the sandbox's options, and the machine's."""
    made = sandbox.parser()
    made.prog = "imager-vm"
    made.add_argument(
        "--shell", action="store_true", help="no tool: connect this terminal with a shell in the machine"
    )
    made.add_argument("--libvirt", default="", help="libvirt's URI; root: qemu:///system, others: qemu:///session")
    made.add_argument("--memory", type=int, default=2 << 30, help="bytes")
    made.add_argument("--cores", type=int, default=1)
    made.add_argument("--network", choices=("none", "repos", "open"), default="none")
    made.add_argument("--url", action="append", default=[], help="a repository that may be reached")
    made.add_argument("--accelerator", choices=("auto", "kvm", "tcg"), default="auto")
    made.add_argument("--kernel", default="")
    made.add_argument("--keep", default="", help="the directory to be made for a machine whose tool failed")
    made.add_argument("--kept", default="", help="the disk of a machine that was kept, to have a copy of")
    made.add_argument("--base", default="", help="the file of a base image, whose root the machine has")
    made.add_argument("--base-format", choices=bases.FORMATS, default="raw")
    made.add_argument("--share", action="append", default=[], help="a directory of the host's system")
    made.add_argument("--hide", action="append", default=[], help="a path below /etc that the machine does not get")
    return made


def _run(request: argparse.Namespace, writer: frames.Writer) -> None:
    inputs = {} if request.shell else frames.receive_inputs(0)
    uri = request.libvirt or (domain.SYSTEM if os.geteuid() == 0 else domain.SESSION)
    user = domain.user_of(uri)
    booted = initramfs.find_kernel(request.kernel)
    memory = accelerators.Memory(Path(request.cache), booted)
    verdict = memory.verdict()
    domain.make_ready(uri, kvm="kvm" in accelerators.candidates(request.accelerator, verdict))
    _sweep(_places(request.cache, user))
    domain.remove_logs(uri)
    worker = _Worker(watch=not request.shell)
    failure, started = "", False
    for accelerator in accelerators.candidates(request.accelerator, verdict):
        on_trial = accelerator == "kvm" and request.accelerator == "auto" and not verdict
        _say(writer, f"[imager boot 0/1] a virtual machine with {accelerator}", request)
        try:
            with _base(request) as kept, _place(request, booted, user) as place:
                machine = _machine(request, place, booted, user, accelerator)
                with worker.holds(domain.Domain(uri, machine)) as running:
                    channels = {name: running.channel(name) for name in (CONSOLE, AGENT_PORT, TUNNEL_PORT)}
                    console = _Console(channels[CONSOLE])
                    running.resume()
                    if not console.wait(_TRIAL_SECONDS if on_trial else _HELLO_SECONDS, worker.gone):
                        if worker.gone.is_set():
                            return
                        if running.forgotten():
                            raise _DaemonEnded
                        raise _NotStarted(
                            f"the virtual machine did not start with {accelerator}: {console.last()}",
                            "`img doctor` says more",
                        )
                    most = request.disk or _DISK_BYTES
                    with (place / "disk").open("rb") as written, _Growth(running, place / "root", most) as growth:
                        # It has opened all that it needs: from here on there is nothing to be left.
                        _remove(place)
                        kept.close()
                        started = True
                        if on_trial or failure:
                            memory.remember(failure or accelerators.WORKS)
                        _say(writer, "[imager boot 1/1] it is there", request)
                        good = False
                        try:
                            good = _serve(request, writer, inputs, channels, console, worker)
                        except Unusable as error:
                            if growth.passed:
                                raise Unusable(
                                    f"the virtual machine was ended: it wrote more than {most} bytes to its system",
                                    "have it write to the build's own place, or raise [limits] disk",
                                ) from error
                            if running.forgotten():
                                raise _DaemonEnded from error
                            raise
                        finally:
                            if request.keep and not good and not growth.passed and not worker.gone.is_set():
                                _keep(request, writer, running, console, written.fileno())
                    return
        except Unusable as error:
            if accelerator == "kvm" and verdict == accelerators.WORKS and not started:
                memory.forget()
            if not on_trial or started:
                raise
            # Only if the next one starts was it the accelerator's fault; of what libvirt and QEMU say, only if that
            # is of it: libvirt itself may have been away.
            failure = str(error) if isinstance(error, _NotStarted) or "kvm" in str(error).lower() else ""


def _serve(
    request: argparse.Namespace,
    writer: frames.Writer,
    inputs: Mapping[str, bytes],
    channels: Mapping[str, socket.socket],
    console: _Console,
    worker: _Worker,
) -> bool:
    """Give the order, and pass on what comes of it; whether the tool did what it should."""
    to_repositories = request.network == "repos" and bool(request.url)
    if to_repositories:
        proxy.start(channels[TUNNEL_PORT], request.url)
    order = {
        "arguments": _inside(request, to_repositories),
        "shared": {f"r{number}": f"{SHARED}/{number}" for number in range(len(request.readable))},
        "scratch": "/dev/vda",
        "tunnel": to_repositories,
        "network": request.network == "open",
        "devices": request.tool != sandbox.BUILTIN,
        "shell": _terminal() if request.shell else {},
        "keep": bool(request.keep),
    }
    packed = frames.pack_json(order) + (b"" if request.shell else frames.pack_inputs(inputs))
    threading.Thread(target=_send, args=(channels[AGENT_PORT], packed), daemon=True).start()
    if request.shell:
        _look_around(channels[AGENT_PORT], writer.descriptor)
        return True
    with channels[AGENT_PORT].makefile("rb") as stream:
        try:
            for kind, content in border.checked(stream, request.disk or _DISK_BYTES):
                writer.send(kind, content)
                if kind in (frames.END, frames.REFUSED):
                    return kind == frames.END and json.loads(content)["status"] == 0
        except border.Breach as error:
            raise Unusable(
                f"the virtual machine was ended: it sent {error}", "see what the kickstart's scripts do"
            ) from error
        except ConnectionResetError:
            pass  # QEMU was killed
    if not worker.gone.is_set():
        raise Unusable(
            f"the virtual machine ended before the build did: {console.last()}", "see the log for what ran last"
        )
    return False


def _keep(
    request: argparse.Namespace, writer: frames.Writer, running: domain.Domain, console: _Console, written: int
) -> None:
    """Keep a machine for somebody to look at."""
    # The agent has written all to the disk when the machine turns itself off.
    console.join(_OFF_SECONDS)
    running.end()
    try:
        keeping.keep(written, console.lines(), Path(request.keep))
    except OSError as error:
        _say(writer, f"the machine could not be kept: {error.strerror} ({error.filename})", request)


def _terminal() -> dict[str, str]:
    """What a shell in the machine must know of the terminal here."""
    columns, lines = shutil.get_terminal_size()
    return {"TERM": os.environ.get("TERM", "dumb"), "LINES": str(lines), "COLUMNS": str(columns)}


def _look_around(agent: socket.socket, screen: int) -> None:
    """Connect the terminal with the shell in the machine, until that ends."""
    before = termios.tcgetattr(0) if os.isatty(0) else None
    try:
        if before is not None:
            tty.setraw(0)
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(agent, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    piece = os.read(key.fd, 1 << 14)
                    if key.fd != 0 and not piece:
                        return
                    if key.fd != 0:
                        os.write(screen, piece)
                    elif piece:
                        agent.sendall(piece)
                    else:
                        selector.unregister(0)
                        agent.sendall(b"\x04")
    except ConnectionError:
        return
    finally:
        if before is not None:
            termios.tcsetattr(0, termios.TCSADRAIN, before)


def _inside(request: argparse.Namespace, proxied: bool) -> list[str]:
    """The sandbox's command line in the machine."""
    options = [f"--tool={request.tool}", f"--cache={SCRATCH}/cache", f"--processes={request.processes}"]
    options += [f"--readable={SHARED}/{number}" for number in range(len(request.readable))]
    options += [f"--command={each}" for each in request.command]
    if request.epoch:
        options.append(f"--epoch={request.epoch}")
    if proxied:
        options.append(f"--proxy=http://127.0.0.1:{PROXY_PORT}")
    return [*options, "--", *request.arguments]


def _machine(
    request: argparse.Namespace,
    place: Path,
    booted: initramfs.Kernel,
    user: tuple[int, int] | None,
    accelerator: str,
) -> domain.Machine:
    system = {f"s{number}": each for number, each in enumerate(request.share or ["/usr"])}
    words, root = [f"imager.share={each}" for each in system.values()], None
    if request.base:
        # Of which the machine has kernel modules and the agent's Python.
        system, words = {"s0": "/usr"}, ["imager.base"]
        root = domain.Root(place / "root", _file_below(place, "base", request.base, user), request.base_format)
    readable = {f"r{number}": _shown(place, number, each, user) for number, each in enumerate(request.readable)}
    return domain.Machine(
        name=f"imager-{os.getpid()}-{secrets.token_hex(4)}",
        place=place,
        kernel=_unpacked(place, booted.image, Path(request.cache), user),
        initramfs=place / "initramfs",
        arguments=" ".join([_ARGUMENTS, *words]),
        disk=place / "disk",
        memory_bytes=request.memory,
        cores=request.cores,
        shared={**system, **readable},
        accelerator=accelerator,
        network=request.network == "open",
        user=user,
        root=root,
    )


@contextlib.contextmanager
def _place(request: argparse.Namespace, booted: initramfs.Kernel, user: tuple[int, int] | None) -> Iterator[Path]:
    """The directory of a machine's files, until it runs."""
    where = next((each for each in _places(request.cache, user) if os.access(each, os.W_OK | os.X_OK)), None)
    place = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=where))
    try:
        if user is not None:
            _let_pass(place, user[0])
        (place / "initramfs").write_bytes(initramfs.build(booted, request.hide, base=bool(request.base)))
        made = [place / "disk"]
        if request.kept:
            with Path(request.kept).open("rb") as kept, made[0].open("xb") as file:
                disk.copy_opened(kept.fileno(), file.fileno())
        else:
            _make_disk(made[0], request.disk or _DISK_BYTES)
        if request.base:
            made.append(place / "root")
            try:
                disk.overlay(Path(request.base), request.base_format, made[1])
            except BuildError as error:
                raise Unusable(f"the base image cannot be used: {error.message}", error.remedy) from error
        for each in made:
            if user is not None:
                os.chown(each, *user)
            each.chmod(0o600)
        yield place
    finally:
        _remove(place)


def _places(cache: str, user: tuple[int, int] | None) -> list[Path]:
    """Where the files of machines may be, the best first: on a disk, as they may become large.

    A user's own libvirtd may have been started by another launcher, for which /var/tmp and /tmp are read-only, as in
    a service: before them comes what both can write to, if its path is short enough for that of a socket.
    """
    shared = [Path("/var/tmp"), Path("/tmp"), Path(cache)]
    return [Path(cache), *shared] if user is None and len(os.fsencode(cache)) <= _SHORT else shared


def _let_pass(place: Path, user: int) -> None:
    """Let the user that QEMU runs as through a directory of ours, and nobody else: by an access list (acl(5))."""
    # Its owner, that user, the group, the most for the two before, others; each with a tag, rights and an id.
    entries = ((0x01, 7, -1), (0x02, 1, user), (0x04, 0, -1), (0x10, 1, -1), (0x20, 0, -1))
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each[:2], each[2] & 0xFFFFFFFF) for each in entries)
    try:
        os.setxattr(place, "system.posix_acl_access", packed)
    except OSError:
        place.chmod(0o711)  # a file system without them


def _make_disk(path: Path, size: int) -> None:
    """The empty disk of a machine. Raises Unusable, OSError."""
    with path.open("xb") as file:
        file.truncate(size)
    try:
        capture([*scratch.MAKE, "-E", "root_owner=0:0", str(path)], environment=initramfs.ENVIRONMENT)
    except BuildError as error:
        raise Unusable(f"the machine's disk cannot be made: {error.message}", "apt install e2fsprogs") from error


def _base(request: argparse.Namespace) -> contextlib.ExitStack:
    """Keep the base image, if there is one, where it is until this is closed. Raises Unusable."""
    kept = contextlib.ExitStack()
    if request.base:
        try:
            kept.enter_context(bases.used(Path(request.base)))
        except OSError as error:
            raise Unusable(
                f"the base image {request.base} cannot be used: {error.strerror}",
                "`img vm list` says which there are",
            ) from error
    return kept


def _file_below(place: Path, name: str, file: str, user: tuple[int, int] | None) -> str:
    """Where QEMU finds the file of a base image, or of a kernel: `name` in `place` for root's. Raises Unusable."""
    if user is not None:
        shown = place / name
        shown.touch()
        with contextlib.suppress(OSError):
            kernel.bind(file, str(shown), read_only=True)
            file = str(shown)
    _refuse_unreadable(file, user, os.R_OK)
    return file


def _unpacked(place: Path, image: Path, cache: Path, user: tuple[int, int] | None) -> Path:
    """The kernel as QEMU starts it soonest."""
    found = vmlinux.unpacked(image, cache / "kernels")
    with contextlib.suppress(Unusable):
        return image if found == image else Path(_file_below(place, "kernel", str(found), user))
    return image


def _remove(place: Path) -> None:
    for each in [*place.glob("r[0-9]*"), *place.glob("base"), *place.glob("kernel")]:
        # Before the directory goes: what is shown there must not.
        with contextlib.suppress(OSError):
            kernel.detach(str(each))
        with contextlib.suppress(OSError):
            each.rmdir() if each.is_dir() else each.unlink()
        if each.is_mount():
            return
    shutil.rmtree(place, ignore_errors=True)


def _sweep(places: Iterable[Path]) -> None:
    """Remove what launchers have left that were killed in the second in which a machine starts."""
    for place in itertools.chain.from_iterable(each.glob(f"{_PREFIX}*") for each in places):
        number = place.name.removeprefix(_PREFIX).partition("-")[0]
        with contextlib.suppress(OSError):
            if number.isdecimal() and not Path("/proc", number).exists() and place.lstat().st_uid == os.geteuid():
                _remove(place)


def _shown(place: Path, number: int, path: str, user: tuple[int, int] | None) -> str:
    """Where QEMU, as the user that it runs as, finds a directory. Raises Unusable.

    Root's directories may lie below some that this user cannot pass: it finds them in the machine's place, too.
    """
    if user is not None:
        shown = place / f"r{number}"
        shown.mkdir()
        try:
            kernel.bind(path, str(shown), read_only=True)
            path = str(shown)
        except OSError:
            shown.rmdir()
    _refuse_unreadable(path, user, os.R_OK | os.X_OK)
    return path


def _refuse_unreadable(path: str, user: tuple[int, int] | None, how: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            if user is not None:
                os.setgroups([])
                os.setresgid(user[1], user[1], user[1])
                os.setresuid(user[0], user[0], user[0])
            os._exit(0 if os.access(path, how) else 1)
        finally:
            os._exit(1)
    if os.waitpid(child, 0)[1]:
        raise Unusable(
            f"{path} cannot be shown to the virtual machine: the user that QEMU runs as cannot read it",
            "let everybody read it",
        )


def _send(channel: socket.socket, content: bytes) -> None:
    # The machine may end meanwhile, which whoever reads from it sees.
    with contextlib.suppress(OSError):
        channel.sendall(content)


def _say(writer: frames.Writer, line: str, request: argparse.Namespace) -> None:
    if request.shell:
        sys.stderr.write(f"{line.partition('] ')[2]}\n")
    else:
        writer.send(frames.LINES, line.encode())


class _Worker(threading.Thread):
    """Waits for the end of standard input: then nobody wants the machine any more."""

    def __init__(self, *, watch: bool) -> None:
        super().__init__(daemon=True)
        self.gone = threading.Event()
        self._running: domain.Domain | None = None
        self._guard = threading.Lock()
        if watch:
            self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            os.read(0, 1)
        with self._guard:
            self.gone.set()
            if self._running is not None:
                self._running.end()

    @contextlib.contextmanager
    def holds(self, running: domain.Domain) -> Iterator[domain.Domain]:
        """Ends the machine with the worker, and in any case at the end of the `with`."""
        with running:
            with self._guard:
                self._running = running
                if self.gone.is_set():
                    running.end()
            try:
                yield running
            finally:
                with self._guard:
                    self._running = None


class _Growth(threading.Thread):
    """Ends a machine when it has changed more of a base image than a job may write: nothing in it knows that limit.

    A `with`; a machine without such a disk is left alone.
    """

    def __init__(self, running: domain.Domain, overlay: Path, most: int) -> None:
        super().__init__(daemon=True)
        self._running, self._most = running, most
        self._file = overlay.open("rb") if overlay.exists() else None
        self._over = threading.Event()
        self.passed = False

    def __enter__(self) -> _Growth:
        if self._file is not None:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._file is not None:
            self.join()
            self._file.close()

    def run(self) -> None:
        while self._file is not None and not self._over.wait(_LOOK_SECONDS):
            if os.fstat(self._file.fileno()).st_blocks * 512 > self._most:
                self.passed = True
                self._running.end()
                return


class _Console(threading.Thread):
    """Reads what the kernel and the agent print, and keeps the end of it: whoever rules inside may print for ever."""

    def __init__(self, channel: socket.socket) -> None:
        super().__init__(daemon=True)
        self._channel = channel
        self._lines: collections.deque[str] = collections.deque(maxlen=_CONSOLE_LINES)
        self._said = threading.Event()
        self._there = False
        # What tells of an end, however much is said after it.
        self._telling = ""
        self.start()

    def run(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while piece := self._channel.recv(1 << 14):
                *lines, rest = (rest + piece).split(b"\n")
                rest = rest[-_CONSOLE_BYTES:]
                for line in lines:
                    text = line[-_CONSOLE_BYTES:].decode("utf-8", "replace").strip()
                    if text:
                        self._lines.append(text)
                    if "Kernel panic" in text or (text.startswith("imager: ") and HELLO not in text):
                        self._telling = text
                    if text.endswith(HELLO):
                        self._there = True
                        self._said.set()
        self._said.set()

    def wait(self, seconds: float, gone: threading.Event) -> bool:
        """Whether the agent said within `seconds` that it is there; returns early when the machine or worker ends."""
        end = time.monotonic() + seconds
        while not self._said.wait(0.1) and time.monotonic() < end and not gone.is_set():
            pass
        return self._there

    def lines(self) -> list[str]:
        """The end of what it said."""
        return list(self._lines)

    def last(self) -> str:
        """What the console says of the end, in a line."""
        # The last of it may still be on its way.
        self.join(5.0)
        if self._telling:
            return " ".join(self._telling.split())[-300:]
        if self._there:
            return "it was turned off or started anew from inside, or QEMU was ended"
        return " | ".join(self.lines()[-3:])[-300:] or "its kernel said nothing"


if __name__ == "__main__":
    sys.exit(main())
