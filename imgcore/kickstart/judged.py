# SPDX-License-Identifier: GPL-2.0-or-later
"""What the built-in creator does with each command: carried out, of no meaning, or refused, each by name.

This is the one table of it. A command that is in no list is refused, and so is an option that `CARRIED` does
not name: nothing that a kickstart asks for is skipped in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imgcore.kickstart.mistakes import Notes
from imgcore.kickstart.model import Command, Section

__all__ = [
    "CARRIED",
    "LAYOUT",
    "NO_MEANING",
    "REFUSED",
    "SECTIONS_WITHOUT_MEANING",
    "Carried",
    "judge",
    "judge_section",
]

_IN_A_SCRIPT = "do it in a %post script"
_BY_PART = "lay out the disk with part lines"
_BY_REPO = "name the packages' repository in a repo line"


@dataclass(frozen=True)
class Carried:
    """A command that is carried out: the options (attributes) that are, and those that have no meaning here."""

    options: frozenset[str] = frozenset()
    no_meaning: Mapping[str, str] = field(default_factory=dict)
    #: The command may stand in more than one line.
    many: bool = False
    #: What to do about an option that is refused.
    remedy: str = _IN_A_SCRIPT


def _carried(options: str = "", *, many: bool = False, remedy: str = _IN_A_SCRIPT, **no_meaning: str) -> Carried:
    return Carried(frozenset(options.split()), no_meaning, many, remedy)


_INSTALLER = "it concerns the installer only"
_ALIGNED = "partitions are placed in the order of their lines"

CARRIED: Mapping[str, Carried] = {
    "lang": _carried(remedy="name the language packages in %packages"),
    "keyboard": _carried("vc_keymap x_layouts"),
    "timezone": _carried("isUtc", nontp="nothing starts NTP by itself"),
    "timesource": _carried(ntp_disable="nothing starts NTP by itself", many=True),
    "rootpw": _carried("isCrypted lock"),
    "user": _carried("name groups homedir password isCrypted lock shell uid gecos gid", many=True),
    "group": _carried("name gid", many=True),
    "services": _carried("enabled disabled"),
    "firewall": _carried("enabled ports services trusts use_system_defaults"),
    "selinux": _carried("selinux"),
    "network": _carried(
        "bootProto device essid gateway hostname ip mtu nameserver netmask onboot ipv6 ipv6gateway noipv4",
        many=True,
        activate=_INSTALLER,
        notksdevice=_INSTALLER,
    ),
    "xconfig": _carried("startX defaultdesktop"),
    "skipx": _carried(),
    "desktop": _carried("defaultdesktop autologinuser defaultdm session"),
    "auth": _carried(),
    "authconfig": _carried(),
    "authselect": _carried(),
    "firstboot": _carried("firstboot"),
    "bootloader": _carried(
        "location appendLine timeout default menus ptable disabled nombr",
        leavebootorder="an image has no firmware settings",
        bootDrive="the boot loader goes to the disk of the root",
        driveorder="the boot loader goes to the disk of the root",
        extlinux="the creator chooses the boot loader",
        linear="it is of a boot loader that is gone",
        forceLBA="it is of a boot loader that is gone",
        remedy="leave it out",
    ),
    "part": _carried(
        "size fstype disk label fsopts active align part_type uuid",
        many=True,
        primOnly=_ALIGNED,
        maxSizeMB="an image's partitions do not grow",
        grow="an image's partitions have the sizes of their lines",
        remedy="leave it out",
    ),
    "repo": _carried(
        "name baseurl mirrorlist metalink cost priority includepkgs excludepkgs save install proxy proxy_username"
        " proxy_password gpgkey ssl_verify noverifyssl",
        many=True,
        disable="a repository that is saved is enabled",
        debuginfo="only the repository itself is saved",
        source="only the repository itself is saved",
        remedy="leave it out",
    ),
    "url": _carried("url mirrorlist metalink proxy noverifyssl", remedy="use a repo line instead"),
    "clearpart": _carried(
        "disklabel", devices="there is only a new disk", drives="there is only a new disk", type="the disk is new",
        initAll="the disk is new", cdl="the disk is new", remedy="leave it out",
    ),
}  # fmt: skip
CARRIED = {**CARRIED, "partition": CARRIED["part"]}

_ENDING = "a build simply ends"
#: Commands that mean nothing where an image is made: told, not carried out.
NO_MEANING: Mapping[str, str] = {
    "install": "it is what a build does",
    "text": _INSTALLER,
    "cmdline": _INSTALLER,
    "graphical": _INSTALLER,
    "interactive": _INSTALLER,
    "autostep": _INSTALLER,
    "vnc": _INSTALLER,
    "rdp": _INSTALLER,
    "sshpw": _INSTALLER,
    "updates": _INSTALLER,
    "driverdisk": _INSTALLER,
    "mediacheck": _INSTALLER,
    "logging": "a build has its own log",
    "reboot": _ENDING,
    "poweroff": _ENDING,
    "halt": _ENDING,
    "shutdown": _ENDING,
    "zerombr": "the disk is new",
    "ignoredisk": "there is only the image's disk",
    "eula": "there is nobody to ask",
    "unsupported_hardware": _INSTALLER,
    "key": _INSTALLER,
    "mouse": "the system finds it out",
    "monitor": "the system finds it out",
    "device": "the system finds it out",
    "deviceprobe": "the system finds it out",
    "dmraid": "there is only the image's disk",
    "multipath": "there is only the image's disk",
    "cdrom": "packages come from the repositories",
    "lilocheck": "it is of a boot loader that is gone",
}

#: Commands that lay out a disk, which a file tree (`fs`) has not.
LAYOUT = frozenset(
    {
        *(
            "autopart",
            "btrfs",
            "logvol",
            "mount",
            "raid",
            "reqpart",
            "snapshot",
            "stratisfs",
            "stratispool",
            "volgroup",
        ),
        *("bootloader", "clearpart", "ignoredisk", "part", "partition", "zerombr", "zipl"),
    }
)

#: Commands that are refused, and what to do instead.
REFUSED: Mapping[str, str] = {
    "autopart": _BY_PART,
    "reqpart": _BY_PART,
    "btrfs": "use part --fstype=btrfs",
    "logvol": _BY_PART,
    "volgroup": _BY_PART,
    "raid": _BY_PART,
    "mount": _BY_PART,
    "snapshot": "leave it out",
    "stratisfs": _BY_PART,
    "stratispool": _BY_PART,
    "fcoe": _BY_PART,
    "iscsi": _BY_PART,
    "iscsiname": _BY_PART,
    "nvdimm": _BY_PART,
    "zfcp": _BY_PART,
    "hmc": _BY_REPO,
    "zipl": "leave it out",
    "lilo": "use bootloader",
    "nfs": _BY_REPO,
    "harddrive": _BY_REPO,
    "liveimg": _BY_REPO,
    "method": _BY_REPO,
    "ostreesetup": _BY_REPO,
    "ostreecontainer": _BY_REPO,
    "bootc": _BY_REPO,
    "module": "name the packages in %packages",
    "realm": _IN_A_SCRIPT,
    "rhsm": _IN_A_SCRIPT,
    "syspurpose": _IN_A_SCRIPT,
    "sshkey": _IN_A_SCRIPT,
    "langsupport": "name the language packages in %packages",
    "rescue": "leave it out",
    "upgrade": "leave it out",
}

#: Sections that mean nothing where an image is made.
SECTIONS_WITHOUT_MEANING: Mapping[str, str] = {
    "anaconda": _INSTALLER,
    "traceback": "it runs only when the installer fails",
    "onerror": "it runs only when the installer fails",
}
_SECTION_REMEDIES = {"pre-install": "use %pre or %post", "addon": _IN_A_SCRIPT, "certificate": _IN_A_SCRIPT}


def judge(command: Command, image_type: str, notes: Notes) -> bool:
    """Whether a command is to be carried out; what is not is noted. So are its options that are not."""
    name = command.name
    if image_type == "fs" and name in LAYOUT:
        # A part line of a file tree is still read: it says where a disk will be mounted.
        if name not in ("part", "partition"):
            notes.warning(command.place, f"{name} has no meaning for a file tree", word=name, rule="tool")
            return False
    elif name in NO_MEANING:
        what = f"{name} has no meaning for an image: {NO_MEANING[name]}"
        notes.warning(command.place, what, word=name, rule="tool")
        return False
    carried = CARRIED.get(name)
    if carried is None:
        remedy = REFUSED.get(name, "leave it out")
        what = f"{name} is not something that the built-in creator does"
        notes.mistake(command.place, what, remedy, word=name, rule="tool")
        return False
    for attribute, option in command.given.items():
        if attribute in carried.no_meaning:
            what = f"{option} of {name} has no meaning here: {carried.no_meaning[attribute]}"
            notes.warning(command.place, what, word=option, rule="tool")
        elif attribute not in carried.options:
            what = f"{option} of {name} is not something that the built-in creator does"
            notes.mistake(command.place, what, carried.remedy, word=option, rule="tool")
    return True


def judge_section(section: Section, notes: Notes) -> None:
    """Note that a section is not carried out."""
    if section.kind in SECTIONS_WITHOUT_MEANING:
        reason = SECTIONS_WITHOUT_MEANING[section.kind]
        what = f"%{section.kind} has no meaning for an image: {reason}"
        notes.warning(section.place, what, word=f"%{section.kind}", rule="tool")
    else:
        remedy = _SECTION_REMEDIES.get(section.kind, "leave it out")
        what = f"%{section.kind} is not something that the built-in creator does"
        notes.mistake(section.place, what, remedy, word=f"%{section.kind}", rule="tool")
