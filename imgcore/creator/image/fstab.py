# SPDX-License-Identifier: GPL-2.0-or-later
"""/etc/fstab from the `part` lines.

Lines of packages for other mount points (a tmpfs, say) stay; comments do not.
"""

from __future__ import annotations

from imgcore.creator.image import filesystem
from imgcore.creator.plan import Plan

__all__ = ["render"]

_OCTAL = {" ": "\\040", "\t": "\\011", "\\": "\\134"}


def render(plan: Plan, present: str = "") -> str:
    """The file's text; `present` is what packages put there."""
    lines = ["# Written by Imager from the part lines of the kickstart."]
    ours = set()
    for part in sorted(plan.partitions, key=lambda part: part.mountpoint):
        what = filesystem.kind(part)
        if what in ("biosboot", "raw"):
            continue
        mountpoint = "none" if what == "swap" else part.mountpoint
        check = 0 if what in ("swap", "btrfs") else 1 if mountpoint == "/" else 2
        options = part.options or "defaults"
        if what == "swap":
            options = "sw" if options == "defaults" else options
        source = f"UUID={filesystem.uuid_text(plan, part)}"
        lines.append(f"{source} {_escaped(mountpoint)} {what} {options} 0 {check}")
        ours.add(_escaped(mountpoint))
    for line in present.splitlines():
        words = line.split()
        if len(words) > 1 and not words[0].startswith("#") and words[1] not in ours:
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def _escaped(path: str) -> str:
    return "".join(_OCTAL.get(character, character) for character in path)
