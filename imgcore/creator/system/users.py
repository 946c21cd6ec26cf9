# SPDX-License-Identifier: GPL-2.0-or-later
"""Accounts: `rootpw`, `user` and `group` lines, written into the image's /etc/passwd and its companions.

Nothing of the image is run and nothing of the builder's accounts is read. Numbers, shells and homes follow the
image's own /etc/login.defs and /etc/default/useradd. The salt of a password is derived from the image's and the
user's name and the epoch, so that the same kickstart gives the same file; never from the password, which a salt
would give away: it is public, and quicker to try than the password's own digest.
"""

from __future__ import annotations

import base64
import hashlib
import os
import posixpath
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imgcore import run
from imgcore.creator.build import Build
from imgcore.creator.plan import Password, User, UserGroup
from imgcore.creator.tree import Tree

__all__ = ["configure", "crypted"]

_PASSWD, _SHADOW, _GROUP, _GSHADOW = "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"
_SECONDS_A_DAY = 86400
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?")


@dataclass(frozen=True)
class _Defaults:
    """What the image says about new accounts."""

    uid_min: int
    gid_min: int
    home: str
    home_mode: int
    shell: str
    skeleton: str


def configure(build: Build, tree: Tree) -> None:
    """Carry out the plan's groups, users and root password, in this order."""
    system = build.plan.system
    if not (system.groups or system.users or system.root_password):
        return
    passwords = (system.root_password,) if system.root_password else ()
    lines = [*(group.line for group in system.groups), *(user.line for user in system.users)]
    line = next((each for each in (*lines, *(password.line for password in passwords)) if each), 0)
    if not tree.has(_PASSWD):
        build.refuse(line, "the image has no /etc/passwd, so it can have no users", "install the package setup")
    defaults = _defaults(tree)
    for group in system.groups:
        _add_group(build, tree, defaults, group)
    for user in system.users:
        _add_user(build, tree, defaults, user)
    if system.root_password is not None:
        _set_root_password(build, tree, system.root_password)


def crypted(password: Password, seed: str) -> str:
    """The field for /etc/shadow: `password` as it is if crypted, else by SHA-512 with a salt made of `seed`."""
    if password.crypted:
        text = password.text
    elif password.text or not password.locked:
        digest = hashlib.sha256(seed.encode("utf-8", "surrogateescape")).digest()
        salt = base64.b64encode(digest, altchars=b"./").decode()[:16]
        text = _sha512_crypt(password.text, salt)
    else:
        text = ""
    return f"!{text}" if password.locked else text


def _seed(build: Build, user: str) -> str:
    return f"{build.plan.source_date_epoch}/{build.plan.name}/{user}"


def _sha512_crypt(text: str, salt: str) -> str:
    try:
        import crypt
    except ImportError:  # gone in Python 3.13
        given = text.encode("utf-8", "surrogateescape") + b"\n"
        lines: list[str] = []
        environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        argv = ["openssl", "passwd", "-6", "-salt", salt, "-stdin"]
        run.stream(argv, environment=environment, on_line=lines.append, stdin=given)
        return lines[-1]
    return str(crypt.crypt(text, f"$6${salt}$"))


def _set_root_password(build: Build, tree: Tree, password: Password) -> None:
    field = crypted(password, _seed(build, "root"))
    if not _change(tree, _SHADOW, "root", 1, field):
        if tree.has(_SHADOW):
            _append(tree, _SHADOW, f"root:{field}:{_today(build)}:0:99999:7:::")
            _change(tree, _PASSWD, "root", 1, "x")
        elif not _change(tree, _PASSWD, "root", 1, field):
            build.refuse(password.line, "the image has no user root", "install the package setup")
        return
    _change(tree, _SHADOW, "root", 2, str(_today(build)))
    _change(tree, _PASSWD, "root", 1, "x")


def _add_group(build: Build, tree: Tree, defaults: _Defaults, group: UserGroup) -> None:
    if _entry(tree, _GROUP, group.name) is not None:
        build.refuse(group.line, f"the group {group.name} is there already", "remove the line")
    if not _NAME.fullmatch(group.name):
        build.refuse(group.line, f"{group.name!r} cannot be the name of a group", "use letters, digits, _ and -")
    taken = _numbers(tree, _GROUP)
    if group.gid is not None and group.gid in taken:
        build.refuse(group.line, f"the group number {group.gid} is taken", "choose another --gid")
    _new_group(tree, group.name, group.gid if group.gid is not None else _free(taken, defaults.gid_min))


def _new_group(tree: Tree, name: str, gid: int) -> None:
    _append(tree, _GROUP, f"{name}:x:{gid}:")
    if tree.has(_GSHADOW):
        _append(tree, _GSHADOW, f"{name}:!::")


