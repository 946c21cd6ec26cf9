# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves docs/install.md against what is packaged: no package, unit, program or configuration that there is not."""

from __future__ import annotations

import re

from tests.support.checkout import ROOT

PAGE = (ROOT / "docs/install.md").read_text()
COMMANDS = [line[2:] for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
OURS = set(re.findall(r"^Package: (\S+)$", (ROOT / "debian/control").read_text(), re.MULTILINE))


def named(pattern: str) -> set[str]:
    """The words behind a command, in all of the page's commands."""
    return {word for line in COMMANDS for found in re.findall(pattern, line) for word in found.split()}


def test_the_packages_that_are_installed_are_packaged_here_or_debians() -> None:
    assert named(r"^apt install (.*)") - OURS == {"cpio", "createrepo-c", "nginx", "rabbitmq-server", "supervisor"}


def test_the_table_has_every_package() -> None:
    table = PAGE.partition("| package |")[2].partition("\n\n")[0]
    rows = {name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert rows == OURS


def test_the_units_that_are_enabled_are_there() -> None:
    there = {path.name.removesuffix(".service") for path in (ROOT / "systemd").iterdir()}
    enabled = {re.sub("@.*", "@", name) for name in named(r"^systemctl enable --now (.*)")}
    assert enabled
    assert enabled <= there


def test_the_programs_for_supervisor_are_there() -> None:
    linked = named(r"/usr/share/imager/supervisor/(\S+)")
    assert linked
    assert all((ROOT / "conf/supervisor" / name).exists() for name in linked)


def test_the_participants_files_are_there() -> None:
    for names in re.findall(r"for name in (.*?);", "\n".join(COMMANDS)):
        assert all((ROOT / f"conf/skynet/{name}.conf").exists() for name in names.split())


def test_the_places_that_are_told_are_made() -> None:
    made = (ROOT / "conf/tmpfiles.conf").read_text()
    told = set(re.findall(r"/var/(?:lib|cache|log)/(?:imager|skynet)(?:/\w+)?", PAGE))
    assert told
    assert all(re.search(rf"^d {place} ", made, re.MULTILINE) for place in told), told
