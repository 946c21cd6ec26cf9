# SPDX-License-Identifier: GPL-2.0-or-later
"""What to build, decided: the border between the kickstart and the creator.

A `Plan` is plain frozen data that goes through JSON unchanged (`to_json`, `from_json`). Whatever made it has
validated it: the creator checks nothing again. `line` is always the kickstart line an item comes from (0: from
the command line or a default), so that a creator's error can name it. A leaf: standard library only.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

__all__ = [
    "Attachment", "BootLoader", "Desktop", "Firewall", "Group", "Interface", "Item", "Packages", "Partition",
    "Password", "Plan", "Repository", "Script", "Services", "System", "User", "UserGroup", "Workplace",
    "from_json", "to_json",
]  # fmt: skip


@dataclass(frozen=True)
class Workplace:
    """The directories of a build, as the sandbox lays them out (see imgcore.executor)."""

    inputs: Path = Path("/run/imager/in")
    out: Path = Path("/run/imager/out")
    build: Path = Path("/run/imager/build")
    #: The root tree as scripts and rpm see it: with /proc, /sys and a minimal /dev mounted.
    root: Path = Path("/run/imager/root")
    #: The same directory without the mounts: what goes into the image.
    tree: Path = Path("/run/imager/build/root")
    cache: Path = Path("/run/imager/cache")
    tmp: Path = Path("/run/imager/tmp")
    home: Path = Path("/run/imager/home")


@dataclass(frozen=True)
class Item:
    """A name with the line that asked for it."""

    name: str
    line: int = 0


@dataclass(frozen=True)
class Group:
    """A package group; `include` is `default`, `required` (--nodefaults) or `all` (--optional)."""

    name: str
    include: str = "default"
    line: int = 0


@dataclass(frozen=True)
class Repository:
    """One `repo` line, or one added by the job. Tokens are replaced; `url` may hold credentials."""

    name: str
    url: str = ""
    mirrorlist: str = ""
    cost: int | None = None
    priority: int | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    proxy: str = ""
    proxy_user: str = ""
    proxy_password: str = ""
    #: URLs, with commas between them.
    gpg_key: str = ""
    ssl_verify: bool = True
    #: Leave a .repo file for this repository in the image (mic's --save; never with credentials).
    save: bool = False
    line: int = 0
    #: The same with the URLs of the kickstart, where the sandbox finds something in another place.
    as_given: Repository | None = None

    @property
    def gpg_keys(self) -> tuple[str, ...]:
        """The URLs of its keys."""
        return tuple(self.gpg_key.replace(",", " ").split())


@dataclass(frozen=True)
class Packages:
    """What goes into the root tree."""

    names: tuple[Item, ...] = ()
    groups: tuple[Group, ...] = ()
    excluded: tuple[Item, ...] = ()
    #: Unpacked first, without scripts (mic's %prepackages).
    first: tuple[Item, ...] = ()
    #: False after --nocore; otherwise the group `core` is installed where a repository has it.
    core: bool = True
    exclude_docs: bool = False
    ignore_missing: bool = False
    #: `_install_langs`: None keeps all, a colon-separated list keeps those, "" keeps none.
    languages: str | None = None
    line: int = 0


@dataclass(frozen=True)
class Password:
    """A password as given; `crypted` says that it is a crypt(5) string already."""

    text: str = ""
    crypted: bool = False
    locked: bool = False
    line: int = 0


@dataclass(frozen=True)
class User:
    """A `user` line."""

    name: str
    password: Password | None = None
    uid: int | None = None
    gid: int | None = None
    groups: tuple[str, ...] = ()
    home: str = ""
    shell: str = ""
    gecos: str = ""
    line: int = 0


@dataclass(frozen=True)
class UserGroup:
    """A `group` line."""

    name: str
    gid: int | None = None
    line: int = 0


@dataclass(frozen=True)
class Services:
    """Units (or init scripts) to enable and disable."""

    enabled: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True)
class Firewall:
    """A `firewall` line."""

    enabled: bool = True
    ports: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True)
class Interface:
    """A `network` line; `boot_protocol` is `dhcp`, `static` or `none`."""

    device: str = ""
    boot_protocol: str = "dhcp"
    on_boot: bool = True
    address: str = ""
    netmask: str = ""
    gateway: str = ""
    name_servers: tuple[str, ...] = ()
    ipv6: str = ""
    ipv6_gateway: str = ""
    mac: str = ""
    mtu: int = 0
    essid: str = ""
    hostname: str = ""
    line: int = 0


@dataclass(frozen=True)
class Desktop:
    """mic's `desktop` line (and `xconfig --startxonboot/--defaultdesktop`)."""

    session: str = ""
    default_desktop: str = ""
    display_manager: str = ""
    autologin_user: str = ""
    start_x: bool = False
    line: int = 0


