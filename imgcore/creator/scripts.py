# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the kickstart's scripts: %pre, %post (inside the image's root or beside it), %pack.

A script inside the root sees the image as / and nothing of the builder but its environment; a script outside
also gets INSTALL_ROOT and IMG_OUT_DIR, and stands in IMG_OUT_DIR. A script that fails is a warning, as with mic,
or with --erroronfail the end of the build; where the shell tells the script's line, the message has the
kickstart's.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from imgcore import run
from imgcore.creator import strays
from imgcore.creator.build import ROOT_PATH, Build, disk_full
from imgcore.creator.plan import Script
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError
from imgcore.progress import Progress

__all__ = ["check", "run_all"]

_KINDS = ("pre", "pre-install", "post", "pack")
#: Where a script lies while it runs in the root.
_FOLDER = "/tmp"  # noqa: S108 - the image's own
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: dash, bash, busybox, Python when RLIMIT_NPROC is reached.
_NO_PROCESS = re.compile(
    r"(?:[Cc]an(?:no|')t (?:fork|start new thread)|fork)\b.*Resource temporarily unavailable|Cannot fork"
    r"|fork: retry|can't start new thread"
)
#: Not to be set by a token.
_RESERVED = frozenset({"PATH", "HOME", "INSTALL_ROOT", "IMG_OUT_DIR", "IMG_NAME", "LD_PRELOAD", "LD_LIBRARY_PATH"})


def check(build: Build) -> None:
    """Refuse sections that the creator does not know, before any work is done."""
    for script in build.plan.scripts:
        if script.kind not in _KINDS:
            build.refuse(
                script.line, f"the section %{script.kind} cannot be carried out", "use %pre, %post or %pack instead"
            )


def run_all(build: Build, kind: str) -> None:
    """Run the scripts of that kind in their order."""
    scripts = [script for script in build.plan.scripts if script.kind == kind]
    for done, script in enumerate(scripts):
        build.announce(Progress("scripts", done, len(scripts), f"%{kind} of line {script.line}"))
        _run(build, script)
    if scripts:
        build.announce(Progress("scripts", len(scripts), len(scripts), f"%{kind}"))


def _inside(script: Script) -> bool:
    return script.kind == "post" and script.chroot


def _title(script: Script) -> str:
    return f"the %{script.kind} script{'' if script.chroot or script.kind != 'post' else ' (--nochroot)'}"


def _run(build: Build, script: Script) -> None:
    lines: list[str] = []
    with _log(build, script) as log:

        def hear(line: str) -> None:
            lines.append(line)
            del lines[: -run.TAIL_LINES]
            log(line)
            build.say(f"  {line}")

        try:
            _execute(build, script, hear)
        except run.CommandFailed as error:
            failure = _explain(build, script, error, lines)
        except BuildError as error:
            failure = build.error(script.line, f"{_title(script)} cannot be run: {error.message}", error.remedy,
                                  "script-failed")  # fmt: skip
        except OSError as error:
            failure = _not_started(build, script, error)
        else:
            return
    if script.error_on_fail:
        raise _limited(failure, lines)
    build.warn(failure.message)


def _execute(build: Build, script: Script, hear: Callable[[str], None]) -> None:
    interpreter = shlex.split(script.interpreter) or ["/bin/sh"]
    if _inside(script):
        tree = Tree(build.place.root)
        root = build.place.root
        if not tree.has(interpreter[0]):
            raise BuildError(f"{interpreter[0]} is not in the image", "install the package that has it")
        with _script_file(tree.real(_FOLDER), script) as path:

            def enter() -> None:
                os.chroot(root)
                os.chdir("/")
                os.umask(0o022)

            run.stream(
                [*interpreter, f"{_FOLDER}/{path.name}"],
                environment=_environment(build, script),
                on_line=hear,
                preexec=strays.watched(root / "proc", enter),
            )
        return
    with _script_file(build.place.tmp, script) as path:
        run.stream(
            [*interpreter, str(path)],
            environment=_environment(build, script),
            on_line=hear,
            cwd=build.place.out,
            preexec=strays.watched(build.place.root / "proc", lambda: None),
        )


