# SPDX-License-Identifier: GPL-2.0-or-later
"""The executors of this machine: `direct` (as root, or in a user namespace) and `sudo` (through the door).

Both start the same sandbox (imgcore.executor.sandbox) and differ in the command that starts it. What the
sandbox's processes use is looked at from outside, twice a second; a limit that is passed ends the job.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import psutil

from imgcore.errors import BuildError
from imgcore.executor import Executor, Limits, Outcome, Receiver, Task, frames
from imgcore.vmsettings import VmSettings

if TYPE_CHECKING:
    from imgcore.executor.vm.bases import Base

__all__ = ["DOOR", "SandboxExecutor", "can_pass_the_door", "direct", "shell", "sudo", "vm"]

#: What the door's package or `conf/install-door` puts there; the only thing that sudoers allows.
DOOR = "/usr/lib/imager/imager-sandbox"

_PACKAGE = Path(__file__).resolve().parents[2]
_START = (
    f"import sys; sys.path.insert(0, {str(_PACKAGE)!r}); from imgcore.executor.{{}} import main; sys.exit(main())"
)
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_TICK_SECONDS = 0.5
#: After being asked to stop, a sandbox has this long before the job is given up as lost.
_END_SECONDS = 30.0


def direct(commands: Mapping[str, Sequence[str]]) -> Executor:
    """Run tools from here: as root, or as an ordinary user where the kernel allows user namespaces."""
    return SandboxExecutor("direct", (_python(), "-I", "-c", _START.format("sandbox")), commands)


def shell(settings: VmSettings, cache: Path, kept: Path | None = None) -> int:
    """Connect this terminal with a shell in a machine such as a job gets; the exit status.

    `kept`: the disk of one that was kept, which it gets a copy of.
    """
    executor = vm({}, settings)
    task = Task("shell", (), {}, cache)
    command = [*executor.start, "--shell", f"--tool={task.tool}", f"--cache={cache}", *executor.more(task)]
    command += [f"--kept={kept}"] if kept else []
    environment = {**_ENVIRONMENT, **executor.environment, "TERM": os.environ.get("TERM", "dumb")}
    return subprocess.run(command, env=environment, check=False).returncode


def vm(commands: Mapping[str, Sequence[str]], settings: VmSettings, base: Base | None = None) -> SandboxExecutor:
    """Run tools in virtual machines that are thrown away (imgcore.executor.vm).

    They are made of the base image `base`, or of the one that the settings name, which is looked for at each run.
    """
    cores = settings.cores or min(2, os.cpu_count() or 1)
    fixed = (
        f"--cores={cores}",
        f"--network={settings.network}",
        f"--accelerator={settings.accelerator}",
        f"--libvirt={settings.libvirt}",
        f"--kernel={settings.kernel}",
        *(f"--share={each}" for each in settings.share),
        *(f"--hide={each}" for each in settings.hide),
    )

    def more(task: Task) -> Sequence[str]:
        memory = task.limits.memory_bytes or settings.memory_bytes
        keep = [f"--keep={task.keep}"] if task.keep else []
        return [*fixed, *of_base(), *keep, f"--memory={memory}", *_places(task.urls)]

    def of_base() -> Sequence[str]:
        if base is None and not settings.base:
            return []
        from imgcore.executor.vm import bases

        used = base or bases.read(settings.bases, settings.base)
        return [f"--base={used.file}", f"--base-format={used.format}"]

    # What libvirt's own daemon of a user needs to be found.
    kept = {name: os.environ[name] for name in ("HOME", "XDG_RUNTIME_DIR") if name in os.environ}
    start = (_python(), "-I", "-c", _START.format("vm.launcher"))
    return SandboxExecutor("vm", start, commands, more, kept)


def _places(urls: Sequence[str]) -> Iterator[str]:
    """What may be reached, as options: everybody sees them, so without passwords, which the job's input has."""
    for each in urls:
        with contextlib.suppress(ValueError):  # mic's kickstarts are not read here: that is no URL
            url = urlsplit(each)
            place = url.netloc.rpartition("@")[2]
            yield f"--url={url._replace(netloc=place, query='', fragment='').geturl()}"


def _python() -> str:
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


def sudo() -> Executor:
    """Run tools through the door that sudoers allows; root's own configuration says which."""
    return SandboxExecutor("sudo", ("sudo", "-n", "--", DOOR), {})


