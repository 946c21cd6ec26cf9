# SPDX-License-Identifier: GPL-2.0-or-later
"""A kickstart becomes a `Plan` for the built-in creator: everything is carried out, or refused by name and line.

What has no meaning for an image (an installer's screens, a reboot) is told as a warning. All mistakes come in
one InputError. Secrets (passwords, credentials of repositories) are in the plan as they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from imgcore.creator.plan import Plan, Script
from imgcore.errors import InputError
from imgcore.kickstart import layout, software, system
from imgcore.kickstart.judged import CARRIED, judge, judge_section
from imgcore.kickstart.mistakes import KickstartError, Notes, Place, TooMany, shown
from imgcore.kickstart.model import Command, Kickstart, ScriptSection, Section
from imgcore.kickstart.options import options

__all__ = ["IMAGE_TYPES", "judged", "plan"]

IMAGE_TYPES = ("fs", "loop", "raw")
#: Scripts that run. Those in the image use its shell; the others run here, where mic uses bash.
_SCRIPTS = {"pre": False, "post": True, "pack": False}
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def plan(
    kickstart: Kickstart,
    *,
    name: str,
    arch: str,
    image_type: str,
    tokens: Mapping[str, str] | None = None,
    extra_opts: Sequence[str] = (),
    source_date_epoch: int = 0,
    build_id: str = "",
) -> tuple[Plan, tuple[str, ...]]:
    """The plan, and the warnings that a person should read. Raises InputError."""
    if image_type not in IMAGE_TYPES:
        raise InputError(
            f"image type {shown(image_type)} is not one of the built-in creator",
            f"use {', '.join(IMAGE_TYPES)}, or the tool mic",
        )
    chosen = options(extra_opts, image_type)
    notes = Notes("value")
    try:
        made = Plan(
            name=name,
            arch=arch,
            image_type=image_type,
            source_date_epoch=source_date_epoch,
            kickstart=kickstart.name,
            build_id=build_id,
            release=chosen.release or (tokens or {}).get("RELEASE", ""),
            **judged(kickstart, image_type, notes),
            scripts=tuple(_script(each) for each in kickstart.scripts if each.kind in _SCRIPTS),
            attachments=software.attachments(kickstart),
            tokens={key: value for key, value in (tokens or {}).items() if _ENVIRONMENT_NAME.fullmatch(key)},
            pack_to=chosen.pack_to.replace("@NAME@", name),
            compress=chosen.compress,
            copy_kernel=chosen.copy_kernel,
        )
    except TooMany:
        raise KickstartError(notes.mistakes, bounded=True) from None
    notes.check()
    if not made.repositories:
        raise InputError(f"{kickstart.name} has no repo line", "add one, or give --extra-repo")
    return made, (*kickstart.warnings, *notes.warnings, *chosen.warnings)


def judged(kickstart: Kickstart, image_type: str, notes: Notes) -> dict[str, Any]:
    """What the kickstart itself says of a Plan; what cannot be, or is not done, is noted. Raises TooMany."""
    commands = _judged(kickstart, image_type, notes)
    last = kickstart.commands[-1].place.line if kickstart.commands else 1
    parts = layout.partitions(commands, image_type, Place(kickstart.name, last, last), notes)
    return {
        "packages": software.packages(kickstart, notes),
        "repositories": software.repositories(commands, notes),
        "system": system.system(commands, notes),
        "partitions": parts,
        "boot_loader": layout.boot_loader(commands, parts, image_type, notes),
    }


def _judged(kickstart: Kickstart, image_type: str, notes: Notes) -> list[Command]:
    """The commands that are to be carried out; of one that can stand only once, the last."""
    commands = [each for each in kickstart.commands if judge(each, image_type, notes)]
    last: dict[str, Command] = {each.name: each for each in commands}
    kept = []
    for command in commands:
        if CARRIED[command.name].many or last[command.name] is command:
            kept.append(command)
        else:
            line = last[command.name].place.line
            what = f"{command.name} stands again in line {line}, and that one is used"
            notes.warning(command.place, what, word=command.name, rule="duplicate")
    for script in kickstart.scripts:
        if script.kind not in _SCRIPTS:
            judge_section(Section(script.kind, script.place), notes)
        elif script.interpreter and not script.interpreter.startswith("/"):
            what = f"{shown(script.interpreter)} of %{script.kind} is not something that the built-in creator runs"
            remedy = "give --interpreter a path"
            notes.mistake(script.place, what, remedy, word=script.interpreter, rule="tool")
    for section in kickstart.sections:
        judge_section(section, notes)
    return kept


def _script(section: ScriptSection) -> Script:
    chroot = section.chroot and _SCRIPTS[section.kind]
    return Script(
        kind=section.kind,
        body=section.body,
        interpreter=section.interpreter or ("/bin/sh" if chroot else "/bin/bash"),
        chroot=chroot,
        error_on_fail=section.error_on_fail,
        log=section.log,
        line=section.place.outer,
    )
