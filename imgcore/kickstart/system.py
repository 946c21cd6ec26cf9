# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands of a kickstart tell the installed system about itself: language, users, services, network …"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pykickstart import constants

from imgcore.creator.plan import (
    Desktop,
    Firewall,
    Interface,
    Item,
    Password,
    Services,
    System,
    User,
    UserGroup,
)
from imgcore.kickstart.check import Checker
from imgcore.kickstart.mistakes import Notes, shown
from imgcore.kickstart.model import Command

__all__ = ["READERS", "system"]

_HIGHEST_ID = 2**32 - 2
#: Devices that an installer finds by looking, which an image cannot.
_FOUND_DEVICES = frozenset({"", "link", "bootif", "ibft"})


def system(commands: Sequence[Command], notes: Notes) -> System:
    """The System that `commands` (all of them are to be carried out) describe; others are left alone."""
    checkers: dict[str, list[Checker]] = defaultdict(list)
    for command in commands:
        checkers[command.name].append(Checker(command, notes))
    found: dict[str, Any] = {}
    for name, reader in READERS.items():
        if checkers[name]:
            found.update(reader(checkers[name][-1]))
    users = tuple(_user(each) for each in checkers["user"])
    groups = tuple(_group(each) for each in checkers["group"])
    _no_duplicates(checkers["user"], users)
    _no_duplicates(checkers["group"], groups)
    network = tuple(_interface(each) for each in checkers["network"])
    _no_duplicate_devices(checkers["network"], network)
    desktop = _desktop(checkers["desktop"], checkers["xconfig"])
    return System(**found, users=users, groups=groups, network=network, desktop=desktop)


def _item(kind: str, value: object, check: Checker) -> Item | None:
    text = check.text(kind, value)
    return Item(text, check.line) if text else None


def _lang(check: Checker) -> Mapping[str, Any]:
    return {"lang": _item("language", check.value("lang"), check)}


def _keyboard(check: Checker) -> Mapping[str, Any]:
    layouts = [str(each) for each in check.value("x_layouts") or ()]
    keymap = check.value("vc_keymap") or check.value("_keyboard") or (layouts[0] if layouts else "")
    if [each for each in layouts if each != keymap]:
        check.warning(f"the layouts {shown(', '.join(layouts))} are not set, the keymap {shown(str(keymap))} is")
    return {"keyboard": _item("keymap", str(keymap).partition(" ")[0], check)}


def _timezone(check: Checker) -> Mapping[str, Any]:
    zone = check.value("timezone")
    return {
        "timezone": _item("time zone", zone[0] if isinstance(zone, list) and zone else zone or "", check),
        "clock_utc": bool(check.value("isUtc")),
    }


def _password(check: Checker, text: str) -> Password:
    crypted = bool(check.value("isCrypted"))
    locked = bool(check.value("lock"))
    if not text.isprintable() or len(text) > 512 or (crypted and ":" in text):
        check.mistake("the password has characters that a password cannot have")
    return Password(text, crypted, locked, check.line)


def _root_password(check: Checker) -> Mapping[str, Any]:
    return {"root_password": _password(check, str(check.value("password") or ""))}


def _user(check: Checker) -> User:
    text = str(check.value("password") or "")
    given = text or check.value("lock")
    name = check.text("user name", check.value("name"))
    if not check.value("name"):
        check.mistake("a user needs a name", "add --name=NAME")
    if name == "root":
        check.mistake("root is there already", "use rootpw for its password")
    groups = []
    for each in check.value("groups") or ():
        group, _, number = str(each).partition("(")
        if number:
            check.mistake(f"group {shown(str(each))} is given by number", "add a group line")
        groups.append(group.strip())
    return User(
        name=name,
        password=_password(check, text) if given else None,
        uid=_number(check, "uid"),
        gid=_number(check, "gid"),
        groups=check.texts("group name", groups),
        home=check.text("path", check.value("homedir")),
        shell=check.text("path", check.value("shell")),
        gecos=check.text("comment", check.value("gecos")),
        line=check.line,
    )


def _number(check: Checker, attribute: str) -> int | None:
    value = check.value(attribute)
    return None if value in (None, "") else check.number(f"--{attribute}", value, 0, _HIGHEST_ID)


def _group(check: Checker) -> UserGroup:
    name = check.text("group name", check.value("name"))
    if not check.value("name"):
        check.mistake("a group needs a name", "add --name=NAME")
    return UserGroup(name, _number(check, "gid"), check.line)


def _no_duplicates(checkers: Sequence[Checker], found: Sequence[User | UserGroup]) -> None:
    lines: dict[str, int] = {}
    for check, each in zip(checkers, found, strict=True):
        if each.name and each.name in lines:
            what = f"{each.name} is there already, in line {lines[each.name]}"
            check.mistake(what, "remove one of the lines", rule="duplicate")
        lines.setdefault(each.name, each.line)


def _services(check: Checker) -> Mapping[str, Any]:
    enabled = check.texts("service", check.value("enabled"))
    disabled = check.texts("service", check.value("disabled"))
    for both in sorted(set(enabled) & set(disabled)):
        check.mistake(f"{both} is both enabled and disabled", "decide for one")
    return {"services": Services(enabled, disabled, check.line)}


