# SPDX-License-Identifier: GPL-2.0-or-later
"""The sandbox: namespaces, limits and one tool in them; the file that root runs when a build needs root.

    worker → sandbox (waits) → first process of a PID namespace → the tool and whatever it starts

Standard input brings the job's input files (imgcore.executor.frames), then stays open: when the worker closes
it, for whatever reason, the first process ends, and the kernel ends everything below it, unmounts what was
mounted and frees the scratch. Standard output carries frames. Only the options that are written out below
are understood; through the sudo door every path must pass imgcore.executor.guard. Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import resource
import selectors
import signal
import stat
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from imgcore.executor import code, devices, frames, furnish, guard, identity, kernel, scratch

__all__ = ["BUILTIN", "main", "parser"]

BUILTIN = "builtin"
_PYTHON = "/usr/bin/python3"
_START = "import sys; sys.path.insert(0, '/run/imager/lib'); from imgcore.creator.main import main; sys.exit(main())"
_SAMPLE_SECONDS = 0.5
#: mic takes up to 4.4 s to clean up after SIGINT.
_GRACE_SECONDS = 8.0
#: For a tool that must be root: chown, dac_*, fowner, fsetid, kill, setgid, setuid, setpcap, net_*, sys_chroot,
#: sys_admin (mounts, loop devices), mknod, audit_write, setfcap. Gone: modules, raw I/O, boot, time, ptrace, …
_CAPABILITIES = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 18, 21, 27, 29, 31})


@dataclass(frozen=True)
class _Opened:
    """The request, checked and held open."""

    command: tuple[str, ...]
    files: dict[str, dict[str, bytes]]
    cache: int
    readable: tuple[tuple[str, int], ...]


class _Broken(Exception):
    """The sandbox cannot be made."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


def main(argv: Sequence[str] | None = None, *, door: bool = False, shown: scratch.Backing | None = None) -> int:
    """Run one tool in a sandbox of its own. Returns 0 when it ended, however it did, and told so.

    `door`: only what root's configuration allows. `shown`: what scratch is, whatever the options say.
    """
    writer = frames.Writer(os.dup(1))
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # Whoever starts us, what a job finds is the same: an image's own / is made here.
    os.umask(0o022)
    try:
        request = parser().parse_args(argv)
        return _run(request, writer, door=door, shown=shown)
    except BrokenPipeError:
        return 1  # the worker is gone, and so is everybody who could want to know
    except guard.Refused as error:
        writer.send_json(
            frames.REFUSED, {"message": f"the sudo door refuses: {error}", "remedy": "see docs/security.md"}
        )
    except _Broken as error:
        writer.send_json(frames.REFUSED, {"message": str(error), "remedy": error.remedy})
    except ValueError as error:
        writer.send_json(
            frames.REFUSED, {"message": f"the sandbox does not understand its input: {error}", "remedy": ""}
        )
    except OSError as error:
        what = f" ({error.filename})" if error.filename else ""
        writer.send_json(
            frames.REFUSED,
            {
                "message": f"the sandbox cannot be made: {error.strerror}{what}",
                "remedy": "`img doctor` looks for the reason",
            },
        )
    return 1


def parser() -> argparse.ArgumentParser:
    """What it understands."""
    made = argparse.ArgumentParser(prog="imager-sandbox", allow_abbrev=False)
    made.add_argument("--tool", required=True)
    made.add_argument("--command", action="append", default=[], help="a word of the tool's command (not by the door)")
    made.add_argument("--cache", required=True)
    made.add_argument("--readable", action="append", default=[])
    made.add_argument("--disk", type=int, default=0, help="bytes of scratch, 0: what the memory bears")
    made.add_argument("--scratch", choices=("memory", "disk"), default="memory")
    made.add_argument("--processes", type=int, default=0)
    made.add_argument("--epoch", type=int, default=0)
    made.add_argument("--proxy", default="", help="the URL of a proxy for the tool (not by the door)")
    made.add_argument("arguments", nargs="*")
    return made


