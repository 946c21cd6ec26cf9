# SPDX-License-Identifier: GPL-2.0-or-later
"""`network` lines: the host name, and each interface for whichever network service the image has.

NetworkManager gets a keyfile, the network scripts an ifcfg file, systemd-networkd a .network file (and is
enabled). Without any of them an interface cannot be configured, which is an error.
"""

from __future__ import annotations

import ipaddress
import uuid

from imgcore.creator.build import Build
from imgcore.creator.plan import Interface
from imgcore.creator.system import services
from imgcore.creator.tree import Tree

__all__ = ["configure"]

_KEYFILES = "/etc/NetworkManager/system-connections"
_SCRIPTS = "/etc/sysconfig/network-scripts"
_UNITS = "/etc/systemd/network"
_SPACE = uuid.UUID("0b9f3f0c-6a55-5a0b-8a3c-0f6a3f3f1a52")


def configure(build: Build, tree: Tree) -> None:
    """Carry out the plan's `network` lines. Raises BuildError where the image lacks what they need."""
    for interface in build.plan.system.network:
        if interface.hostname:
            tree.write("/etc/hostname", f"{interface.hostname}\n")
            if tree.has("/etc/sysconfig/network"):
                _set_variable(tree, "/etc/sysconfig/network", "HOSTNAME", interface.hostname)
        if not _only_hostname(interface):
            _configure(build, tree, interface)


def _only_hostname(interface: Interface) -> bool:
    return interface == Interface(boot_protocol="none", hostname=interface.hostname, line=interface.line)


def _configure(build: Build, tree: Tree, interface: Interface) -> None:
    # `link` and `bootif` mean the interface that is connected: as good as any.
    device = "" if interface.device in ("link", "bootif", "ibft") else interface.device
    if tree.has("/usr/sbin/NetworkManager", "/usr/lib/NetworkManager"):
        name = device or "network"
        tree.write(f"{_KEYFILES}/{name}.nmconnection", _keyfile(build, interface, device), 0o600)
    elif tree.has(_SCRIPTS):
        device = device or "eth0"
        tree.write(f"{_SCRIPTS}/ifcfg-{device}", _ifcfg(build, interface, device))
        if not tree.has("/etc/sysconfig/network"):
            tree.write("/etc/sysconfig/network", "NETWORKING=yes\n")
    elif services.find_unit(tree, "systemd-networkd.service"):
        if interface.essid:
            build.refuse(interface.line, "systemd-networkd cannot join a wireless network", "install NetworkManager")
        tree.write(f"{_UNITS}/20-{device or 'network'}.network", _networkd(build, interface, device))
        services.enable(build, tree, "systemd-networkd", interface.line)
    else:
        build.refuse(
            interface.line,
            "the image has nothing that configures a network",
            "install NetworkManager or systemd-networkd, or remove the line",
        )


def _prefix(build: Build, interface: Interface) -> int:
    """The length of the IPv4 prefix."""
    if not interface.address:
        build.refuse(interface.line, "a static network needs an address", "add --ip and --netmask")
    try:
        return ipaddress.IPv4Network(f"0.0.0.0/{interface.netmask or 24}").prefixlen
    except ValueError:
        build.refuse(interface.line, f"{interface.netmask} is no netmask", "for example --netmask=255.255.255.0")


def _names(interface: Interface, version: int) -> list[str]:
    found = []
    for server in interface.name_servers:
        try:
            if ipaddress.ip_address(server).version == version:
                found.append(server)
        except ValueError:
            continue
    return found


