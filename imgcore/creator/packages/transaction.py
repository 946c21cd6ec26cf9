# SPDX-License-Identifier: GPL-2.0-or-later
"""Installs package files into the root tree with rpm as a library, in one transaction.

rpm runs with settings of its own, not the builder's: the image's database path, no plug-ins of the machine,
no home. A scriptlet that fails before its package is unpacked (%pre, %pretrans) fails the build, as it makes rpm
leave the package out; one that fails afterwards is a warning in the result. Signatures have been checked
before (signatures.py); digests are checked here.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from imgcore.creator.build import Build, disk_full
from imgcore.creator.native import library
from imgcore.errors import BuildError
from imgcore.progress import Progress

__all__ = ["MOUNTED", "SCRATCH", "Header", "install", "read_headers"]

#: Mounted while packages are installed: rpm must not change owner or mode of what is not the image's.
MOUNTED = ("/proc", "/sys", "/dev")
#: Where rpm puts scriptlets, in the image.
SCRATCH = "/var/tmp"  # noqa: S108 - the image's own


@dataclass(frozen=True)
class Header:
    """A package file and its header as rpm reads it."""

    path: Path
    header: Any
    #: NAME-VERSION-RELEASE.ARCH.
    label: str


@dataclass
class _Run:
    """What happened in a transaction so far."""

    total: int
    done: int = 0
    lines: list[str] = field(default_factory=list)
    #: Labels of packages, each with the scriptlet that failed and whether rpm gave the package up.
    scriptlets: list[tuple[str, str, bool]] = field(default_factory=list)
    unpacking: str = ""
    descriptors: dict[str, int] = field(default_factory=dict)


def read_headers(build: Build, paths: Iterable[Path]) -> list[Header]:
    """The headers of package files, in their order. Raises BuildError for what is no package."""
    rpm = library("rpm")
    rpm.setVerbosity(rpm.RPMLOG_CRIT)
    transaction = rpm.TransactionSet()
    transaction.setVSFlags(rpm._RPMVSF_NOSIGNATURES | rpm.RPMVSF_NOPAYLOAD)
    headers = []
    for path in paths:
        try:
            with path.open("rb") as file:
                header = transaction.hdrFromFdno(file.fileno())
        except (rpm.error, OSError) as error:
            raise BuildError(
                f"{path} is not a usable package: {error}",
                "build it anew, and create the repository's metadata anew (createrepo_c)",
                "repository-invalid",
            ) from error
        headers.append(Header(path, header, f"{header['nvr']}.{header['arch']}"))
    build.say(f"Read {len(headers)} packages")
    return headers


def install(
    build: Build, headers: Sequence[Header], database: str, *, scriptlets: bool = True, phase: str = "install"
) -> None:
    """Install the packages; `database` is rpm's path in the image. Raises BuildError."""
    rpm = library("rpm")
    _load_name_services()
    settings = {
        "_dbpath": database,
        "_db_backend": "sqlite",
        "__plugindir": "/nonexistent",
        "_netsharedpath": ":".join(MOUNTED),
        "_tmppath": SCRATCH,
    }
    if build.plan.packages.languages is not None:
        # rpm takes an empty macro for "not set": a language that nobody has keeps none.
        settings["_install_langs"] = build.plan.packages.languages or "none"
    for name, value in settings.items():
        rpm.addMacro(name, value)
    try:
        _install(build, rpm, headers, scriptlets, phase)
    finally:
        for name in settings:
            rpm.delMacro(name)


