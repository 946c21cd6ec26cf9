# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import configparser
from dataclasses import replace
from pathlib import Path

import pytest

from imgcore.creator.plan import Interface, System
from imgcore.creator.system import network
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError
from tests.support.trees import a_build

STATIC = Interface("eth0", "static", True, "10.0.0.2", "255.255.0.0", "10.0.0.1", ("10.0.0.3", "fd00::3"), line=4)


def configured(top: Path, files: dict[str, str], *interfaces: Interface) -> Tree:
    build, tree = a_build(top, files, System(network=interfaces))
    network.configure(build, tree)
    return tree


def parsed(tree: Tree, path: str) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(tree.read(path))
    return {section: dict(parser[section]) for section in parser.sections()}


def test_a_line_with_a_host_name_alone_needs_no_network_service(tmp_path: Path) -> None:
    tree = configured(
        tmp_path,
        {"/etc/sysconfig/network": "A=b\nHOSTNAME=old\n"},
        Interface(boot_protocol="none", hostname="n950", line=4),
    )
    assert tree.read("/etc/hostname") == "n950\n"
    assert tree.read("/etc/sysconfig/network") == "A=b\nHOSTNAME=n950\n"


def test_networkmanager_gets_a_keyfile_that_only_root_reads(tmp_path: Path) -> None:
    tree = configured(tmp_path, {"/usr/sbin/NetworkManager": ""}, STATIC, Interface("link", line=5))
    path = "/etc/NetworkManager/system-connections/eth0.nmconnection"
    found = parsed(tree, path)
    assert found["connection"]["interface-name"] == "eth0"
    assert found["ipv4"] == {"method": "manual", "address1": "10.0.0.2/16,10.0.0.1", "dns": "10.0.0.3;"}
    assert found["ipv6"] == {"method": "auto", "dns": "fd00::3;"}
    assert tree.real(path).stat().st_mode & 0o7777 == 0o600
    other = parsed(tree, "/etc/NetworkManager/system-connections/network.nmconnection")
    assert other["ipv4"] == {"method": "auto"}
    assert "interface-name" not in other["connection"]
    assert other["connection"]["uuid"] != found["connection"]["uuid"]


def test_a_wireless_interface_gets_its_network_name(tmp_path: Path) -> None:
    tree = configured(tmp_path, {"/usr/sbin/NetworkManager": ""}, Interface("wlan0", essid="home", on_boot=False))
    found = parsed(tree, "/etc/NetworkManager/system-connections/wlan0.nmconnection")
    assert found["wifi"] == {"ssid": "home"}
    assert found["connection"]["autoconnect"] == "false"


def test_the_network_scripts_get_an_ifcfg_file(tmp_path: Path) -> None:
    static = replace(STATIC, mac="00:11:22:33:44:55", mtu=1400)
    tree = configured(tmp_path, {"/etc/sysconfig/network-scripts/ifup": ""}, static)
    assert tree.lines("/etc/sysconfig/network-scripts/ifcfg-eth0") == [
        *(
            'DEVICE="eth0"',
            'TYPE="Ethernet"',
            'BOOTPROTO="static"',
            'ONBOOT="yes"',
            'IPADDR="10.0.0.2"',
            'PREFIX="16"',
        ),
        *('GATEWAY="10.0.0.1"', 'DNS1="10.0.0.3"', 'DNS2="fd00::3"', 'HWADDR="00:11:22:33:44:55"', 'MTU="1400"'),
    ]


def test_networkd_gets_a_network_file_and_is_enabled(tmp_path: Path) -> None:
    unit = {"/usr/lib/systemd/system/systemd-networkd.service": "[Install]\nWantedBy=multi-user.target\n"}
    tree = configured(tmp_path, unit, STATIC, Interface(ipv6="dhcp"))
    found = parsed(tree, "/etc/systemd/network/20-eth0.network")
    assert found["Match"] == {"Name": "eth0"}
    assert found["Network"] == {"DHCP": "no", "Address": "10.0.0.2/16", "Gateway": "10.0.0.1", "DNS": "fd00::3"}
    other = parsed(tree, "/etc/systemd/network/20-network.network")
    assert (other["Match"], other["Network"]) == ({"Type": "ether"}, {"DHCP": "yes"})
    assert tree.has_link("/etc/systemd/system/multi-user.target.wants/systemd-networkd.service")


@pytest.mark.parametrize(
    ("files", "interface", "words"),
    [
        ({}, Interface("eth0", line=4), "the image has nothing that configures a network"),
        ({"/usr/sbin/NetworkManager": ""}, Interface("a", "static", line=4), "a static network needs an address"),
        ({"/usr/sbin/NetworkManager": ""}, replace(STATIC, netmask="10.0.0.1"), "10.0.0.1 is no netmask"),
        (
            {"/usr/lib/systemd/system/systemd-networkd.service": ""},
            Interface("w", essid="x", line=4),
            "systemd-networkd cannot join a wireless network",
        ),
    ],
)
def test_what_cannot_be_configured_is_refused_with_its_line(
    tmp_path: Path, files: dict[str, str], interface: Interface, words: str
) -> None:
    with pytest.raises(BuildError) as caught:
        configured(tmp_path, files, interface)
    assert caught.value.message == f"image.ks, line 4: {words}"
    assert caught.value.cause == "unsupported"