@dataclass
class _Use:
    """What a job has used so far."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    disk_bytes: int = 0
    processes: int = 0
    peak_memory_bytes: int = 0
    peak_disk_bytes: int = 0
    peak_processes: int = 0

    def look(self, pid: int) -> None:
        """Sample the tree below process `pid`."""
        cpu, memory, count = 0.0, 0, 0
        with contextlib.suppress(psutil.Error):
            for each in psutil.Process(pid).children(recursive=True):
                with contextlib.suppress(psutil.Error), each.oneshot():
                    times = each.cpu_times()
                    cpu += times.user + times.system + times.children_user + times.children_system
                    memory += each.memory_info().rss
                    count += 1
        self.cpu_seconds = max(self.cpu_seconds, cpu)
        self.memory_bytes, self.processes = memory, count
        self.peak_memory_bytes = max(self.peak_memory_bytes, memory)
        self.peak_processes = max(self.peak_processes, count)

    def disk(self, used: int) -> None:
        """The scratch that is in use now."""
        self.disk_bytes = used
        self.peak_disk_bytes = max(self.peak_disk_bytes, used)


@dataclass(eq=False)
class _Watch(threading.Thread):
    """Ends the sandbox (by closing its standard input) when a limit is passed or somebody wants it to stop."""

    process: subprocess.Popen[bytes]
    limits: Limits
    stop: threading.Event
    use: _Use = field(default_factory=_Use)
    stopped_by: str = ""

    def __post_init__(self) -> None:
        super().__init__(name="sandbox-watch", daemon=True)
        self.over = threading.Event()

    def run(self) -> None:
        """Look twice a second until the sandbox has ended."""
        end = time.monotonic() + self.limits.seconds if self.limits.seconds else float("inf")
        next_look = time.monotonic()
        while not self.over.is_set():
            now = time.monotonic()
            if now >= next_look:
                self.use.look(self.process.pid)
                next_look = time.monotonic() + _TICK_SECONDS
            reason = self._reason(now >= end)
            if reason:
                self.stopped_by = reason
                self._close()
                return
            # The end of the sandbox is waited for, as nobody should wait after it; a cancel is felt within a moment.
            self.over.wait(max(0.0, min(next_look, end, now + 0.05) - time.monotonic()))

    def _reason(self, late: bool) -> str:
        if self.stop.is_set():
            return "cancel"
        if late:
            return "time"
        if self.limits.memory_bytes and self.use.memory_bytes > self.limits.memory_bytes:
            return "memory"
        if self.limits.processes and self.use.processes > self.limits.processes:
            return "processes"
        return ""

    def _close(self) -> None:
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        if not self.over.wait(_END_SECONDS):
            self.process.kill()


@dataclass(frozen=True)
class SandboxExecutor:
    """Runs tasks in sandboxes that `start` starts."""

    name: str
    start: tuple[str, ...]
    commands: Mapping[str, Sequence[str]]
    #: Options that only what `start` starts understands, and its environment beside the usual one.
    more: Callable[[Task], Sequence[str]] = lambda task: ()
    environment: Mapping[str, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def run(self, task: Task, receiver: Receiver, stop: threading.Event) -> Iterator[Outcome]:
        """See `Executor.run`."""
        try:
            process = subprocess.Popen(
                [*self.start, *self._options(task)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**_ENVIRONMENT, **self.environment},
                cwd="/",
                # The terminal's Ctrl-C is for the worker, which decides how the sandbox ends.
                start_new_session=True,
            )
        except OSError as error:
            raise BuildError(
                f"{self.start[0]} cannot be started: {error.strerror}", "`img doctor` says what to install", "sandbox"
            ) from error
        _widen(process.stdout)
        watch = _Watch(process, task.limits, stop)
        watch.start()
        try:
            self._send(process, task.inputs)
            end = self._listen(process, receiver, watch.use)
            if isinstance(end, dict):
                yield _outcome(end, watch)
                return
        except BaseException:
            watch.over.set()
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            raise
        finally:
            complaint = self._finish(process, watch)
        if watch.stopped_by:
            # Ended while it was being made: what it says of that is no news.
            yield Outcome(1, stopped_by=watch.stopped_by)
            return
        raise end or BuildError(
            f"the {self.name} sandbox ended unexpectedly" + (f": {complaint}" if complaint else ""),
            "`make door` lets a user in; `img doctor` looks for the reason"
            if self.name == "sudo"
            else "`img doctor` looks for the reason",
            "sandbox",
        )

    def _options(self, task: Task) -> list[str]:
        options = [f"--tool={task.tool}", f"--cache={task.cache}"]
        options += [f"--readable={each}" for each in task.readable]
        options += [f"--command={each}" for each in self.commands.get(task.tool, ())]
        options += [f"--disk={task.limits.disk_bytes}", f"--processes={task.limits.processes}"]
        options.append(f"--scratch={task.limits.scratch}")
        epoch = task.environment.get("SOURCE_DATE_EPOCH")
        if epoch:
            options.append(f"--epoch={epoch}")
        return [*options, *self.more(task), "--", *task.arguments]

    @staticmethod
    def _send(process: subprocess.Popen[bytes], inputs: Mapping[str, bytes]) -> None:
        if process.stdin is None:
            raise AssertionError("stdin is a pipe")
        # A sandbox that refuses before it reads tells why on its output.
        with contextlib.suppress(BrokenPipeError, ValueError):
            process.stdin.write(frames.pack_inputs(inputs))
            process.stdin.flush()

    @staticmethod
    def _listen(
        process: subprocess.Popen[bytes], receiver: Receiver, use: _Use
    ) -> dict[str, object] | BuildError | None:
        """How the tool ended, or why there is no sandbox; None where the sandbox did not say.

        Of a tool that did what it should that is known before its sandbox has ended; others have no such hurry, and
        their machine may be kept first.
        """
        if process.stdout is None:
            raise AssertionError("stdout is a pipe")
        end: dict[str, object] | BuildError | None = None
        for kind, content in frames.read(process.stdout):  # type: ignore[arg-type]
            if kind == frames.LINES:
                for line in content.decode("utf-8", "replace").split("\n"):
                    receiver.line(line.rstrip("\r"))
            elif kind == frames.SAMPLE:
                use.disk(int(content))
                receiver.sample(use.cpu_seconds, use.memory_bytes, use.disk_bytes, use.processes)
            elif kind == frames.FILE:
                told = json.loads(content)
                receiver.file(str(told["name"]), int(told["size"]), int(told["mode"]))
            elif kind == frames.DATA:
                receiver.data(*frames.decode_data(content))
            elif kind == frames.REFUSED:
                told = json.loads(content)
                end = BuildError(str(told["message"]), str(told["remedy"]), "sandbox")
            elif kind == frames.END:
                end = told = json.loads(content)
                if not told["status"] and not told["stopped"]:
                    break
        return end

    @staticmethod
    def _finish(process: subprocess.Popen[bytes], watch: _Watch) -> str:
        """Wait for the end; what the sandbox said on standard error, in one line."""
        with process:
            if process.stdout is not None:
                while process.stdout.read(1 << 16):
                    pass
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            text = process.stderr.read(1 << 16).decode("utf-8", "replace") if process.stderr is not None else ""
            process.wait()
        watch.over.set()
        watch.join()
        return " ".join(text.split())[-300:]


def _widen(pipe: IO[bytes] | None) -> None:
    """Let a pipe hold as much as the kernel gives everybody: images come through it, in fewer turns."""
    if pipe is not None:
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, frames.PIECE_BYTES)


def _outcome(end: Mapping[str, object], watch: _Watch) -> Outcome:
    status = int(str(end["status"]))
    use = watch.use
    return Outcome(
        status=max(status, 0),
        signal=max(-status, 0),
        stopped_by=watch.stopped_by if end["stopped"] else "",
        cpu_seconds=round(max(use.cpu_seconds, float(str(end["cpu_seconds"]))), 3),
        peak_memory_bytes=max(use.peak_memory_bytes, int(str(end["peak_memory_bytes"]))),
        peak_disk_bytes=use.peak_disk_bytes,
        peak_processes=use.peak_processes,
    )


def can_pass_the_door() -> bool:
    """Whether this user may start the door without a password."""
    if not Path(DOOR).exists():
        return False
    try:
        done = subprocess.run(
            ["sudo", "-n", "-l", "--", DOOR],
            env={**_ENVIRONMENT, "HOME": os.environ.get("HOME", "/")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0
