# SPDX-License-Identifier: GPL-2.0-or-later
"""mic's `desktop` line and `xconfig --startxonboot`: which session, started how, for whom.

/etc/sysconfig/desktop says which desktop and display manager; who is logged in without asking is told to
whichever of gdm, lightdm, sddm and uxlaunch the image has. What none of the image's programs would read is an error.
"""

from __future__ import annotations

import configparser
import io
import re

from imgcore.creator.build import Build
from imgcore.creator.plan import Desktop
from imgcore.creator.system import services
from imgcore.creator.tree import Tree

__all__ = ["configure"]

_FILE = "/etc/sysconfig/desktop"


def configure(build: Build, tree: Tree, desktop: Desktop) -> None:
    """Carry out the line. Raises BuildError where the image lacks what it needs."""
    values = {
        "DESKTOP": desktop.default_desktop,
        "DISPLAYMANAGER": desktop.display_manager,
        "SESSION": desktop.session,
    }
    if any(values.values()):
        kept = [line for line in tree.lines(_FILE) if not values.get(line.partition("=")[0])]
        lines = [*kept, *(f'{name}="{value}"' for name, value in values.items() if value)]
        tree.write(_FILE, "".join(f"{line}\n" for line in lines))
    if desktop.display_manager and services.exists(tree, desktop.display_manager):
        services.enable(build, tree, desktop.display_manager, desktop.line)
    if desktop.autologin_user:
        _log_in(build, tree, desktop)
    if desktop.start_x:
        _start_x(build, tree, desktop)


def _log_in(build: Build, tree: Tree, desktop: Desktop) -> None:
    user, session = desktop.autologin_user, desktop.session
    if not any(line.startswith(f"{user}:") for line in tree.lines("/etc/passwd")):
        build.refuse(desktop.line, f"the user {user} to log in is not in the image", "add a `user` line")
    told = False
    if tree.has("/etc/gdm/custom.conf", "/usr/sbin/gdm"):
        _set(tree, "/etc/gdm/custom.conf", "daemon", {"AutomaticLoginEnable": "true", "AutomaticLogin": user})
        told = True
    if tree.has("/etc/lightdm/lightdm.conf", "/usr/sbin/lightdm"):
        values = {"autologin-user": user} | ({"autologin-session": session} if session else {})
        _set(tree, "/etc/lightdm/lightdm.conf", "Seat:*", values)
        told = True
    if tree.has("/etc/sddm.conf", "/usr/bin/sddm"):
        values = {"User": user} | ({"Session": session} if session else {})
        _set(tree, "/etc/sddm.conf", "Autologin", values)
        told = True
    if tree.has("/etc/sysconfig/uxlaunch", "/usr/sbin/uxlaunch"):
        new = {"user": user} | ({"session": session} if session else {})
        kept = [line for line in tree.lines("/etc/sysconfig/uxlaunch") if line.partition("=")[0] not in new]
        tree.write("/etc/sysconfig/uxlaunch", "".join(f"{line}\n" for line in kept)
                   + "".join(f"{name}={value}\n" for name, value in new.items()))  # fmt: skip
        told = True
    if not told:
        build.refuse(
            desktop.line,
            f"nothing in the image could log in {user} without asking",
            "install gdm, lightdm, sddm or uxlaunch, or remove --autologinuser",
        )


def _set(tree: Tree, path: str, section: str, values: dict[str, str]) -> None:
    """Set options in an ini file; comments are lost, as with the desktops' own tools."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(tree.read(path))
    if not parser.has_section(section):
        parser.add_section(section)
    for name, value in values.items():
        parser.set(section, name, value)
    text = io.StringIO()
    parser.write(text, space_around_delimiters=False)
    tree.write(path, text.getvalue())


def _start_x(build: Build, tree: Tree, desktop: Desktop) -> None:
    target = services.find_unit(tree, "graphical.target")
    if target is not None:
        tree.link("/etc/systemd/system/default.target", target)
    elif tree.has("/etc/inittab"):
        text = re.sub(r"^id:\d:initdefault:", "id:5:initdefault:", tree.read("/etc/inittab"), flags=re.MULTILINE)
        tree.write("/etc/inittab", text)
    else:
        build.refuse(desktop.line, "the image has no graphical target to start", "install systemd")
