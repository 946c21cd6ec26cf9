# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from imgcore.creator.plan import Firewall
from imgcore.creator.system import firewall
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError
from tests.support.trees import a_build, link

FIREWALLD = {
    "/usr/sbin/firewalld": "",
    "/usr/lib/systemd/system/firewalld.service": "[Install]\nWantedBy=multi-user.target\n",
    "/usr/lib/firewalld/services/ssh.xml": "<service/>",
    "/usr/lib/firewalld/services/mdns.xml": "<service/>",
    "/usr/lib/firewalld/zones/public.xml": '<?xml version="1.0"?>\n<zone>\n  <service name="ssh"/>\n</zone>\n',
}
ENABLED = "/etc/systemd/system/multi-user.target.wants/firewalld.service"


def configured(top: Path, files: dict[str, str], line: Firewall) -> Tree:
    build, tree = a_build(top, files)
    firewall.configure(build, tree, line)
    return tree


def test_firewalld_gets_services_ports_and_trusted_interfaces(tmp_path: Path) -> None:
    line = Firewall(True, ("8080:udp", "22"), ("ssh", "mdns"), ("usb0",), line=9)
    tree = configured(tmp_path, FIREWALLD, line)
    public = ElementTree.fromstring(tree.read("/etc/firewalld/zones/public.xml"))
    assert [entry.attrib["name"] for entry in public.iter("service")] == ["ssh", "mdns"]
    assert [entry.attrib for entry in public.iter("port")] == [
        {"port": "8080", "protocol": "udp"},
        {"port": "22", "protocol": "tcp"},
    ]
    trusted = ElementTree.fromstring(tree.read("/etc/firewalld/zones/trusted.xml"))
    assert [entry.attrib["name"] for entry in trusted.iter("interface")] == ["usb0"]
    assert trusted.attrib == {"target": "ACCEPT"}
    assert tree.has_link(ENABLED)


def test_firewalld_is_disabled(tmp_path: Path) -> None:
    tree = configured(tmp_path, FIREWALLD | {ENABLED: link("/x")}, Firewall(False, line=9))
    assert not tree.has_link(ENABLED)


def test_the_older_firewall_gets_its_options(tmp_path: Path) -> None:
    tree = configured(tmp_path, {"/usr/sbin/lokkit": ""}, Firewall(True, ("80",), ("ssh",), ("eth1",), line=9))
    path = "/etc/sysconfig/system-config-firewall"
    assert tree.lines(path) == ["--enabled", "--trust=eth1", "--port=80:tcp", "--service=ssh"]


def test_an_image_without_a_firewall_has_none_to_disable_but_none_to_enable_either(tmp_path: Path) -> None:
    assert not configured(tmp_path / "1", {}, Firewall(False, line=9)).has("/etc")
    with pytest.raises(BuildError) as caught:
        configured(tmp_path / "2", {}, Firewall(True, line=9))
    assert caught.value.message == "image.ks, line 9: the image has no firewall to enable"


def test_a_service_that_firewalld_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="line 9: firewalld does not know the service gopher"):
        configured(tmp_path, FIREWALLD, Firewall(True, services=("gopher",), line=9))
