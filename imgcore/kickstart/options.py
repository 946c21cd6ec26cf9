# SPDX-License-Identifier: GPL-2.0-or-later
"""The extra options of a job (`extra_opts`) as the built-in creator takes them: mic's, where they make sense."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from imgcore.errors import InputError
from imgcore.kickstart.mistakes import nearest, shown

__all__ = ["ARCHIVES", "COMPRESSIONS", "Options", "options", "release_of"]

#: Endings of an archive's name.
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
COMPRESSIONS = ("gz", "bz2", "xz", "zst")

_WITH_VALUE = frozenset({"--pack-to", "--compress-image", "--compress-disk-image", "--record-pkgs", "--release"})
_FLAGS = frozenset({"--copy-kernel", "--generate-bmap"})
_FILE_NAME = re.compile(r"[A-Za-z0-9_@+][A-Za-z0-9_.@+~:-]{0,199}")
_RELEASE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~:-]{0,99}")


@dataclass(frozen=True)
class Options:
    """What the extra options ask for."""

    #: File name of the archive, `@NAME@` not replaced; empty: no --pack-to.
    pack_to: str = ""
    copy_kernel: bool = False
    compress: str = ""
    release: str = ""
    warnings: tuple[str, ...] = ()


def options(extra_opts: Sequence[str], image_type: str) -> Options:
    """The options. Raises InputError for one that is not known, or that has no meaning for the type."""
    given: dict[str, str] = {}
    rest = list(extra_opts)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in _WITH_VALUE:
            if not equals:
                if not rest:
                    raise InputError(f"extra option {name} needs a value", f"write {name}=VALUE")
                value = rest.pop(0)
        elif name not in _FLAGS:
            raise InputError(
                f"extra option {shown(word)} is not one of the built-in creator{nearest(name, _WITH_VALUE | _FLAGS)}",
                f"it takes {', '.join(sorted(_WITH_VALUE | _FLAGS))}",
            )
        given["--compress-image" if name == "--compress-disk-image" else name] = value
    return _checked(given, image_type)


def release_of(extra_opts: Sequence[str]) -> str:
    """What `--release` says among options that may be of any tool; nothing where it is not there."""
    release = ""
    for index, word in enumerate(extra_opts):
        option, equals, value = word.partition("=")
        if option == "--release":
            release = value if equals else "".join(extra_opts[index + 1 : index + 2])
    return release


def _checked(given: dict[str, str], image_type: str) -> Options:
    warnings: list[str] = []
    pack_to = given.get("--pack-to", "")
    if "--pack-to" in given:
        _matches("--pack-to", pack_to, _FILE_NAME, f"a file name such as @NAME@{ARCHIVES[1]}, without a directory")
        if not pack_to.endswith(ARCHIVES):
            raise InputError(
                f"extra option --pack-to: {shown(pack_to)} has no ending of an archive", f"use {', '.join(ARCHIVES)}"
            )
    compress = given.get("--compress-image", "")
    if "--compress-image" in given:
        if compress not in COMPRESSIONS:
            raise InputError(
                f"extra option --compress-image: {shown(compress)} is not known", f"use {', '.join(COMPRESSIONS)}"
            )
        if image_type != "raw":
            raise InputError(
                f"extra option --compress-image has no meaning for an image of type {image_type}", "use --pack-to"
            )
    if given.get("--record-pkgs", "name") != "name":
        warnings.append(f"--record-pkgs={shown(given['--record-pkgs'])}: the manifest has names and versions only")
    if "--generate-bmap" in given and image_type != "raw":
        warnings.append("--generate-bmap: only a raw image gets a block map")
    if "--release" in given:
        _matches("--release", given["--release"], _RELEASE, "letters, digits and . _ + ~ : -")
    return Options(pack_to, "--copy-kernel" in given, compress, given.get("--release", ""), tuple(warnings))


def _matches(option: str, value: str, pattern: re.Pattern[str], what: str) -> None:
    if not pattern.fullmatch(value):
        raise InputError(f"extra option {option}: {shown(value)!r} cannot be used", f"give {what}")