def _install(build: Build, rpm: Any, headers: Sequence[Header], scriptlets: bool, phase: str) -> None:
    run = _Run(len(headers))
    with _Output(build, run) as output:
        # Below this rpm throws the standard output of scriptlets away.
        rpm.setVerbosity(rpm.RPMLOG_INFO)
        rpm.setLogFile(output)
        transaction = rpm.TransactionSet(str(build.place.root))
        try:
            transaction.setVSFlags(rpm._RPMVSF_NOSIGNATURES)
            flags = rpm.RPMTRANS_FLAG_NODOCS if build.plan.packages.exclude_docs else 0
            if not scriptlets:
                flags |= rpm.RPMTRANS_FLAG_NOSCRIPTS | rpm.RPMTRANS_FLAG_NOTRIGGERS
            transaction.setFlags(flags)
            # Packages of another architecture are what --arch asks for.
            transaction.setProbFilter(rpm.RPMPROB_FILTER_IGNOREARCH | rpm.RPMPROB_FILTER_IGNOREOS)
            transaction.scriptFd = output.fileno()
            for header in headers:
                transaction.addInstall(header.header, header.label, "i")
            if scriptlets:
                transaction.check()
                _refuse(build, transaction.problems() or ())
            transaction.order()
            paths = {header.label: header.path for header in headers}
            problems = transaction.run(_callback(build, rpm, run, paths, phase), "")
            failed = [element.NEVRA() for element in transaction if element.Failed()]
        finally:
            transaction.closeDB()
            # It holds a copy of the pipe's end.
            del transaction
            rpm.setLogFile(sys.stderr)
    if problems:
        _refuse(build, [str(problem[0]) for problem in problems])
    _judge(build, run, failed, problems is not None)


def _load_name_services() -> None:
    # rpm looks users up after it has entered the root, where the C library must not load the image's modules:
    # it loads its own now, and does not read nsswitch.conf again under another root.
    with suppress(KeyError):
        pwd.getpwnam("no-such-user")
    with suppress(KeyError):
        grp.getgrnam("no-such-group")


def _callback(build: Build, rpm: Any, run: _Run, paths: Mapping[str, Path], phase: str) -> Any:
    """What rpm calls on the way. An exception in here would be lost: nothing raises."""

    def step(what: int, amount: int, total: int, key: Any, _data: Any) -> int | None:
        if what == rpm.RPMCALLBACK_INST_OPEN_FILE:
            run.descriptors[key] = os.open(paths[key], os.O_RDONLY | os.O_CLOEXEC)
            return run.descriptors[key]
        if what == rpm.RPMCALLBACK_INST_CLOSE_FILE:
            os.close(run.descriptors.pop(key))
        elif what == rpm.RPMCALLBACK_INST_START:
            run.unpacking = str(key)
            build.announce(Progress(phase, run.done, run.total, str(key)))
        elif what == rpm.RPMCALLBACK_INST_STOP:
            run.done += 1
            if run.done == run.total:
                build.announce(Progress(phase, run.done, run.total))
        elif what == rpm.RPMCALLBACK_SCRIPT_ERROR:
            # `amount` is the scriptlet's tag, `total` is 1 (not found) or 2 (failed) for what rpm gives up.
            name = str(rpm.tagnames.get(amount, "script")).lower()
            run.scriptlets.append((str(key), name, total == 2))
        return None

    return step


class _Output:
    """The pipe that rpm's messages and scriptlets' output go through, line by line, to the log.

    A daemon that a scriptlet starts may hold the pipe open for ever: whoever leaves does not wait for it.
    """

    def __init__(self, build: Build, run: _Run) -> None:
        self._build, self._run = build, run
        reading, self._writing = os.pipe()
        self._thread = threading.Thread(target=self._read, args=(reading,), daemon=True)

    def __enter__(self) -> _Output:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._writing)
        self._thread.join(timeout=2)

    def fileno(self) -> int:
        """The end to write to."""
        return self._writing

    def _read(self, reading: int) -> None:
        with open(reading, "rb") as pipe:
            for raw in pipe:
                line = raw.decode("utf-8", "replace").rstrip("\n")
                self._run.lines.append(line)
                self._build.say(f"  {line}")