@dataclass(frozen=True)
class System:
    """What the installed system is told about itself. None or empty: leave it as the packages made it."""

    lang: Item | None = None
    keyboard: Item | None = None
    timezone: Item | None = None
    clock_utc: bool = True
    root_password: Password | None = None
    users: tuple[User, ...] = ()
    groups: tuple[UserGroup, ...] = ()
    services: Services | None = None
    firewall: Firewall | None = None
    #: `enforcing`, `permissive` or `disabled`.
    selinux: Item | None = None
    network: tuple[Interface, ...] = ()
    desktop: Desktop | None = None
    #: authselect/authconfig arguments, to be run in the root.
    authentication: Item | None = None
    first_boot: bool | None = None


@dataclass(frozen=True)
class Partition:
    """A `part` line. Sizes are MiB; `mountpoint` is a path, `swap`, `biosboot`, or empty for a raw partition."""

    mountpoint: str
    size: int
    fstype: str = "ext4"
    disk: str = "sda"
    label: str = ""
    #: Mount options for fstab.
    options: str = "defaults"
    #: Boot flag (MBR) or legacy-boot attribute (GPT).
    active: bool = False
    #: Start alignment in KiB.
    align: int = 1024
    #: GPT type GUID or MBR type byte as text; empty: by content.
    part_type: str = ""
    uuid: str = ""
    line: int = 0


@dataclass(frozen=True)
class BootLoader:
    """A `bootloader` line. `location` is `mbr` or `none`."""

    location: str = "mbr"
    append: str = ""
    timeout: int = 0
    #: `msdos` or `gpt`.
    table: str = "msdos"
    #: mic's --menus: (long title, short name, extra kernel options).
    menus: tuple[tuple[str, str, str], ...] = ()
    default: str = ""
    line: int = 0


@dataclass(frozen=True)
class Script:
    """A script section; `kind` is `pre`, `post`, `pack`, `post-rpm` or the like; `line` is its header's line."""

    kind: str
    body: str
    interpreter: str = "/bin/sh"
    chroot: bool = True
    error_on_fail: bool = False
    log: str = ""
    line: int = 0


@dataclass(frozen=True)
class Attachment:
    """mic's %attachment: a path glob in the root (starts with `/`) or a package name whose files are copied out."""

    name: str
    line: int = 0


@dataclass(frozen=True)
class Plan:
    """One image, fully decided."""

    name: str
    arch: str
    #: `fs`, `loop` or `raw`.
    image_type: str
    #: Seconds since the epoch: the latest time stamp in the image and the seed of its UUIDs.
    source_date_epoch: int
    kickstart: str = "image.ks"
    build_id: str = ""
    release: str = ""
    packages: Packages = field(default_factory=Packages)
    repositories: tuple[Repository, ...] = ()
    system: System = field(default_factory=System)
    partitions: tuple[Partition, ...] = ()
    boot_loader: BootLoader = field(default_factory=BootLoader)
    scripts: tuple[Script, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    tokens: dict[str, str] = field(default_factory=dict)
    #: File name of the archive, `@NAME@` replaced; empty: NAME.tar.gz for fs, no archive otherwise.
    pack_to: str = ""
    #: "", "gz", "bz2", "xz" or "zst": compress each image file of a raw build.
    compress: str = ""
    copy_kernel: bool = False
    #: dbpath of rpm in the target; empty: what the installed rpm package says, else /var/lib/rpm.
    rpm_dbpath: str = ""


def to_json(plan: Plan) -> str:
    """`plan` as JSON text."""
    return json.dumps(dataclasses.asdict(plan), indent=1, sort_keys=True) + "\n"


def from_json(text: str) -> Plan:
    """The plan that `to_json` wrote. Raises ValueError or TypeError for anything else."""
    return _build(Plan, json.loads(text))


T = TypeVar("T")


def _build(kind: type[T], value: dict[str, Any]) -> T:
    hints = typing.get_type_hints(kind)
    return kind(**{name: _convert(hints[name], item) for name, item in value.items()})


def _convert(hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _build(hint, value)
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, each) for each in value)
    return value
