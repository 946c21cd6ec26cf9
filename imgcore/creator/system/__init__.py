# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kickstart says of the installed system: language, clock, accounts, services, network and so on.

Everything is written into files of the image directly; the builder's own configuration is neither read nor
changed. A command that the image cannot follow, because it lacks the package, is an error that names the line.
"""

from __future__ import annotations

import os
import posixpath
import re
import shlex

from imgcore import run
from imgcore.creator.build import ROOT_PATH, Build
from imgcore.creator.plan import Item
from imgcore.creator.system import desktop, firewall, network, services, users
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError
from imgcore.progress import Progress

__all__ = ["configure"]

_ZONES = "/usr/share/zoneinfo"
_UTC = ("UTC", "Etc/UTC", "Etc/UCT", "UCT", "Zulu", "Etc/Zulu", "Universal", "Etc/Universal")
_FIRST_BOOT = ("initial-setup", "initial-setup-graphical", "firstboot", "firstboot-graphical")
#: Authentication options that every present-day image fulfils as it is.
_HOLDS_ANYWAY = frozenset({"--useshadow", "--enableshadow", "--passalgo=sha512", "--enablemd5", "--update"})


def configure(build: Build, tree: Tree) -> None:
    """Carry out the plan's `system`. Raises BuildError."""
    system = build.plan.system
    build.announce(Progress("configure", 0, 1))
    if system.lang is not None:
        _set(tree, "/etc/locale.conf", {"LANG": system.lang.name})
        if tree.has("/etc/sysconfig/i18n"):
            _set(tree, "/etc/sysconfig/i18n", {"LANG": f'"{system.lang.name}"'})
    if system.keyboard is not None:
        _set(tree, "/etc/vconsole.conf", {"KEYMAP": system.keyboard.name})
        if tree.has("/etc/sysconfig/keyboard"):
            _set(tree, "/etc/sysconfig/keyboard", {"KEYTABLE": f'"{system.keyboard.name}"'})
    if system.timezone is not None:
        _set_timezone(build, tree, system.timezone)
    users.configure(build, tree)
    if system.authentication is not None:
        _set_authentication(build, tree, system.authentication)
    if system.selinux is not None:
        _set_selinux(build, tree, system.selinux)
    network.configure(build, tree)
    if system.firewall is not None:
        firewall.configure(build, tree, system.firewall)
    if system.desktop is not None:
        desktop.configure(build, tree, system.desktop)
    if system.first_boot is not None:
        _set_first_boot(build, tree, system.first_boot)
    # Last, so that what the line says of a service holds.
    if system.services is not None:
        services.configure(build, tree, system.services)
    build.announce(Progress("configure", 1, 1))


def _set(tree: Tree, path: str, values: dict[str, str]) -> None:
    """Set variables in a file of NAME=VALUE lines, and leave its other lines alone."""
    lines = tree.lines(path)
    missing = dict(values)
    for number, line in enumerate(lines):
        name = line.partition("=")[0].strip()
        if name in missing:
            lines[number] = f"{name}={missing.pop(name)}"
    lines += [f"{name}={value}" for name, value in missing.items()]
    tree.write(path, "".join(f"{line}\n" for line in lines))


def _set_timezone(build: Build, tree: Tree, zone: Item) -> None:
    if tree.real(f"{_ZONES}/{zone.name}").is_file() and ".." not in zone.name.split("/"):
        tree.link("/etc/localtime", f"..{_ZONES}/{zone.name}")
    elif zone.name in _UTC:
        # Without the file every C library takes UTC.
        tree.remove("/etc/localtime")
    elif tree.has(_ZONES):
        build.refuse(zone.line, f"the time zone {zone.name} is not in the image", "see /usr/share/zoneinfo")
    else:
        build.refuse(zone.line, f"the image does not know the time zone {zone.name}", "install the package tzdata")
    if tree.has("/etc/timezone"):
        tree.write("/etc/timezone", f"{zone.name}\n")
    if tree.has("/etc/sysconfig/clock"):
        clock = "true" if build.plan.system.clock_utc else "false"
        _set(tree, "/etc/sysconfig/clock", {"ZONE": f'"{zone.name}"', "UTC": clock})
    if not build.plan.system.clock_utc or tree.has("/etc/adjtime"):
        tree.write("/etc/adjtime", f"0.0 0 0.0\n0\n{'UTC' if build.plan.system.clock_utc else 'LOCAL'}\n")


def _set_selinux(build: Build, tree: Tree, mode: Item) -> None:
    path = "/etc/selinux/config"
    if not tree.has(path):
        if mode.name == "disabled":
            return
        build.refuse(mode.line, f"the image has no SELinux to be {mode.name}", "install selinux-policy-targeted")
    _set(tree, path, {"SELINUX": mode.name})
    if mode.name != "disabled":
        # Labels need a kernel with the image's policy: the image sets them at its first boot.
        tree.write("/.autorelabel", "")


def _set_first_boot(build: Build, tree: Tree, wanted: bool) -> None:
    found = [name for name in _FIRST_BOOT if services.exists(tree, name)]
    if not found:
        if wanted:
            build.refuse(0, "firstboot: the image has no first-boot program to enable", "install initial-setup")
        return
    for name in found:
        if wanted:
            services.enable(build, tree, name, 0)
        else:
            services.disable(build, tree, name, 0)
    if not wanted:
        _set(tree, "/etc/sysconfig/firstboot", {"RUN_FIRSTBOOT": "NO"})


def _set_authentication(build: Build, tree: Tree, item: Item) -> None:
    try:
        arguments = shlex.split(item.name)
    except ValueError as error:
        build.refuse(item.line, f"the authentication options {item.name!r} cannot be read: {error}")
    words = [word for word in arguments if word not in _HOLDS_ANYWAY]
    old = bool(arguments) and arguments[0].startswith("-")
    program = "/usr/sbin/authconfig" if old else "/usr/bin/authselect"
    if not tree.is_program(program):
        if not words:
            if "--enablemd5" in arguments:
                build.warn("passwords are protected by SHA-512, not by MD5, which is broken", item.line)
            return
        build.refuse(
            item.line,
            f"the image has no {program} to carry out: {item.name}",
            f"install the package {posixpath.basename(program)}, or remove the line",
        )
    root = build.place.root
    argv = [program, *(["--nostart", "--kickstart"] if old else []), *arguments]

    def enter() -> None:
        os.chroot(root)
        os.chdir("/")

    try:
        run.stream(argv, environment={"PATH": ROOT_PATH, "HOME": "/root", "LANG": "C.UTF-8"}, on_line=build.say,
                   preexec=enter)  # fmt: skip
    except (BuildError, OSError) as error:
        text = re.sub(r"\s+", " ", str(error))
        raise build.error(item.line, f"setting up authentication failed: {text}", "see the log") from error
