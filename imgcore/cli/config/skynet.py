# SPDX-License-Identifier: GPL-2.0-or-later
"""What is wrong with the participants' configuration: skynet.conf, and one file each.

Other people's participants have options of their own there: only what is ours, or looks like it, is judged.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from imgcore import configcheck, inifile
from imgcore.errors import InputError
from imgcore.inifile import Finding, Ini, nearest
from SkyNET import configuration

__all__ = ["SECTIONS", "environments", "examine", "files", "surrounded"]

SECTIONS = frozenset(configuration.OPTIONS)
#: Our participants, with the options that each has beside those of all.
_OURS = {"build_image": ("engine",), "build_ks": (), "request_image": (), "update_image_status": ()}


def files(directory: Path) -> list[Path]:
    """The files that participants of this machine read."""
    found = sorted(directory.glob("*.conf"))
    try:
        include = configuration.read(directory).text("skynet", "include_dir", "")
    except configuration.ConfigurationError:
        include = ""
    return found + (sorted(Path(include).glob("*.conf")) if include else [])


def examine(directory: Path, paths: Sequence[Path]) -> Iterator[Finding]:
    """What is wrong with these files; `directory` has skynet.conf."""
    whole = []
    for path in paths:
        try:
            ini = inifile.read(path, strict=False)
        except InputError as error:
            yield _unreadable(path, error)
        else:
            if ini is not None:
                yield from _unknown(ini)
                whole.append(ini)
    for ini in whole:
        if "boss" in ini.sections:
            yield from _secrets(ini)
    for ini in whole:
        if "participant" in ini.sections:
            yield from _values(ini, directory, whole)


def environments(directory: Path, paths: Sequence[Path]) -> dict[Path, Mapping[str, str]]:
    """The variables of each of our participants that has some of Imager's in a NAME.env, by the path of that.

    What is wrong with such a file, `examine` says.
    """
    found: dict[Path, Mapping[str, str]] = {}
    for path in paths:
        with contextlib.suppress(InputError, configuration.ConfigurationError):
            ini = inifile.read(path, strict=False)
            name = ini.sections.get("participant", {}).get("name", "") if ini else ""
            if name in _OURS:
                common, own = directory / "skynet.env", directory / f"{name}.env"
                more = configuration.environment(own)
                variables = {**configuration.environment(common), **more}
                if any(each.startswith("IMAGER_") for each in variables):
                    found[own if more else common] = variables
    return found


@contextlib.contextmanager
def surrounded(variables: Mapping[str, str]) -> Iterator[None]:
    """Inside, these variables are set, too; afterwards all are as they were."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _unreadable(path: Path, error: InputError) -> Finding:
    # It may be for the services alone.
    closed = not configcheck.missing(path) and not os.access(path, os.R_OK)
    return Finding(path, error.message, configcheck.AS_SERVICE if closed else error.remedy, serious=not closed)


def _unknown(ini: Ini) -> Iterator[Finding]:
    name = ini.sections.get("participant", {}).get("name", "")
    for section, options in ini.sections.items():
        if section not in SECTIONS:
            if difflib.get_close_matches(section, SECTIONS, 1, 0.8):
                yield ini.finding(" is not known", nearest(section, SECTIONS), section)
            continue
        known = [*configuration.OPTIONS[section], *(_OURS.get(name, ()) if section == "participant" else ())]
        for option in options:
            if option not in known and (section != "participant" or name in _OURS):
                yield ini.finding(" is not known", nearest(option, known), section, option)


def _secrets(ini: Ini) -> Iterator[Finding]:
    options = ini.sections["boss"]
    if options.get("amqp_pwd") and not options.get("amqp_pwd_file") and ini.path.stat().st_mode & stat.S_IROTH:
        remedy = f"chmod o= {ini.path}, or name a file with amqp_pwd_file"
        yield ini.finding(": everybody can read it here", remedy, "boss", "amqp_pwd", serious=True)
    if place := options.get("amqp_pwd_file"):
        told = configcheck.exposed(Path(place), stat.S_IRWXO)
        if told and configcheck.missing(Path(place)):
            # As installed: a machine without a broker needs none.
            told = (told[0], "`img setup broker`, or write the broker's password into it", False)
        if told:
            yield ini.finding(f": {told[0]}", told[1], "boss", "amqp_pwd_file", serious=told[2])


def _values(ini: Ini, directory: Path, whole: Sequence[Ini]) -> Iterator[Finding]:
    """What the participant would say when it starts; of its password there was more to say."""
    # It sets variables for the participant's code.
    with surrounded({}):
        try:
            configuration.load(ini.path, directory, {"boss": {"amqp_pwd_file": "", "amqp_pwd": "-"}})
        except configuration.ConfigurationError as error:
            at = next((each for each in (ini, *whole) if error.option in each.sections.get(error.section, ())), ini)
            if error.option:
                yield at.finding(f": {error.why}", "", error.section, error.option, serious=True)
            else:
                yield Finding(ini.path, str(error), serious=True)