def _run(request: argparse.Namespace, writer: frames.Writer, *, door: bool, shown: scratch.Backing | None) -> int:
    as_root = os.geteuid() == 0
    privileged = request.tool != BUILTIN  # the tools of the field mount and need loop devices
    if privileged and not as_root:
        raise _Broken(f"{request.tool} needs root", "choose --executor sudo, or --tool builtin")
    if request.scratch == "disk" and not (as_root and request.disk):
        raise _Broken(
            "scratch on disk needs root and a limit",
            "set [limits] scratch = memory, or be root and set [limits] disk",
        )
    inputs = frames.receive_inputs(0)
    ids = identity.of_caller()
    rules = _rules(request) if door else None
    if door and not privileged and ids.first == 0:
        lacking = f"{identity.FIRST_OF_ROOT} to {identity.FIRST_OF_ROOT + identity.IDS_OF_ROOT - 1}"
        raise guard.Refused(
            "this container has no ids to spare, so what is built would be its root; "
            f"give it the ids {lacking} as well, or build outside of it"
        )
    backing: scratch.Backing | None = shown
    if request.scratch == "disk":
        # Before the machine becomes read-only: it must not lie in a mount that is to be so.
        backing = scratch.LoopFile(_directory(request.cache, "cache", rules), request.disk)
    # First into a place where mounts may be made, then, once they are made, into one where they cannot be undone:
    # the kernel locks what a user namespace inherits (mount_namespaces(7)).
    if as_root:
        inner = _Mapper(ids)
        # Before anything is opened: what is bound later must lie in this mount namespace.
        try:
            kernel.unshare(kernel.NEW_MOUNTS | kernel.NEW_IPC | kernel.NEW_UTS)
        except PermissionError as error:
            raise _Broken(
                "root may not make mounts here, as in a container without the capability SYS_ADMIN",
                "give it that capability, or build outside of the container",
            ) from error
        kernel.move_to_own_root()
    else:
        _enter_user_namespace(_Mapper(ids), kernel.NEW_MOUNTS)
        inner = _Mapper(identity.Range(0, 0, 1, 1, ids.count, privileged=True))
    opened = _open(request, inputs, ids, rules)
    owner = ids if as_root and not privileged else None
    furnish.furnish(
        opened.files,
        opened.cache,
        opened.readable,
        request.disk,
        owner,
        own_paths=privileged,
        backing=backing,
    )
    for descriptor in (opened.cache, *(each for _, each in opened.readable)):
        os.close(descriptor)
    if privileged:
        kernel.unshare(kernel.NEW_PIDS)
        kernel.drop_from_bounding_set(_CAPABILITIES)
    else:
        _enter_user_namespace(inner, kernel.NEW_MOUNTS | kernel.NEW_PIDS | kernel.NEW_IPC | kernel.NEW_UTS)
    loops = devices.loops()
    first = os.fork()
    if first == 0:
        _first_process(opened.command, request, writer, privileged=privileged)
    os.close(0)
    os.waitpid(first, 0)
    if privileged:
        devices.release(Path(furnish.PLACE).stat().st_dev, loops)
    return 0


class _Mapper:
    """A helper that stays in the user namespace of the beginning, and gives our next one its ids."""

    def __init__(self, ids: identity.Range) -> None:
        us = os.getpid()
        told, self._tell = os.pipe()
        self._answer, answer = os.pipe()
        self._helper = os.fork()
        if self._helper == 0:
            os.close(self._tell)
            try:
                os.read(told, 1)
                identity.map_process(us, ids)
            except OSError as error:
                os.write(answer, f"{error.filename or ''}: {error.strerror}".encode())
            os._exit(0)
        os.close(told)
        os.close(answer)

    def map(self) -> str:
        """Have it done; what went wrong, or nothing."""
        os.close(self._tell)
        failure = os.read(self._answer, 4096).decode("utf-8", "replace")
        os.close(self._answer)
        os.waitpid(self._helper, 0)
        return failure


