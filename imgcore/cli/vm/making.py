# SPDX-License-Identifier: GPL-2.0-or-later
"""A base image from its recipe: made, looked at in a machine of it, and only then the one of its name."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from imgcore.cli import image
from imgcore.cli.terminal import note, shown
from imgcore.config import Config
from imgcore.errors import BuildError, InputError
from imgcore.executor.local import vm
from imgcore.executor.vm import bases, debootstrap, disk, probe
from imgcore.executor.vm.bases import Base
from imgcore.job import Status
from imgcore.progress import Observer, Progress
from imgcore.spool import Spool
from participants import build_image

__all__ = ["add", "make", "origin", "probed", "tell"]


def add(config: Config, name: str, recipe: Mapping[str, Any], *, quiet: bool, json_wanted: bool) -> None:
    """Make a base image of a new name, and tell of it. Raises InputError where there is one already."""
    if name in bases.known(config.vm.bases):
        raise InputError(f"there is a base image {name} already", f"`img vm update {name}` makes that anew")
    made = make(config, name, recipe, quiet=quiet or json_wanted)
    tell(made, quiet=quiet, json_wanted=json_wanted)


def make(config: Config, name: str, recipe: Mapping[str, Any], *, quiet: bool) -> Base:
    """Make the base image; one that is there stays until the new one was looked at. Raises ImagerError."""
    with shown(quiet=quiet, verbose=False) as observer, bases.adding(config.vm.bases, name) as place:
        file = _MAKERS[recipe["how"]](config, recipe, place, observer)
        file.chmod(0o644)  # QEMU may run as another user
        draft = Base(name, file, *disk.look(file), recipe)
        observer.progress(Progress("check"))
        draft = dataclasses.replace(draft, found=probed(config, draft, observer))
        observer.progress(Progress("keep"))
        return bases.publish(config.vm.bases, draft)


def probed(config: Config, base: Base, observer: Observer) -> dict[str, Any]:
    """What a machine of the base image tells of itself. Raises BuildError."""
    config.cache.mkdir(parents=True, exist_ok=True)
    settings = dataclasses.replace(config.vm, network="none")
    return probe.probe(vm(probe.COMMANDS, settings, base), config.cache, observer.log)


def tell(base: Base, *, quiet: bool, json_wanted: bool) -> None:
    """Say what there is now."""
    if json_wanted:
        click.echo(json.dumps(base.told(), indent=1))
    elif not quiet:
        click.echo(base.file)
        note(f"{base.name}: {describe(base.found)}")


def describe(found: Mapping[str, Any]) -> str:
    """What was found in a base image, in a line."""
    builtin = f"no ({found['builtin']})" if found.get("builtin", "not looked at") else "yes"
    return (
        f"{found.get('os') or 'a system without a name'}; Python {found.get('python') or 'none'}; "
        f"tool builtin: {builtin}; programs: {', '.join(found.get('programs', ())) or 'none'}"
    )


def origin(recipe: Mapping[str, Any]) -> str:
    """Of what a base image was made, in a few words."""
    return f"{recipe['how']} {recipe.get('suite') or recipe.get('kickstart') or recipe.get('file') or ''}".rstrip()


def _by_debootstrap(config: Config, recipe: Mapping[str, Any], place: Path, observer: Observer) -> Path:
    observer.progress(Progress("debootstrap"))
    return debootstrap.make(recipe, place, observer.log)


def _of_kickstart(config: Config, recipe: Mapping[str, Any], place: Path, observer: Observer) -> Path:
    """By a job like any other: its file system image is the base."""
    config = dataclasses.replace(config, tool="builtin", vm=dataclasses.replace(config.vm, base=""))
    given = {
        "name": None, "arch": "x86_64", "image_type": "loop", "tokenmap": recipe["tokenmap"], "prefix": "bases",
        "extra_repo": (), "package": recipe["packages"], "group": (), "extra_opts": (), "tag": ("base",), "email": (),
        "timeout": None,
    }  # fmt: skip
    asked = image.asked_for(config, Path(recipe["kickstart"]), given)
    builder = build_image.ParticipantHandler()
    builder.config, builder.observer = config, observer
    made = image.augmented(config, asked)
    builder.check(made)
    image_id = image.recorded(config, asked, made)
    builder.handle_wi(made)
    job = Spool(config.spool).read(image_id)
    if job.status is not Status.DONE:
        raise BuildError(f"{image_id}: {job.error}", job.error_remedy, job.error_cause)
    (name,) = [each["name"] for each in job.artifacts if each["kind"] == "image"]
    disk.copy(Path(job.directory, name), place / "disk")
    return place / "disk"


def _by_import(config: Config, recipe: Mapping[str, Any], place: Path, observer: Observer) -> Path:
    observer.progress(Progress("copy"))
    try:
        disk.copy(Path(recipe["file"]), place / "disk")
        disk.look(place / "disk")
    except InputError as error:
        raise InputError(f"{recipe['file']}: {error.message}", error.remedy) from error
    return place / "disk"


_MAKERS = {"debootstrap": _by_debootstrap, "kickstart": _of_kickstart, "import": _by_import}
