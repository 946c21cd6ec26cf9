# SPDX-License-Identifier: GPL-2.0-or-later
"""The `firewall` line, for firewalld or for the older system-config-firewall (lokkit).

firewalld: the public zone gets services and ports, the trusted zone the trusted interfaces, and the service is
enabled or disabled. An image without a firewall has none to disable; to enable one there is an error.
"""

from __future__ import annotations

from html import escape

from imgcore.creator.build import Build
from imgcore.creator.plan import Firewall
from imgcore.creator.system import services
from imgcore.creator.tree import Tree

__all__ = ["configure"]

_ZONES = "/etc/firewalld/zones"
_SHIPPED = "/usr/lib/firewalld/zones"
_OLD = "/etc/sysconfig/system-config-firewall"


def configure(build: Build, tree: Tree, firewall: Firewall) -> None:
    """Carry out the line. Raises BuildError where a firewall is wanted and the image has none."""
    if tree.has("/usr/sbin/firewalld", "/usr/lib/firewalld", "/etc/firewalld/firewalld.conf"):
        _firewalld(build, tree, firewall)
    elif tree.has(_OLD, "/usr/sbin/lokkit", "/usr/bin/system-config-firewall"):
        _lokkit(tree, firewall)
    elif firewall.enabled:
        build.refuse(firewall.line, "the image has no firewall to enable", "install firewalld, or remove the line")


def _firewalld(build: Build, tree: Tree, firewall: Firewall) -> None:
    if not firewall.enabled:
        services.disable(build, tree, "firewalld", firewall.line)
        return
    for name in firewall.services:
        if not tree.has(f"/usr/lib/firewalld/services/{name}.xml", f"/etc/firewalld/services/{name}.xml"):
            build.refuse(firewall.line, f"firewalld does not know the service {name}", "give a --port instead")
    entries = [f'  <service name="{escape(name)}"/>' for name in firewall.services]
    for text in firewall.ports:
        port, _, protocol = text.partition(":")
        entries.append(f'  <port port="{escape(port)}" protocol="{escape(protocol or "tcp")}"/>')
    _extend(tree, "public", entries)
    _extend(tree, "trusted", [f'  <interface name="{escape(name)}"/>' for name in firewall.trusted])
    services.enable(build, tree, "firewalld", firewall.line)


def _extend(tree: Tree, zone: str, entries: list[str]) -> None:
    """Add to a zone what it does not have yet, starting from the one that the package ships."""
    if not entries:
        return
    text = tree.read(f"{_ZONES}/{zone}.xml") or tree.read(f"{_SHIPPED}/{zone}.xml")
    if "</zone>" not in text:
        target = ' target="ACCEPT"' if zone == "trusted" else ""
        text = f'<?xml version="1.0" encoding="utf-8"?>\n<zone{target}>\n  <short>{zone.title()}</short>\n</zone>\n'
    before, _, after = text.rpartition("</zone>")
    new = [entry for entry in entries if entry.strip() not in before]
    tree.write(f"{_ZONES}/{zone}.xml", before + "".join(f"{entry}\n" for entry in new) + "</zone>" + after)


def _lokkit(tree: Tree, firewall: Firewall) -> None:
    lines = ["--enabled" if firewall.enabled else "--disabled"]
    lines += [f"--trust={name}" for name in firewall.trusted]
    lines += [f"--port={port if ':' in port else port + ':tcp'}" for port in firewall.ports]
    lines += [f"--service={name}" for name in firewall.services]
    tree.write(_OLD, "".join(f"{line}\n" for line in lines), 0o600)