def _enter_user_namespace(mapper: _Mapper, others: int) -> None:
    """A new user namespace in which this process is root, and with it new ones of the kinds `others`."""
    try:
        kernel.unshare(kernel.NEW_USER | others)
    except OSError as error:
        # No space: that is how the kernel says it (unshare(2)).
        reason = "user.max_user_namespaces is reached" if error.errno == errno.ENOSPC else error.strerror
        raise _Broken(
            f"this machine does not allow user namespaces here: {reason}",
            "choose --executor sudo, or be root; `img doctor` says more",
        ) from error
    failure = mapper.map()
    if failure:
        raise _Broken(f"the sandbox gets no user ids: {failure}", "install uidmap, and check /etc/subuid and subgid")
    with contextlib.suppress(PermissionError):  # with one id only, groups cannot be changed
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _rules(request: argparse.Namespace) -> guard.Rules:
    """Root's rules for whoever comes through the door, after what they say of the request's other options."""
    rules = guard.load()
    if request.command or request.proxy:
        raise guard.Refused("--command and --proxy are not for the door")
    if request.disk <= 0 or request.disk > rules.disk_bytes:
        raise guard.Refused(f"--disk {request.disk} is not between 1 and {rules.disk_bytes}")
    if request.tool != BUILTIN and request.tool not in rules.tools:
        raise guard.Refused(f"tool {request.tool!r} is not one that {guard.CONFIGURATION} names")
    return rules


def _directory(path: str, kind: str, rules: guard.Rules | None) -> int:
    if rules is not None:
        return guard.open_inside(path, rules.roots[kind], f"--{kind}")
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _open(
    request: argparse.Namespace, inputs: dict[str, bytes], ids: identity.Range, rules: guard.Rules | None
) -> _Opened:
    cache = _directory(request.cache, "cache", rules)
    readable = tuple((each, _directory(each, "readable", rules)) for each in request.readable)
    if request.tool == BUILTIN:
        files = {"lib": code.files(), "in": inputs}
        python = _PYTHON if Path(_PYTHON).exists() else sys.executable
        command: tuple[str, ...] = (python, "-I", "-c", _START)
    else:
        files = {"lib": {}, "in": inputs}
        command = rules.tools[request.tool] if rules is not None else tuple(request.command)
    cache = _own_cache(cache, request.tool, ids)
    return _Opened((*command, *request.arguments), files, cache, readable)


def _own_cache(cache: int, tool: str, ids: identity.Range) -> int:
    """The part of the cache that belongs to the sandbox's user ids, or to another tool, which has root's."""
    name = f"{ids.first}" if tool == BUILTIN else f"tool-{tool}"
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=cache)
    own = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=cache)
    if ids.privileged and tool == BUILTIN:
        os.chown(f"/proc/self/fd/{own}", ids.first, ids.first_group)
    os.close(cache)
    return own


def _first_process(
    command: Sequence[str], request: argparse.Namespace, writer: frames.Writer, *, privileged: bool
) -> NoReturn:
    status = 1
    try:
        kernel.die_with_parent(signal.SIGKILL)
        os.setsid()
        if privileged:
            # What the tool mounts ends with it, before its devices are freed.
            kernel.unshare(kernel.NEW_MOUNTS)
        furnish.enter(minimal_dev=not privileged)
        _Keeper(command, request, writer, patient=privileged).run()
        status = 0
    except BrokenPipeError:
        pass
    except OSError as error:
        with contextlib.suppress(OSError):
            what = f" ({error.filename})" if error.filename else ""
            writer.send_json(
                frames.REFUSED, {"message": f"the sandbox cannot be made: {error.strerror}{what}", "remedy": ""}
            )
    finally:
        os._exit(status)