def _firewall(check: Checker) -> Mapping[str, Any]:
    if check.value("use_system_defaults"):
        return {}
    enabled = check.value("enabled")
    firewall = Firewall(
        enabled=enabled is None or bool(enabled),
        ports=check.texts("port", check.value("ports")),
        services=check.texts("service", check.value("services")),
        trusted=check.texts("interface", check.value("trusts")),
        line=check.line,
    )
    if not firewall.enabled and (firewall.ports or firewall.services or firewall.trusted):
        check.warning("a disabled firewall opens nothing: ports, services and trusted interfaces are not used")
    return {"firewall": firewall}


_SELINUX = {
    constants.SELINUX_ENFORCING: "enforcing",
    constants.SELINUX_PERMISSIVE: "permissive",
    constants.SELINUX_DISABLED: "disabled",
}


def _selinux(check: Checker) -> Mapping[str, Any]:
    state = _SELINUX.get(check.value("selinux"))
    if state is None:
        check.mistake("it says nothing", "add --enforcing, --permissive or --disabled")
        return {}
    return {"selinux": Item(state, check.line)}


def _first_boot(check: Checker) -> Mapping[str, Any]:
    value = check.value("firstboot")
    if value == constants.FIRSTBOOT_RECONFIG:
        check.refuse("--reconfig is not something that the built-in creator does", "use --enable")
    return {"first_boot": value != constants.FIRSTBOOT_SKIP}


def _authentication(check: Checker) -> Mapping[str, Any]:
    # The creator tells the two apart: arguments of authconfig are options, those of authselect begin with a word.
    words = shlex.join(check.command.words[1:])
    if not words.isprintable():
        check.mistake("it has characters that an argument cannot have")
    if not words:
        return {}
    return {"authentication": Item(words, check.line)}


def _interface(check: Checker) -> Interface:
    given = set(check.command.given)
    device = str(check.value("device") or "")
    only_host_name = given <= {"hostname", "activate", "notksdevice"}
    if only_host_name:
        return Interface(boot_protocol="none", hostname=_host_name(check), line=check.line)
    if device.lower() in _FOUND_DEVICES:
        # The first interface there is, whatever its name.
        device = "link"
    elif device.count(":") == 5:
        check.mistake(f"the device {shown(device)} is a hardware address", "give the name of the interface")
    protocol = str(check.value("bootProto") or "dhcp").lower()
    if protocol not in ("dhcp", "static", "bootp"):
        check.refuse(f"--bootproto={shown(protocol)} is not something that the built-in creator does")
    protocol = "none" if check.value("noipv4") else protocol.replace("bootp", "dhcp")
    address, netmask = check.address(check.value("ip")), check.address(check.value("netmask"))
    if protocol == "static" and not (address and netmask):
        check.mistake("--bootproto=static needs --ip and --netmask")
    ipv6 = str(check.value("ipv6") or "")
    if ipv6 not in ("", "auto", "dhcp"):
        ipv6 = check.address(ipv6, prefix=True)
    servers = str(check.value("nameserver") or "").replace(",", " ").split()
    return Interface(
        device=check.text("interface", device),
        boot_protocol=protocol,
        on_boot=check.value("onboot") is not False,
        address=address,
        netmask=netmask,
        gateway=check.address(check.value("gateway")),
        name_servers=tuple(filter(None, (check.address(each) for each in servers))),
        ipv6=ipv6,
        ipv6_gateway=check.address(check.value("ipv6gateway")),
        mtu=check.number("--mtu", check.value("mtu"), 68, 65536),
        essid=check.text("network name", check.value("essid")),
        hostname=_host_name(check),
        line=check.line,
    )


def _host_name(check: Checker) -> str:
    return check.text("host name", check.value("hostname"))


def _no_duplicate_devices(checkers: Sequence[Checker], found: Sequence[Interface]) -> None:
    lines: dict[str, int] = {}
    for check, each in zip(checkers, found, strict=True):
        if each.device and each.device in lines:
            what = f"{each.device} is there already, in line {lines[each.device]}"
            check.mistake(what, "remove one of the lines", rule="duplicate")
        lines.setdefault(each.device, each.line)


def _desktop(desktops: Sequence[Checker], xconfigs: Sequence[Checker]) -> Desktop | None:
    check = desktops[-1] if desktops else None
    xconfig = xconfigs[-1] if xconfigs else None
    if check is None and xconfig is None:
        return None
    default = (xconfig.text("session", xconfig.value("defaultdesktop")) if xconfig else "") or (
        check.text("session", check.value("defaultdesktop")) if check else ""
    )
    return Desktop(
        session=check.text("session", check.value("session")) if check else "",
        default_desktop=default,
        display_manager=check.text("session", check.value("defaultdm")) if check else "",
        autologin_user=check.text("user name", check.value("autologinuser")) if check else "",
        start_x=bool(xconfig and xconfig.value("startX")),
        line=(check or xconfig or desktops[0]).line,
    )


READERS: Mapping[str, Callable[[Checker], Mapping[str, Any]]] = {
    "lang": _lang,
    "keyboard": _keyboard,
    "timezone": _timezone,
    "rootpw": _root_password,
    "services": _services,
    "firewall": _firewall,
    "selinux": _selinux,
    "firstboot": _first_boot,
    "auth": _authentication,
    "authconfig": _authentication,
    "authselect": _authentication,
}