def _keyfile(build: Build, interface: Interface, device: str) -> str:
    identifier = uuid.uuid5(_SPACE, f"{build.plan.name}\n{device}\n{interface.essid}")
    kind = "wifi" if interface.essid else "ethernet"
    lines = ["[connection]", f"id={device or 'network'}", f"uuid={identifier}", f"type={kind}"]
    if device:
        lines.append(f"interface-name={device}")
    lines += [f"autoconnect={'true' if interface.on_boot else 'false'}", "", f"[{kind}]"]
    if interface.essid:
        lines.append(f"ssid={interface.essid}")
    if interface.mac:
        lines.append(f"mac-address={interface.mac}")
    if interface.mtu:
        lines.append(f"mtu={interface.mtu}")
    lines += ["", "[ipv4]"]
    if interface.boot_protocol == "static":
        gateway = f",{interface.gateway}" if interface.gateway else ""
        lines += ["method=manual", f"address1={interface.address}/{_prefix(build, interface)}{gateway}"]
    else:
        lines.append(f"method={'auto' if interface.boot_protocol == 'dhcp' else 'disabled'}")
    if _names(interface, 4):
        lines.append(f"dns={';'.join(_names(interface, 4))};")
    lines += ["", "[ipv6]"]
    if interface.ipv6 not in ("", "auto", "dhcp"):
        gateway = f",{interface.ipv6_gateway}" if interface.ipv6_gateway else ""
        lines += ["method=manual", f"address1={interface.ipv6}{gateway}"]
    else:
        lines.append("method=auto")
    if _names(interface, 6):
        lines.append(f"dns={';'.join(_names(interface, 6))};")
    return "\n".join(lines) + "\n"


def _ifcfg(build: Build, interface: Interface, device: str) -> str:
    values = {
        "DEVICE": device,
        "TYPE": "Wireless" if interface.essid else "Ethernet",
        "BOOTPROTO": interface.boot_protocol,
        "ONBOOT": "yes" if interface.on_boot else "no",
    }
    if interface.boot_protocol == "static":
        values |= {
            "IPADDR": interface.address,
            "PREFIX": str(_prefix(build, interface)),
            "GATEWAY": interface.gateway,
        }
    values |= {f"DNS{number}": server for number, server in enumerate(interface.name_servers, 1)}
    if interface.ipv6:
        values["IPV6INIT"] = "yes"
        if interface.ipv6 == "dhcp":
            values["DHCPV6C"] = "yes"
        elif interface.ipv6 != "auto":
            values |= {"IPV6ADDR": interface.ipv6, "IPV6_DEFAULTGW": interface.ipv6_gateway}
    values |= {
        "HWADDR": interface.mac,
        "MTU": str(interface.mtu or ""),
        "ESSID": interface.essid,
    }
    return "".join(f'{name}="{value}"\n' for name, value in values.items() if value)


def _networkd(build: Build, interface: Interface, device: str) -> str:
    match = f"Name={device}" if device else "Type=ether"
    lines = ["[Match]", match]
    if interface.mac:
        lines.append(f"MACAddress={interface.mac}")
    link = [f"MTUBytes={interface.mtu}"] if interface.mtu else []
    if not interface.on_boot:
        link.append("ActivationPolicy=manual")
    if link:
        lines += ["", "[Link]", *link]
    lines += ["", "[Network]"]
    protocols = {(True, True): "yes", (True, False): "ipv4", (False, True): "ipv6", (False, False): "no"}
    dynamic = protocols[interface.boot_protocol == "dhcp", interface.ipv6 == "dhcp"]
    lines.append(f"DHCP={dynamic}")
    if interface.boot_protocol == "static":
        lines.append(f"Address={interface.address}/{_prefix(build, interface)}")
        if interface.gateway:
            lines.append(f"Gateway={interface.gateway}")
    if interface.ipv6 not in ("", "auto", "dhcp"):
        lines.append(f"Address={interface.ipv6}")
        if interface.ipv6_gateway:
            lines.append(f"Gateway={interface.ipv6_gateway}")
    lines += [f"DNS={server}" for server in interface.name_servers]
    return "\n".join(lines) + "\n"


def _set_variable(tree: Tree, path: str, name: str, value: str) -> None:
    lines = [line for line in tree.lines(path) if not line.startswith(f"{name}=")]
    tree.write(path, "".join(f"{line}\n" for line in [*lines, f"{name}={value}"]))
