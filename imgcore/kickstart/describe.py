# SPDX-License-Identifier: GPL-2.0-or-later
"""What a kickstart will build, for people: as JSON values, as a table, and its disks as a picture in text."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from imgcore.credentials import masked
from imgcore.kickstart.model import Kickstart, url_of
from imgcore.kickstart.redact import redact

__all__ = ["as_values", "as_text"]

_APART = frozenset(("repo", "part", "partition"))
_WIDTH = 76


def as_values(kickstart: Kickstart) -> dict[str, Any]:
    """Everything that counts, as JSON has it, without secrets."""
    entries = [entry for section in kickstart.packages for entry in section.entries]
    signs = {"package": "", "environment": "@^"}
    names = [(entry, f"{signs.get(entry.kind, '@')}{entry.name}") for entry in entries]
    return {
        "name": kickstart.name,
        "image_type": kickstart.header.image_type,
        "arch": kickstart.header.arch,
        "repositories": [_repository(each.values) for each in kickstart.commands if each.name == "repo"],
        "groups": [name for entry, name in names if not entry.excluded and entry.kind != "package"],
        "packages": [name for entry, name in names if not entry.excluded and entry.kind == "package"],
        "excluded": [name for entry, name in names if entry.excluded],
        "prepackages": [each.name for each in kickstart.prepackages],
        "attachments": [each.name for each in kickstart.attachments],
        "partitions": [_partition(each.values) for each in kickstart.commands if each.name in ("part", "partition")],
        "system": [redact(shlex.join(each.words)) for each in kickstart.commands if each.name not in _APART],
        "scripts": [
            {
                "kind": each.kind,
                "line": each.place.line,
                "lines": each.body.count("\n"),
                "interpreter": each.interpreter or "/bin/sh",
                "in_image": each.chroot and each.kind == "post",
                "error_on_fail": each.error_on_fail,
            }
            for each in kickstart.scripts
        ],
    }


def _repository(values: Mapping[str, Any]) -> dict[str, Any]:
    extra = {name: values[name] for name in ("cost", "priority") if values.get(name) is not None}
    return {"name": values.get("name", ""), "url": masked(url_of(values)), "save": bool(values.get("save")), **extra}


def _partition(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "mountpoint": str(values.get("mountpoint") or ""),
        "size": values.get("size") or 0,
        "fstype": str(values.get("fstype") or ""),
        "disk": str(values.get("disk") or "sda"),
        "grow": bool(values.get("grow")),
    }


def as_text(values: Mapping[str, Any]) -> str:
    """The table of what `as_values` made."""
    return "".join(f"{line}\n" for line in _lines(values))


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    of = f"{values['image_type'] or 'any type'}, {values['arch'] or 'any architecture'}"
    yield f"{values['name']}: {of}"
    if values["repositories"]:
        yield from ("", "REPOSITORIES")
        width = min(max(len(each["name"]) for each in values["repositories"]), 30)
        for each in values["repositories"]:
            yield f"  {each['name']:<{width}}  {each['url']}" + ("  (saved)" if each["save"] else "")
    for title in ("groups", "packages", "excluded", "prepackages", "attachments"):
        if values[title]:
            yield from ("", f"{title.upper()} ({len(values[title])})")
            yield from _columns(values[title])
    if values["partitions"]:
        yield from ("", "DISKS")
        for disk in dict.fromkeys(each["disk"] for each in values["partitions"]):
            yield from _disk(disk, [each for each in values["partitions"] if each["disk"] == disk])
    if values["system"]:
        yield from ("", "SYSTEM")
        yield from (f"  {each}" for each in values["system"])
    if values["scripts"]:
        yield from ("", "SCRIPTS")
        for each in values["scripts"]:
            where = "in the image" if each["in_image"] else "beside the image"
            fatal = ", its failure is fatal" if each["error_on_fail"] else ""
            lines = f"{each['lines']} line{'' if each['lines'] == 1 else 's'}"
            yield f"  %{each['kind']:<12} line {each['line']:<5} {lines:>10}  {each['interpreter']} {where}{fatal}"


def _columns(names: Sequence[str]) -> Iterator[str]:
    width = min(max(map(len, names)) + 2, _WIDTH)
    across = max(1, _WIDTH // width)
    for start in range(0, len(names), across):
        yield ("  " + "".join(f"{each:<{width}}" for each in names[start : start + across])).rstrip()


def _disk(name: str, parts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A disk as boxes beside each other, the wider the larger."""
    # A size below nothing is a mistake that others tell.
    sizes = [max(each["size"], 0) for each in parts]
    total = sum(sizes)
    yield f"  {name}: {total} MiB"
    labels = [
        (each["mountpoint"], f"{each['size']} MiB{' +' if each['grow'] else ''}", each["fstype"] or "-")
        for each in parts
    ]
    least = [max(map(len, label)) for label in labels]
    room = max(0, _WIDTH - 3 * len(parts) - 1 - sum(least))
    widths = [narrow + room * size // total if total else narrow for narrow, size in zip(least, sizes, strict=True)]
    rule = "  +" + "+".join("-" * (width + 2) for width in widths) + "+"
    yield rule
    for row in range(3):
        cells = (f" {label[row]:<{width}} " for label, width in zip(labels, widths, strict=True))
        yield "  |" + "|".join(cells) + "|"
    yield rule
