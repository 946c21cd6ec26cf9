# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes tiny RPMs and repositories of them with rpmbuild and createrepo_c, for tests that need real ones.

A package is described by `Rpm`; `make_repository` builds all of them with one rpmbuild and fixed times, so that
the same descriptions give the same bytes. Nothing is read from or left in the caller's home.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Comps", "Entry", "Key", "Rpm", "make_key", "make_repository"]

#: When every package says that it was built.
BUILD_TIME = 1_600_000_000


@dataclass(frozen=True)
class Entry:
    """A path in a package: a file with `content` or a copy of `source`, a link to `link`, or else a directory."""

    content: str | None = None
    link: str | None = None
    source: Path | None = None
    mode: int = 0
    owner: str = "root"
    group: str = "root"
    #: Spec file words before the path, such as %doc, %config(noreplace) or %lang(de).
    marks: str = ""


@dataclass(frozen=True)
class Rpm:
    """A package. `files` maps an absolute path to an Entry, or to a text for an ordinary file."""

    name: str
    version: str = "1.0"
    release: str = "1"
    arch: str = "noarch"
    requires: Sequence[str] = ()
    recommends: Sequence[str] = ()
    provides: Sequence[str] = ()
    conflicts: Sequence[str] = ()
    files: Mapping[str, Entry | str] = field(default_factory=dict)
    #: Scriptlets: "pre", "post", "preun", "posttrans", … to a shell text; "post -p /bin/x" gives an interpreter.
    scripts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Comps:
    """A package group for the repository's comps.xml."""

    id: str
    mandatory: Sequence[str] = ()
    default: Sequence[str] = ()
    optional: Sequence[str] = ()
    name: str = ""


@dataclass(frozen=True)
class Key:
    """An OpenPGP key: `home` is the GNUPGHOME that has it, `public` the exported file."""

    home: Path
    name: str
    public: Path


def make_key(directory: Path, name: str = "Test Key <test@example.org>") -> Key:
    """A signing key made on the spot, without a passphrase."""
    home = directory / "gnupg"
    home.mkdir(parents=True, mode=0o700)
    public = directory / "RPM-GPG-KEY-test"
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet"]
    _run([*gpg, "--passphrase", "", "--quick-generate-key", name, "rsa2048", "sign", "never"])
    public.write_bytes(_run([*gpg, "--armor", "--export", name]))
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)
    return Key(home, name, public)


def make_repository(
    directory: Path, specs: Iterable[Rpm], groups: Sequence[Comps] = (), key: Key | None = None
) -> Path:
    """Build `specs` into `directory` and make it a repository; with `key`, sign them. Returns `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    work = directory / ".work"
    work.mkdir()
    paths = []
    for spec in specs:
        path = work / f"{spec.name}-{spec.version}-{spec.release}.spec"
        path.write_text(_spec(spec), encoding="utf-8")
        paths.append(path)
    for arch in sorted({spec.arch for spec in specs}):
        chosen = [str(path) for path, spec in zip(paths, specs, strict=True) if spec.arch == arch]
        _run(
            [
                *["rpmbuild", "-bb", "--quiet", f"--target={arch}"],
                *["--define", f"_topdir {work}", "--define", f"_rpmdir {directory}"],
                *["--define", "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"],
                *["--define", "_buildhost builder", "--define", "use_source_date_epoch_as_buildtime 1"],
                *["--define", "source_date_epoch_from_changelog 0", "--define", "_binary_payload w1.gzdio"],
                *["--define", "clamp_mtime_to_source_date_epoch 1", "--define", "debug_package %{nil}"],
                *["--define", "__os_install_post %{nil}", "--define", "_build_id_links none"],
                *["--define", "_binaries_in_noarch_packages_terminate_build 0"],
                *chosen,
            ],
            home=work,
        )
    if key is not None:
        rpms = [str(path) for path in sorted(directory.glob("*.rpm"))]
        define = ["--define", f"_gpg_name {key.name}", "--define", f"_gpg_path {key.home}"]
        define += ["--define", "__gpg /usr/bin/gpg"]
        _run(["rpmsign", *define, "--addsign", *rpms], home=work)
        subprocess.run(["gpgconf", "--homedir", str(key.home), "--kill", "all"], check=False, capture_output=True)
    shutil.rmtree(work)
    create = ["createrepo_c", "--quiet", "--no-database", "--revision", "1", "--set-timestamp-to-revision"]
    if groups:
        comps = directory / "comps.xml"
        comps.write_text(_comps(groups), encoding="utf-8")
        create += ["--groupfile", "comps.xml"]
    _run([*create, str(directory)], home=directory)
    return directory


def _run(argv: Sequence[str], home: Path | None = None) -> bytes:
    environment = {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "SOURCE_DATE_EPOCH": str(BUILD_TIME),
        "HOME": str(home or "/nonexistent"),
    }
    done = subprocess.run(list(argv), env=environment, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise RuntimeError(f"{argv[0]} failed: {done.stdout.decode()}{done.stderr.decode()}")
    return done.stdout


def _spec(rpm: Rpm) -> str:
    lines = [f"Name: {rpm.name}", f"Version: {rpm.version}", f"Release: {rpm.release}", f"Summary: {rpm.name}"]
    lines += ["License: MIT", "AutoReqProv: no"]
    if rpm.arch == "noarch":
        lines.append("BuildArch: noarch")
    for tag, values in (
        ("Requires", rpm.requires),
        ("Recommends", rpm.recommends),
        ("Provides", rpm.provides),
        ("Conflicts", rpm.conflicts),
    ):
        lines += [f"{tag}: {value}" for value in values]
    lines += ["%description", f"{rpm.name} for tests.", "%install", "mkdir -p %{buildroot}"]
    listed = ["%files"]
    for path, given in rpm.files.items():
        entry = Entry(given) if isinstance(given, str) else given
        directory = entry.content is None and entry.source is None
        mode = entry.mode or (0o755 if directory else 0o644)
        target = f"%{{buildroot}}{path}"
        lines.append(f"mkdir -p $(dirname '{target}')")
        if "%dev" in entry.marks:
            pass  # rpm makes it up, and takes a file for one that was forgotten
        elif entry.content is not None:
            lines += [
                f"cat > '{target}' <<'END-OF-FILE'",
                entry.content.replace("%", "%%").rstrip("\n"),
                "END-OF-FILE",
            ]
        elif entry.source is not None:
            lines.append(f"cp '{entry.source}' '{target}'")
        elif entry.link is not None:
            lines.append(f"ln -s '{entry.link}' '{target}'")
        else:
            lines.append(f"mkdir -p '{target}'")
        if entry.link is None:
            listed.append(
                f"%attr({mode:04o},{entry.owner},{entry.group}) {entry.marks}{' %dir' if directory else ''} {path}"
            )
        else:
            listed.append(path)
    for head, body in rpm.scripts.items():
        lines += [f"%{head}", body]
    return "\n".join([*lines, *listed]) + "\n"


def _comps(groups: Sequence[Comps]) -> str:
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<comps>"]
    for group in groups:
        lines += [f"<group><id>{group.id}</id><name>{group.name or group.id}</name>"]
        lines += ["<description/><default>true</default><uservisible>true</uservisible><packagelist>"]
        for kind in ("mandatory", "default", "optional"):
            lines += [f'<packagereq type="{kind}">{name}</packagereq>' for name in getattr(group, kind)]
        lines += ["</packagelist></group>"]
    return "\n".join([*lines, "</comps>"]) + "\n"
