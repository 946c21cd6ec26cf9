# SPDX-License-Identifier: GPL-2.0-or-later
"""An image becomes a kickstart whose every line is read back as it was meant."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgcore.kickstart import read
from imgcore.kickstarter import Request, generate
from tests.support.described import mistakes, one


def image(values: str, **files: str) -> dict[str, str]:
    return {"a.yaml": f"Configurations:\n  - Name: a\n    {values}\n", **files}


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ("Language: en_US.UTF-8", "lang en_US.UTF-8"),
        ("Keyboard: us", "keyboard us"),
        ("Timezone: America/Los_Angeles", "timezone --utc America/Los_Angeles"),
        ("RootPass: a b", 'rootpw "a b"'),
        ("RootPass: a'b", """rootpw 'a'"'"'b'"""),
        ("RootPass: 1234", "rootpw 1234"),
        ("PartSize: '300'", "part / --size=300 --ondisk=sda --fstype=ext4"),
        ("{PartSize: 300, FileSystem: btrfs}", "part / --size=300 --ondisk=sda --fstype=btrfs"),
        ("DefaultUser: mer", "user --name=mer --groups=audio,video"),
        ("{DefaultUser: mer, DefaultUserPass: '', UserGroups: wheel, DefaultUserGecos: A b}",
         'user --name=mer --groups=wheel --password="" --gecos="A b"'),
        ("StartX: yes", "xconfig --startxonboot"),
        ("BootloaderTimeout: 0", "bootloader --timeout=0"),
        ("{BootloaderAppend: ro quiet, BootloaderOptions: --location=mbr}",
         'bootloader --append="ro quiet" --location=mbr'),
        ("{Desktop: DUI, DefaultUser: mer, Session: /usr/bin/x -y}",
         'desktop --autologinuser=mer --defaultdesktop=DUI --session="/usr/bin/x -y"'),
        ("{Desktop: None, DefaultUser: root}", "desktop --autologinuser=root"),
        ("PackageArgs: nocore --excludedocs", "%packages --nocore --excludedocs"),
        ("ExtraPackages: [-vi, '@Group', 'x-*']", "%packages\n-vi\n@Group\nx-*\n%end"),
        ("RemovePackages: [vi]", "%packages\n-vi\n%end"),
        ("PrePackages: [busybox]", "%prepackages\nbusybox\n%end"),
        ("Attachment: [/boot/vmlinuz-*, ifwi]", "%attachment\n/boot/vmlinuz-*\nifwi\n%end"),
        ("Mic2Options: -f raw --arch=i586", "# -*-mic2-options-*- -f raw --arch=i586 -*-mic2-options-*-"),
        ("{Mic2Options: -f fs, Architecture: i586}", "# -*-mic2-options-*- -f fs --arch=i586 -*-mic2-options-*-"),
        ("{Mic2Options: -f fs, Architecture: ia32}", "# -*-mic2-options-*- -f fs -*-mic2-options-*-"),
    ],
)  # fmt: skip
def test_a_value_becomes_its_line(tmp_path: Path, values: str, line: str) -> None:
    # A mapping is merged into the image, so that a row may give more than one value.
    values = f"<<: {values}" if values.startswith("{") else values
    assert f"\n{line}\n" in f"\n{one(tmp_path, image(values)).text}"


@pytest.mark.parametrize(
    "values",
    ["StartX: no", "StartX: ", "RootPass: ''", "BootloaderTimeout: ", "PackageArgs: ", "Desktop: ''", "Groups: ",
     "Schedule: '*'", "Bootloader: True", "Session: /usr/bin/x", "DefaultUser: root", "ExtraPackages: [~, '']"],
)  # fmt: skip
def test_a_value_that_says_nothing_leaves_no_line(tmp_path: Path, values: str) -> None:
    nothing = one(tmp_path / "nothing", image("")).text.splitlines()[2:]
    assert one(tmp_path / "value", image(values)).text.splitlines()[2:] == nothing


@pytest.mark.parametrize(
    ("options", "line", "said"),
    [
        ("--test --location=mbr", "bootloader --location=mbr", "unknown option --test of bootloader"),
        ("quiet", "", "unexpected word quiet after bootloader"),
        ("--timeout=soon", "", "option --timeout of bootloader"),
        ("--driveorder sda --leavebootorder", "bootloader --driveorder sda --leavebootorder", ""),
    ],
)
def test_an_option_that_bootloader_has_not_is_left_out_and_told(
    tmp_path: Path, options: str, line: str, said: str
) -> None:
    one(tmp_path, image(f"BootloaderOptions: {options}"))
    (found,), warnings = generate(Request(tmp_path / "a.yaml"))
    assert [each for each in found.text.splitlines() if each.startswith("bootloader")] == ([line] if line else [])
    assert len(warnings) == bool(said)
    assert not said or said in warnings[0].what
    assert all(each.spot.line == 3 and each.key == "BootloaderOptions" for each in warnings)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("ExtraPackages: ['%end', '%post', 'evil']", "a.yaml:3:21: error: ExtraPackages: %end is not a name"),
        ("Groups: ['C# tools']", "a.yaml:3:14: error: Groups: C# tools is not a name"),
        ("ExtraPackages: [one two]", "a.yaml:3:21: error: ExtraPackages: one two: more than one name"),
        ("PrePackages: ['@Group']", "a.yaml:3:19: error: PrePackages: @Group: %prepackages takes names"),
        ("Attachment: [/boot/../../etc]", "a.yaml:3:18: error: Attachment: /boot/../../etc is not a path"),
        ("PackageArgs: nonsense", "a.yaml:3:18: error: PackageArgs: unknown option --nonsense"),
        ("Mic2Options: -*-mic2-options-*- x", "a.yaml:3:18: error: Mic2Options: "),
        ("Mic2Options: -f 'fs", "a.yaml:3:18: error: Mic2Options: -f 'fs is no list of options"),
        ("Part: disk", "disk:2:1: error: unknown command prat (did you mean part?)"),
    ],
)
def test_what_no_kickstart_can_say_is_a_mistake_of_the_yaml(tmp_path: Path, values: str, said: str) -> None:
    found = mistakes(tmp_path, image(values, disk="# Disk\nprat / --size=1\n"))
    assert any(said in str(each) for each in found), [str(each) for each in found]


@pytest.mark.parametrize(
    "values",
    [
        'RootPass: "s3cret\\x01"',
        "RootPass: [s3cret]",
        "{DefaultUser: 'a:b', DefaultUserPass: s3cret}",
        "{Repos: [r]}",
    ],
)
def test_no_message_has_a_secret(tmp_path: Path, values: str) -> None:
    values = f"<<: {values}" if values.startswith("{") else values
    url = "Repositories: [{Name: r, Url: 'gopher://me:s3cret@h/', Options: --save}]\n"
    (tmp_path / "x").mkdir()
    files = image(values)
    files["a.yaml"] += url
    found = mistakes(tmp_path, files, tool="builtin")
    assert all("s3cret" not in str(each) for each in found)


@pytest.mark.parametrize("line", ["%end", "%packages", "%post", "%include /etc/passwd", "  %end"])
def test_a_line_that_would_end_its_script_is_a_mistake_of_the_script(tmp_path: Path, line: str) -> None:
    (mistake, *_) = mistakes(tmp_path, image("PostScripts: [x]", x=f"echo one\n{line}\nevil\n"))
    assert (Path(mistake.spot.file).name, mistake.spot.line) == ("x", 2)
    assert "would end the script %post" in mistake.what


def test_such_a_line_in_a_here_document_is_the_scripts_own(tmp_path: Path) -> None:
    text = one(tmp_path, image("PostScripts: [x]", x="cat > /f <<EOF\n%post\nEOF\n")).text
    (script,) = read(text.encode(), "a.ks").scripts
    assert script.body == "cat > /f <<EOF\n%post\nEOF\n"


def test_scripts_keep_their_text_and_their_order(tmp_path: Path) -> None:
    files = image(
        "<<: {PreScripts: [p], PostScripts: [b, a, b], NoChrootScripts: [n], PackScripts: [k]}",
        a="echo a", b="# b\necho b\n\n", n="echo n\r\necho m\r\n", p="echo p\n", k="echo k\n",
    )  # fmt: skip
    found = read(one(tmp_path, files).text.encode(), "a.ks").scripts
    assert [(each.kind, each.chroot, each.body) for each in found] == [
        ("pre", True, "echo p\n"),
        ("post", True, "# b\necho b\n\n\necho a\n\n# b\necho b\n"),
        ("post", False, "echo n\necho m\n"),
        ("pack", True, "echo k\n"),
    ]


def test_the_header_says_from_what_it_was_made_and_nothing_of_the_machine(tmp_path: Path) -> None:
    files = image("PostScripts: [scripts/x]") | {"scripts/x": "echo x\n"}
    text = one(tmp_path, files).text
    assert text.splitlines()[0].startswith("# a: generated")
    assert [each.split()[-1] for each in text.splitlines()[1:3]] == ["a.yaml", "scripts/x"]
    assert str(tmp_path) not in text


_LINE = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=12)
_NAME = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._+]{0,8}", fullmatch=True)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    root=_LINE, append=_LINE, session=_LINE, gecos=_LINE, title=_LINE,
    packages=st.lists(_NAME, unique=True, max_size=4), groups=st.lists(_NAME, unique=True, max_size=3), url=_NAME,
)  # fmt: skip
def test_every_value_is_read_back_as_it_was_given(tmp_path: Path, **given: Any) -> None:
    import json

    values = {
        "Name": f"n {given['title']}", "FileName": "file", "RootPass": given["root"],
        "BootloaderAppend": given["append"], "Desktop": "d", "Session": given["session"],
        "DefaultUser": "u", "DefaultUserGecos": given["gecos"],
        "ExtraPackages": given["packages"], "Groups": given["groups"], "Repos": ["r"],
    }  # fmt: skip
    document = {"Configurations": [values], "Repositories": [{"Name": "r", "Url": f"http://{given['url']}"}]}
    (tmp_path / "a.yaml").write_text(json.dumps(document), encoding="utf-8")
    (made,), _ = generate(Request(tmp_path / "a.yaml"))
    found = read(made.text.encode(), "a.ks")
    commands = {each.name: each.values for each in found.commands}
    assert not given["root"] or commands["rootpw"]["password"] == given["root"]
    assert commands["bootloader"]["appendLine"] == given["append"]
    assert not given["session"] or commands["desktop"]["session"] == given["session"]
    assert not given["gecos"] or commands["user"]["gecos"] == given["gecos"]
    assert commands["repo"]["baseurl"] == f"http://{given['url']}"
    assert [each.name for each in found.packages[0].entries] == [*given["groups"], *given["packages"]]
    assert found.header.image_type == ""
    assert generate(Request(tmp_path / "a.yaml"))[0] == (made,)
