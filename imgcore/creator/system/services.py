# SPDX-License-Identifier: GPL-2.0-or-later
"""Enables and disables services without running anything of the image: systemd units, or init scripts.

A unit is enabled as `systemctl enable` does it: by the links that its [Install] section asks for. An init script
is enabled by the links in the rc directories that its header asks for. To enable what is not there is an error;
to disable it is done already, which a warning says.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import defaultdict

from imgcore.creator.build import Build
from imgcore.creator.plan import Services
from imgcore.creator.tree import Tree

__all__ = ["configure", "disable", "enable", "exists", "find_unit"]

_CONFIGURED = "/etc/systemd/system"
_FOLDERS = (_CONFIGURED, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
_SUFFIXES = (
    ".service",
    ".socket",
    ".target",
    ".timer",
    ".path",
    ".mount",
    ".automount",
    ".swap",
    ".slice",
    ".device",
)
_INIT_SCRIPTS = ("/etc/rc.d/init.d", "/etc/init.d")


def configure(build: Build, tree: Tree, services: Services) -> None:
    """Carry out a `services` line. Raises BuildError for a service to enable that is not there."""
    for name in services.enabled:
        enable(build, tree, name, services.line)
    for name in services.disabled:
        disable(build, tree, name, services.line)


def exists(tree: Tree, name: str) -> bool:
    """Whether there is a unit or init script of that name."""
    return find_unit(tree, _unit_name(name)) is not None or _init_script(tree, name) is not None


def enable(build: Build, tree: Tree, name: str, line: int) -> None:
    """Have the service started at boot."""
    unit = _unit_name(name)
    if find_unit(tree, unit) is not None:
        _enable_unit(build, tree, unit, line, set())
        return
    if tree.real(f"{_CONFIGURED}/{unit}", follow=False).is_symlink():
        build.refuse(line, f"the service {name} is masked", "remove the link, or do not enable the service")
    script = _init_script(tree, name)
    if script is None:
        build.refuse(line, f"the service {name} is not in the image", "install the package that has it")
    _link_init_script(tree, script, on=True)


def disable(build: Build, tree: Tree, name: str, line: int) -> None:
    """Have the service not started at boot."""
    unit = _unit_name(name)
    if find_unit(tree, unit) is not None:
        _disable_unit(build, tree, unit, line)
        return
    script = _init_script(tree, name)
    if script is None:
        build.warn(f"the service {name} is not in the image: nothing to disable", line)
        return
    _link_init_script(tree, script, on=False)


def find_unit(tree: Tree, unit: str) -> str | None:
    """The path of a unit file (of its template for an instance), None if there is none or it is masked."""
    template = re.sub(r"@[^.]+(\.\w+)$", r"@\1", unit)
    for name in dict.fromkeys((unit, template)):
        for folder in _FOLDERS:
            path = f"{folder}/{name}"
            real = tree.real(path, follow=False)
            if real.is_symlink() and os.readlink(real) == "/dev/null":  # noqa: PTH115 - as it is written
                return None
            if tree.real(path).is_file():
                return path
    return None


def _unit_name(name: str) -> str:
    return name if name.endswith(_SUFFIXES) else f"{name}.service"


def _install_section(text: str) -> dict[str, list[str]]:
    """The words of each setting in [Install]; an empty setting clears what came before, as in systemd."""
    found: dict[str, list[str]] = defaultdict(list)
    section = ""
    joined = re.sub(r"\\\n", " ", text)
    for line in joined.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[Install]" and "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            words = value.split()
            found[key.strip()] = [*found[key.strip()], *words] if words else []
    return found


def _enable_unit(build: Build, tree: Tree, unit: str, line: int, seen: set[str]) -> None:
    path = find_unit(tree, unit)
    if path is None or unit in seen:
        return
    seen.add(unit)
    install = _install_section(tree.read(path))
    file = posixpath.basename(path)
    if "@." in unit:
        default = install.get("DefaultInstance")
        if not default:
            build.refuse(line, f"the service {unit} is a template without an instance", "name it as NAME@INSTANCE")
        unit = unit.replace("@.", f"@{default[0]}.")
    wanted = [(f"{target}.wants", unit) for target in install.get("WantedBy", ())]
    wanted += [(f"{target}.requires", unit) for target in install.get("RequiredBy", ())]
    wanted += [(f"{target}.upholds", unit) for target in install.get("UpheldBy", ())]
    for folder, name in wanted:
        tree.link(f"{_CONFIGURED}/{_expand(folder, unit)}/{name}", path)
    for alias in install.get("Alias", ()):
        tree.link(f"{_CONFIGURED}/{_expand(alias, unit)}", path)
    for other in install.get("Also", ()):
        _enable_unit(build, tree, _expand(other, unit), line, seen)
    if not (wanted or install.get("Alias") or install.get("Also")):
        build.warn(f"{file} has no [Install] section: it is started by other units, or never", line)


def _expand(text: str, unit: str) -> str:
    """The specifiers that occur in [Install]."""
    stem = unit.rpartition(".")[0]
    prefix, _, instance = stem.partition("@")
    known = {"%i": instance, "%I": instance, "%n": unit, "%N": stem, "%p": prefix, "%%": "%"}
    return re.sub(r"%.", lambda found: known.get(found[0], found[0]), text)


def _disable_unit(build: Build, tree: Tree, unit: str, line: int) -> None:
    path = find_unit(tree, unit)
    install = _install_section(tree.read(path)) if path else {}
    names = {unit, *(_expand(alias, unit) for alias in install.get("Alias", ()))}
    names |= {_expand(other, unit) for other in install.get("Also", ())}
    for name in tree.names(_CONFIGURED):
        here = f"{_CONFIGURED}/{name}"
        if tree.has_link(here):
            if name in names and name != unit:
                tree.remove(here)
        elif name.endswith((".wants", ".requires", ".upholds")):
            for linked in tree.names(here):
                if linked in names and tree.has_link(f"{here}/{linked}"):
                    tree.remove(f"{here}/{linked}")
            real = tree.real(here)
            if not any(real.iterdir()):
                real.rmdir()
    for folder in _FOLDERS[1:]:
        for name in tree.names(folder):
            if name.endswith((".wants", ".requires")) and tree.has_link(f"{folder}/{name}/{unit}"):
                build.warn(f"{unit} stays enabled: its package has it started by {name.rpartition('.')[0]}", line)
                return


def _init_script(tree: Tree, name: str) -> str | None:
    name = name.removesuffix(".service")
    if "/" in name or not name:
        return None
    found = tree.first(*(f"{folder}/{name}" for folder in _INIT_SCRIPTS))
    return found if found is not None and tree.real(found).is_file() else None


def _link_init_script(tree: Tree, script: str, *, on: bool) -> None:
    """Links S… in the levels that the script's header asks for and K… in the others."""
    text = tree.read(script)
    name = posixpath.basename(script)
    chkconfig = re.search(r"^#\s*chkconfig:\s*([-\d]+)\s+(\d+)\s+(\d+)", text, re.MULTILINE)
    lsb = re.search(r"^#\s*Default-Start:\s*([\d ]*)", text, re.MULTILINE)
    start, stop = (int(chkconfig[2]), int(chkconfig[3])) if chkconfig else (50, 50)
    levels = set((chkconfig[1] if chkconfig and chkconfig[1] != "-" else lsb[1] if lsb else "2345").replace(" ", ""))
    top = tree.first("/etc/rc.d/rc3.d", "/etc/rc3.d", "/etc/rc.d") or "/etc"
    top = top.removesuffix("/rc3.d")
    base = "../init.d" if script.startswith(f"{top}/init.d") else posixpath.dirname(script)
    for level in "0123456":
        folder = f"{top}/rc{level}.d"
        for old in tree.names(folder):
            if re.fullmatch(rf"[SK]\d\d{re.escape(name)}", old):
                tree.remove(f"{folder}/{old}")
        kind = f"S{start:02}" if on and level in levels else f"K{stop:02}"
        tree.link(f"{folder}/{kind}{name}", f"{base}/{name}")