def _refuse(build: Build, problems: Sequence[Any]) -> None:
    """Raise what rpm says before it begins."""
    texts = [" ".join(str(problem).split()) for problem in problems]
    for text in texts:
        build.say(f"Problem: {text}")
    if not texts:
        return
    for text in texts:
        if "filesystem" in text and " needs " in text:
            raise BuildError(f"there is no space left: {text}", "free some, or raise [limits] disk", "disk-full")
    for text in texts:
        if "does not verify" in text:
            raise BuildError(
                f"a package is damaged: {text}",
                "build it anew, and create the repository's metadata anew (createrepo_c)",
                "repository-invalid",
            )
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    raise BuildError(
        f"the packages do not fit together: {texts[0]}{more}", "leave one of them out", "dependency-conflict"
    )


def _judge(build: Build, run: _Run, failed: Sequence[str], incomplete: bool) -> None:
    """Raise for what did not get installed; warn of scriptlets that failed afterwards."""
    everything = "\n".join(run.lines)
    if "Exec format error" in everything:
        label = _first_match(r"%\w+\(([^)]+)\)", run.lines) or (run.scriptlets[0][0] if run.scriptlets else "")
        raise BuildError(
            f"the scriptlets of package {label} are programs for {build.plan.arch}, which this machine cannot run",
            "install qemu-user-static and binfmt-support, or build on such a machine",
            "unsupported",
        )
    for label, name, given_up in run.scriptlets:
        if given_up:
            raise BuildError(
                f"the {_section(name)} scriptlet of package {label} failed{_told(run, label)}",
                "see its output above in the log",
                "scriptlet-failed",
            )
    if failed or incomplete:
        _give_up(build, run, failed)
    for label, name, _ in run.scriptlets:
        build.warn(f"the {_section(name)} scriptlet of package {label} failed{_told(run, label)}")


def _give_up(build: Build, run: _Run, failed: Sequence[str]) -> NoReturn:
    reasons = [line for line in run.lines if line.startswith("error: ")] or run.lines[-1:]
    reason = reasons[0].removeprefix("error: ") if reasons else "rpm does not say why"
    full = disk_full(RuntimeError("\n".join(run.lines)))
    if full is not None:
        raise BuildError(f"there is no space left: {reason}", full.remedy, full.cause)
    label = failed[0] if failed else run.unpacking
    unpacked = re.search(r"unpacking of archive failed(?: on file (.*?))?(?:;\w+)?: cpio: (\w+)", reason)
    # chown to an owner that the user namespace does not have is refused as invalid, mknod as not permitted.
    if unpacked and unpacked[2] == "chown":
        raise BuildError(
            f"package {label} has files of an owner that this build may not set ({unpacked[1] or reason})",
            "install uidmap and give yourself a range in /etc/subuid and /etc/subgid, or use --executor sudo",
            "sandbox",
        )
    if unpacked and unpacked[2] in ("mknod", "mkfifo"):
        raise BuildError(
            f"package {label} has a device node ({unpacked[1] or reason}), which this build may not make",
            "use --executor sudo",
            "sandbox",
        )
    raise BuildError(f"package {label} could not be installed: {reason}", "see the log", "internal")


def _section(name: str) -> str:
    """`%pre` for rpm's PREIN, and so on."""
    known = {"prein": "%pre", "postin": "%post", "preun": "%preun", "postun": "%postun", "pretrans": "%pretrans",
             "posttrans": "%posttrans"}  # fmt: skip
    return known.get(name, name)


def _told(run: _Run, label: str) -> str:
    """`: exit status 3: what it said last`, as far as it is known."""
    status = ""
    said = ""
    for line in run.lines:
        found = re.search(r"%\w+\((.+?)\) scriptlet failed, (.+)$", line)
        if found is not None and found[1] == label:
            status = found[2]
            break
        said = line.strip()
    return "".join(f": {part}" for part in (status, said if status and not said.startswith("error:") else "") if part)


def _first_match(pattern: str, lines: Sequence[str]) -> str:
    return next((found[1] for line in lines if (found := re.search(pattern, line))), "")