@contextmanager
def _script_file(folder: Path, script: Script) -> Iterator[Path]:
    """The script as a file in `folder`, which is made if it is not there; both are gone afterwards."""
    made = not folder.is_dir()
    if made:
        folder.mkdir(parents=True)
        folder.chmod(0o1777)
    path = folder / f"ks-script-{script.line}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o700)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(script.body if script.body.endswith("\n") else script.body + "\n")
        yield path
    finally:
        path.unlink(missing_ok=True)
        if made and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _environment(build: Build, script: Script) -> dict[str, str]:
    plan = build.plan
    environment = {
        name: value
        for name, value in plan.tokens.items()
        if _VARIABLE.fullmatch(name) and name not in _RESERVED and "\0" not in value
    }
    environment |= {
        "IMG_NAME": plan.name,
        "RELEASE": plan.release,
        "BUILD_ID": plan.build_id,
        "arch": plan.arch,
        "LANG": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(plan.source_date_epoch),
        "PATH": ROOT_PATH,
    }
    # Where the way to the repositories is a proxy, as in a virtual machine.
    environment |= {name: os.environ[name] for name in ("http_proxy", "https_proxy") if name in os.environ}
    if _inside(script):
        return {**environment, "HOME": "/root"}
    return {
        **environment,
        "HOME": str(build.place.home),
        "TMPDIR": str(build.place.tmp),
        "INSTALL_ROOT": str(build.place.root),
        "IMG_OUT_DIR": str(build.place.out),
    }


@contextmanager
def _log(build: Build, script: Script) -> Iterator[Callable[[str], None]]:
    """Where --log wants the output: a file in the image, or for a script outside a file that is delivered."""
    if not script.log:
        yield lambda _line: None
        return
    if _inside(script):
        tree = Tree(build.place.tree)
        tree.make_directory(posixpath.dirname("/" + script.log))
        path = tree.real(script.log)
    else:
        given = Path(script.log)
        mine = any(given.is_relative_to(place) for place in (build.place.root, build.place.out))
        # The builder's own file system is read-only: the log is delivered under its name.
        path = given if mine and ".." not in given.parts else build.place.out / given.name
        path.parent.mkdir(parents=True, exist_ok=True)
    # Unbuffered, so that what is told before a kill is there.
    with path.open("ab", buffering=0) as file:

        def write(line: str) -> None:
            file.write(f"{line}\n".encode("utf-8", "surrogateescape"))

        yield write


def _explain(build: Build, script: Script, error: run.CommandFailed, lines: list[str]) -> BuildError:
    status = f"signal {-error.status}" if error.status < 0 else f"exit status {error.status}"
    text = f"{_title(script)} failed with {status}"
    name = re.escape(f"ks-script-{script.line}")
    # dash: `FILE: 3: …`, bash: `FILE: line 3: …`, Python: `File "FILE", line 3`.
    told = re.compile(rf"{name}\"?(?:: (?:line )?|, line |:)(\d+)(?:, in .*)?(?::\s*)?(.*)$")
    for line in reversed(lines):
        found = told.search(line)
        if found is not None:
            said = found[2].strip() or lines[-1].strip()
            number = script.line + int(found[1])
            return build.error(script.line, f"{text} at line {number} of the kickstart: {said}",
                               "see its output above in the log", "script-failed")  # fmt: skip
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    return build.error(script.line, f"{text}: {last}", "see its output above in the log", "script-failed")


def _limited(failure: BuildError, lines: list[str]) -> BuildError:
    """The failure of a script, as what it is where the script ran into a limit of the job."""
    full = disk_full(RuntimeError("\n".join(lines)))
    if full is not None:
        return BuildError(f"{failure.message}: there is no space left", full.remedy, full.cause)
    if any(_NO_PROCESS.search(line) for line in lines):
        return BuildError(
            f"{failure.message}: no more processes can be started", "raise [limits] processes", "too-many-processes"
        )
    return failure


def _not_started(build: Build, script: Script, error: OSError) -> BuildError:
    what = f"{_title(script)} cannot be run by {script.interpreter}: {error.strerror}"
    if error.errno == 8:  # ENOEXEC
        return build.error(
            script.line,
            f"{what}; it is a program for {build.plan.arch}, which this machine cannot run",
            "install qemu-user-static and binfmt-support, or build on such a machine",
            "unsupported",
        )
    return build.error(script.line, what, "correct --interpreter", "script-failed")