class _Keeper:
    """The first process: starts the tool, passes its output on, ends everything, hands the files out."""

    def __init__(
        self, command: Sequence[str], request: argparse.Namespace, writer: frames.Writer, *, patient: bool
    ) -> None:
        self._command = command
        self._request = request
        self._writer = writer
        self._patient = patient
        self._rest = b""

    def run(self) -> None:
        output, tool_end = os.pipe()
        woken, wake = os.pipe()
        for descriptor in (woken, wake):
            os.set_blocking(descriptor, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)
        tool = self._start(tool_end)
        os.close(tool_end)
        os.set_blocking(output, False)
        with selectors.DefaultSelector() as selector:
            for descriptor in (output, woken, 0):
                selector.register(descriptor, selectors.EVENT_READ)
            status, stopped = self._watch(selector, tool, output, woken)
        _kill_all(signal.SIGKILL)
        _reap_all()
        while self._pass_on(output):
            pass
        if self._rest:
            self._writer.send(frames.LINES, self._rest)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._sample()
        if status == 0 and not stopped:
            self._hand_out(Path(furnish.PLACE, "out"))
        self._writer.send_json(
            frames.END,
            {
                "status": os.waitstatus_to_exitcode(status),
                "stopped": stopped,
                "cpu_seconds": used.ru_utime + used.ru_stime,
                "peak_memory_bytes": used.ru_maxrss * 1024,
            },
        )

    def _watch(self, selector: selectors.BaseSelector, tool: int, output: int, woken: int) -> tuple[int, bool]:
        next_sample = 0.0
        deadline = 0.0
        while True:
            now = time.monotonic()
            if now >= next_sample:
                self._sample()
                next_sample = now + _SAMPLE_SECONDS
            if deadline and now >= deadline:
                _kill_all(signal.SIGKILL)
                deadline = now + 60
            for key, _ in selector.select(max(0.0, min(next_sample, deadline or next_sample) - now)):
                if key.fd == output:
                    if not self._pass_on(output):
                        selector.unregister(output)
                elif key.fd == woken:
                    os.read(woken, 512)
                else:
                    # Whatever comes, also the end: the worker wants the tool to stop, or is no more.
                    selector.unregister(0)
                    deadline = time.monotonic() + (_GRACE_SECONDS if self._patient else 0)
                    _kill_all(signal.SIGINT if self._patient else signal.SIGKILL)
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    break
                if pid == 0:
                    break
                if pid == tool:
                    return status, deadline > 0

    def _start(self, output: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.closerange(3, 4096)
            os.setsid()
            os.umask(0o022)
            os.chdir(f"{furnish.PLACE}/build")
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if self._request.processes and not self._patient:
                # In a user namespace this counts the namespace's processes alone.
                most = resource.getrlimit(resource.RLIMIT_NPROC)[1]
                limit = self._request.processes
                limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
                resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
            if not self._patient:
                kernel.no_new_privileges()
            os.execvpe(self._command[0], list(self._command), self._environment())
        except OSError as error:
            os.write(2, f"{self._command[0]}: {error.strerror}\n".encode())
        os._exit(127)

    def _environment(self) -> dict[str, str]:
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": f"{furnish.PLACE}/home",
            "TMPDIR": f"{furnish.PLACE}/tmp",
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        if self._request.proxy:
            environment |= dict.fromkeys(("http_proxy", "https_proxy", "ftp_proxy"), self._request.proxy)
        if self._request.epoch:
            environment["SOURCE_DATE_EPOCH"] = str(self._request.epoch)
        return environment

    def _pass_on(self, output: int) -> bool:
        """Read what is there and send its whole lines; False at the end of the output."""
        try:
            got = os.read(output, 1 << 16)
        except BlockingIOError:
            return False
        if not got:
            return False
        lines, newline, self._rest = (self._rest + got).rpartition(b"\n")
        if newline:
            self._writer.send(frames.LINES, lines)
        if len(self._rest) > frames.LINE_BYTES:
            self._writer.send(frames.LINES, self._rest)
            self._rest = b""
        return True

    def _sample(self) -> None:
        status = os.statvfs(furnish.PLACE)
        self._writer.send(frames.SAMPLE, str((status.f_blocks - status.f_bfree) * status.f_frsize).encode())

    def _hand_out(self, top: Path) -> None:
        """Send every regular file below `top`; nothing else, and no link is followed."""
        for directory, folders, names in os.walk(top, followlinks=False):
            folders.sort()
            for name in sorted(names):
                path = Path(directory, name)
                try:
                    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                except OSError:
                    continue  # a link, a socket or unreadable: not something to deliver
                try:
                    if stat.S_ISREG(os.fstat(descriptor).st_mode):
                        self._writer.send_file(str(path.relative_to(top)), descriptor)
                finally:
                    os.close(descriptor)


def _kill_all(number: int) -> None:
    """Signal every process of the namespace but this one."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, number)


def _reap_all() -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


if __name__ == "__main__":
    sys.exit(main())
