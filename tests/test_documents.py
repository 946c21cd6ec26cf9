# SPDX-License-Identifier: GPL-2.0-or-later
"""The documentation is true: each command in it is run by a test, each option in it is one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

from docs import reference
from imgcore import config
from imgcore.cli import group
from SkyNET import configuration
from tests.support import page
from tests.support.checkout import ROOT, files

#: Who runs blocks of commands takes them from a page, or from a section of it, by one of these.
_TAKING = ("Document", "commands")
#: How the page about the original imager begins its lines about that one's options.
_THEIRS = re.compile(r"^\| `\[(build_ks|request_image)\] .*?\|")
_PAGES = [name for name in files() if name.endswith(".md") and not name.startswith("debian/")]


def test_every_block_of_commands_is_taken_by_a_test_that_runs_it() -> None:
    taken = set(_taken())
    blocks = [(name, each) for name in _PAGES for each in page.fenced(ROOT / name)]
    assert len(blocks) > 40
    left = [str(each) for name, each in blocks if not taken & {(name, ""), (name, each.heading)}]
    assert left == [], "nobody runs:\n" + "\n".join(left)


def test_commands_stand_in_no_other_block() -> None:
    for name in _PAGES:
        text = (ROOT / name).read_text(encoding="utf-8")
        for language, block in re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
            assert language in ("", "console", "ini", "nginx", "python"), name
            assert language == "console" or not re.search(r"^ *\$ ", block, re.MULTILINE), f"{name}: {block}"


def _taken() -> Iterator[tuple[str, str]]:
    """Each page that is taken as a whole (with ""), and each section, in the code of the tests."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "tests").rglob("*.py")}
    about = {path: _constants(tree) for path, tree in trees.items()}
    for path, tree in trees.items():
        constants = dict(about[path])
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and {each.name for each in node.names} & set(_TAKING):
                # Whose helper it has, whose page it means.
                constants |= about.get(ROOT / f"{(node.module or '').replace('.', '/')}.py", {})
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node.func) in _TAKING:
                yield from _by(node, constants)


def _by(call: ast.Call, constants: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    said = [each for argument in call.args for each in _strings(argument) + constants.get(_name(argument), [])]
    # A section of the one page that the module is about.
    pages = [each for each in said if each.endswith(".md")] or [
        each for found in constants.values() for each in found if each.endswith(".md")
    ]
    headings = [each for each in said if not each.endswith(".md")]
    if not headings and len(call.args) == 1:
        headings = [""]
    yield from ((each, heading) for each in pages for heading in headings)


def _constants(tree: ast.Module) -> dict[str, list[str]]:
    return {
        target.id: _strings(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _strings(node: ast.AST) -> list[str]:
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def test_every_option_that_a_page_names_is_one() -> None:
    known = {f"[{section}] {option}" for section, options in config._OPTIONS.items() for option in options}
    known |= {f"[{section} NAME] {option}" for section, options in config._NAMED.items() for option in options}
    known |= {f"[{section}] {option}" for section, options in configuration.OPTIONS.items() for option in options}
    named = {
        (name, each)
        for name in _PAGES
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        for each in re.findall(r"`(\[[a-z_]+(?: NAME)?\] [a-z_]+)", re.sub(_THEIRS, "", line))
    }
    assert len(named) > 30
    assert {each for each in named if each[1] not in known} == set()


@pytest.mark.parametrize("path", reference.PAGES, ids=lambda path: path.name)
def test_tables_that_are_made_from_the_code_say_what_the_code_says(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == reference.page(path), "python -m docs.reference writes it anew"


def test_what_each_command_prints_as_json_is_told() -> None:
    table = page.section(ROOT / "docs/formats.md", "What commands print with `--json`")
    told = {each for line in table.splitlines() for each in re.findall(r"`img ([a-z -]+)`", line.partition(" | ")[0])}
    assert told == set(_with_json(group, ()))


def _with_json(commands: click.Group, before: tuple[str, ...]) -> Iterator[str]:
    context = click.Context(commands)
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        assert command
        if any("--json" in each.opts for each in command.params):
            yield " ".join((*before, name))
        if isinstance(command, click.Group):
            yield from _with_json(command, (*before, name))


def test_every_variable_of_the_environment_that_is_ours_is_explained() -> None:
    read = {
        name
        for room in ("imgcore", "participants", "RuoteAMQP", "SkyNET")
        for path in Path(ROOT / room).rglob("*.py")
        for name in re.findall(r"environ(?:\.get\(|\[)\"((?:IMAGER|SKYNET)_\w+)\"", path.read_text(encoding="utf-8"))
    }
    assert read
    explained = page.section(reference.CONFIGURATION, "The environment")
    assert {name for name in read if f"`{name}`" not in explained} == set()