def _add_user(build: Build, tree: Tree, defaults: _Defaults, user: User) -> None:
    if _entry(tree, _PASSWD, user.name) is not None:
        build.refuse(user.line, f"the user {user.name} is there already", "choose another name")
    if not _NAME.fullmatch(user.name):
        build.refuse(user.line, f"{user.name!r} cannot be the name of a user", "use letters, digits, _ and -")
    for name in user.groups:
        if _entry(tree, _GROUP, name) is None:
            build.refuse(
                user.line,
                f"the group {name} of user {user.name} is not in the image",
                "add a `group` line, or install the package that makes the group",
            )
    uids = _numbers(tree, _PASSWD)
    if user.uid is not None and user.uid in uids:
        build.refuse(user.line, f"the user number {user.uid} is taken", "choose another --uid")
    gids = _numbers(tree, _GROUP)
    uid = user.uid if user.uid is not None else _free(uids | gids, defaults.uid_min)
    gid = _primary_group(build, tree, user, uid, gids, defaults)
    home = user.home or f"{defaults.home}/{user.name}"
    gecos = user.gecos.replace(":", " ").replace("\n", " ")
    field = crypted(user.password, _seed(build, user.name)) if user.password else "!!"
    shadow = tree.has(_SHADOW)
    shell = user.shell or defaults.shell
    _append(tree, _PASSWD, f"{user.name}:{'x' if shadow else field}:{uid}:{gid}:{gecos}:{home}:{shell}")
    if shadow:
        _append(tree, _SHADOW, f"{user.name}:{field}:{_today(build)}:0:99999:7:::")
    for name in user.groups:
        _join(tree, _GROUP, name, user.name)
        _join(tree, _GSHADOW, name, user.name)
    _make_home(build, tree, defaults, user, home, uid, gid)


def _primary_group(build: Build, tree: Tree, user: User, uid: int, gids: set[int], defaults: _Defaults) -> int:
    entry = _entry(tree, _GROUP, user.name)
    if user.gid is not None:
        if user.gid not in gids:
            if entry is not None:
                build.refuse(user.line, f"the group {user.name} is there with another number", "leave out --gid")
            _new_group(tree, user.name, user.gid)
        return user.gid
    if entry is not None:
        return int(entry[2])
    gid = uid if uid not in gids else _free(gids, defaults.gid_min)
    _new_group(tree, user.name, gid)
    return gid


def _make_home(build: Build, tree: Tree, defaults: _Defaults, user: User, home: str, uid: int, gid: int) -> None:
    real = tree.real(home)
    if real.exists():
        return
    tree.make_directory(posixpath.dirname(home))
    skeleton = tree.real(defaults.skeleton)
    if skeleton.is_dir():
        shutil.copytree(skeleton, real, symlinks=True)
    else:
        real.mkdir()
    real.chmod(defaults.home_mode)
    try:
        _give(real, uid, gid)
    except OSError as error:
        build.refuse(
            user.line,
            f"this build may not give {home} to the user number {uid} ({error.strerror})",
            "install uidmap and give yourself a range in /etc/subuid and /etc/subgid, or use --executor sudo",
        )


def _give(top: Path, uid: int, gid: int) -> None:
    os.chown(top, uid, gid, follow_symlinks=False)
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            os.chown(os.path.join(folder, name), uid, gid, follow_symlinks=False)  # noqa: PTH118 - as walk gives it


def _defaults(tree: Tree) -> _Defaults:
    login = dict(_pairs(tree.lines("/etc/login.defs"), None))
    useradd = dict(_pairs(tree.lines("/etc/default/useradd"), "="))
    shell = useradd.get("SHELL") or tree.first("/bin/bash", "/bin/sh") or "/bin/sh"
    mode = login.get("HOME_MODE", "0700")
    return _Defaults(
        uid_min=_number(login.get("UID_MIN"), 1000),
        gid_min=_number(login.get("GID_MIN"), 1000),
        home=(useradd.get("HOME") or "/home").rstrip("/"),
        home_mode=int(mode, 8) if re.fullmatch(r"[0-7]{3,4}", mode) else 0o700,
        shell=shell,
        skeleton=useradd.get("SKEL") or "/etc/skel",
    )


def _pairs(lines: Sequence[str], separator: str | None) -> list[tuple[str, str]]:
    pairs = []
    for line in lines:
        parts = line.strip().split(separator, 1)
        if len(parts) == 2 and not parts[0].startswith("#"):
            pairs.append((parts[0].strip(), parts[1].strip().strip("\"'")))
    return pairs


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text is not None and text.isdigit() else otherwise


def _free(taken: set[int], least: int) -> int:
    number = least
    while number in taken:
        number += 1
    return number


def _today(build: Build) -> int:
    return build.plan.source_date_epoch // _SECONDS_A_DAY


def _entry(tree: Tree, path: str, name: str) -> list[str] | None:
    return next((line.split(":") for line in tree.lines(path) if line.startswith(f"{name}:")), None)


def _numbers(tree: Tree, path: str) -> set[int]:
    fields = (line.split(":") for line in tree.lines(path))
    return {int(each[2]) for each in fields if len(each) > 2 and each[2].isdigit()}


def _change(tree: Tree, path: str, name: str, index: int, value: str) -> bool:
    """Set one field of an entry; whether there was one."""
    lines = tree.lines(path)
    for number, line in enumerate(lines):
        fields = line.split(":")
        if fields[0] == name and len(fields) > index:
            fields[index] = value
            lines[number] = ":".join(fields)
            tree.write(path, "".join(f"{each}\n" for each in lines))
            return True
    return False


def _join(tree: Tree, path: str, group: str, user: str) -> None:
    entry = _entry(tree, path, group)
    if entry is not None and len(entry) > 3:
        members = [member for member in entry[3].split(",") if member]
        if user not in members:
            _change(tree, path, group, 3, ",".join([*members, user]))


def _append(tree: Tree, path: str, line: str) -> None:
    text = tree.read(path)
    if text and not text.endswith("\n"):
        text += "\n"
    tree.write(path, f"{text}{line}\n")
