# SPDX-License-Identifier: GPL-2.0-or-later
import os
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imgcore.errors import InputError
from imgcore.kickstart import Kickstart, KickstartError, read
from imgcore.kickstart.dialect import names
from imgcore.kickstart.document import SECTIONS

SMALL = "lang en_US.UTF-8\npart / --size=100 --fstype=ext4\n"


def parse(text: str, **more: object) -> Kickstart:
    return read(text.encode(), "x.ks", **more)  # type: ignore[arg-type]


def refusal(text: str | bytes, **more: object) -> KickstartError:
    with pytest.raises(KickstartError) as caught:
        read(text.encode() if isinstance(text, str) else text, "x.ks", **more)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("part / --fstipe=ext4", "x.ks, line 1: unknown option --fstipe of part (did you mean --fstype?)"),
        ("lang en\n\nautpart", "x.ks, line 3: unknown command autpart (did you mean autopart?)"),
        ("part / --size=big", "x.ks, line 1: option --size of part: 'big' is not a whole number"),
        ("repo --name", "x.ks, line 1: option --name of repo needs a value"),
        ("repo --baseurl=http://x", "x.ks, line 1: repo needs --name"),
        ("lang", "x.ks, line 1: lang needs <lang>"),
        ("selinux on", "x.ks, line 1: unexpected word on after selinux"),
        ("desktop --autologin=me --sesion=x", "x.ks, line 1: unknown option --sesion of desktop"),
        ("btrfs / --quotas", "x.ks, line 1: unknown option --quotas of btrfs (did you mean --quota?)"),
        ("part / \\\n  --size=3", "x.ks, line 1: a command cannot go on in the next line"),
        ("lang 'en", "x.ks, line 1: a quotation mark is not closed"),
        ("''", "x.ks, line 1: a command without a name"),
        ("lang " + "x" * 70000, "x.ks, line 1: a line of 70005 characters"),
        ("%packges\n%end", "x.ks, line 1: unknown section %packges (did you mean %packages?)"),
        ("lang en\n%end", "x.ks, line 2: %end without a section before it"),
        ("%post\ntrue\n%packages\na\n%end", "x.ks, line 1: %post does not end with %end"),
        ("%packages\n%end\n%post\ntrue", "x.ks, line 3: %post does not end with %end"),
        (
            "%post --interprter=/bin/sh\n%end",
            "x.ks, line 1: unknown option --interprter of %post (did you mean --int",
        ),
        ("%post --interpreter\n%end", "x.ks, line 1: option --interpreter of %post needs a value"),
        ("%post --nochroot=yes\n%end", "x.ks, line 1: option --nochroot of %post takes no value"),
        ("%post --log=x.log\n%end", "x.ks, line 1: option --log of %post: x.log is not an absolute path"),
        ("%pack 'x\n%end", "x.ks, line 1: %pack: no closing quotation"),
        ("%packages\nvim emacs\n%end", "x.ks, line 2: vim emacs: more than one name in a line of %packages"),
        ("%packages\n--nocore\n%end", "x.ks, line 2: --nocore is not a package name"),
        ("%packages\nhttp://x/y.rpm\n%end", "x.ks, line 2: http://x/y.rpm is not a package name"),
        (
            "%packages\n@core --nodefault\n%end",
            "x.ks, line 2: unknown option --nodefault of a group (did you mean --nod",
        ),
        ("%packages\n@\n%end", "x.ks, line 2: @ is not the name of a group"),
        ("%packages\n%foo\n%end", "x.ks, line 2: %foo is not something that %packages can have"),
        ("%prepackages\n@core\n%end", "x.ks, line 2: @core: %prepackages takes names of packages only"),
        ("%attachment\n/boot/../../etc\n%end", "x.ks, line 2: /boot/../../etc is not a path in the image"),
        ("%include other.ks", "x.ks, line 1: included file other.ks cannot be followed here"),
    ],
)
def test_a_mistake_is_told_with_line_and_nearest_word(text: str, message: str) -> None:
    error = refusal(text)
    assert error.message.startswith(message)
    assert error.remedy
    assert "\n" not in str(error)


def test_all_mistakes_come_at_once_in_the_order_of_their_lines() -> None:
    error = refusal("%packages\na b\n%end\nfoo\nlang en\nbar\n")
    assert [mistake.place.line for mistake in error.mistakes] == [2, 4, 6]
    assert error.message.endswith("; 2 more mistakes (lines 4, 6), `img ks check FILE` tells them all")


def test_junk_is_not_told_line_by_line() -> None:
    error = refusal("nonsense\n" * 3000)
    assert len(error.mistakes) == 50
    assert "at least 49 more mistakes" in error.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x7fELF\x02\x01\x01\0\0\0", "zero byte: this is binary data"),
        (b"lang en\n" + b"#" * (8 * 2**20), "8 MiB is too large"),
        (b"\n" * 200_001, "more than 200000 lines"),
        ("lang en".encode("utf-16"), "is UTF-16 text"),
        (b"", "no command and no section"),
        (b"# only a comment\n", "no command and no section"),
        (b"lang en\n" * 5001, "more than 5000 commands"),
    ],
)
def test_what_is_no_kickstart_is_refused_in_one_line(content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read(content, "x.ks")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbflang en\n", "en"),
        ("user --name=a --gecos='Jürgen'\n".encode(), "Jürgen"),
        ("user --name=a --gecos='Jürgen'\n".encode("latin-1"), "Jürgen"),
        (b"lang en\r\n%post\r\ntrue\r\n%end\r\n", "en"),
    ],
)
def test_encodings_and_line_ends_of_the_field_are_read(content: bytes, expected: str) -> None:
    (command, *_) = read(content, "x.ks").commands
    assert expected in (command.values.get("lang"), command.values.get("gecos"))


def test_a_script_has_unix_line_ends_whatever_the_file_has() -> None:
    (script,) = read(b"%post\r\necho a\r\necho b\r\n%end\r\n", "x.ks").scripts
    assert script.body == "echo a\necho b\n"


@pytest.mark.parametrize(
    "line",
    [
        "desktop --autologinuser=meego --defaultdesktop=DUI --session=/usr/bin/x --defaultdm=gdm",
        "repo --name=a --baseurl=http://x --save --debuginfo --source --disable --ssl_verify=no --cost=4",
        "repo --name=a --baseurl=http://x --proxy=p --proxyuser=u --proxypasswd=s --gpgkey=file:///k --priority=3",
        "bootloader --location=mbr --timeout=5 --menus=",
        "bootloader --menus='autoinst:Installation:systemd.unit=x'",
        "part / --size=4 --align=8",
        "btrfs / --subvol --parent=root --name=home --quota",
        "btrfs / --snapshot --base=home --name=snap",
        "auth --useshadow --enablemd5",
        "authconfig --enableshadow",
        "logging --level=info",
        "install",
        "timezone --isUtc America/Los_Angeles",
        "keyboard us# a comment",
        "interactive",
        "part / --size=3 --start=1 --end=4",
        "part / --size=3 --active --bytes-per-inode=4096 --align=8 --mkfsoptions=x",
        "bootloader --lba32 --driveorder=sda --menus= --boot-drive=sda",
    ],
)
def test_the_dialects_of_the_field_are_read(line: str) -> None:
    assert parse(line).commands[0].name == line.split()[0]


def test_every_command_of_every_version_is_known() -> None:
    assert {"langsupport", "lilo", "upgrade", "syspurpose", "desktop", "part", "partition"} <= names()


def test_the_options_that_a_line_gives_are_known_by_their_attribute_even_abbreviated() -> None:
    (command,) = parse("bootloader --app='a=b' --timeout 3").commands
    assert command.given == {"appendLine": "--append", "timeout": "--timeout"}
    assert command.values["appendLine"] == "a=b"


def test_two_lines_of_a_command_do_not_mix() -> None:
    first, second = parse("services --enabled=a\nservices --disabled=b\n").commands
    assert first.values["enabled"] == ["a"]
    assert (second.values["enabled"], second.values["disabled"]) == ([], ["b"])


def test_two_kickstarts_do_not_mix() -> None:
    parse("desktop --autologinuser=meego\nrepo --name=a --baseurl=http://x --save")
    command, repo = parse("desktop\nrepo --name=a --baseurl=http://x").commands
    assert not command.values["autologinuser"]
    assert not repo.values["save"]


def test_tokens_are_replaced_everywhere() -> None:
    text = (
        "repo --name=a-@ARCH@ --baseurl=http://x/@RELEASE@/\n"
        "%packages\nfoo-@ARCH@\n%end\n%post\necho @ARCH@@X@\n%end\n"
    )
    read_in = parse(text, tokens={"ARCH": "i486", "RELEASE": "4.5"})
    assert read_in.commands[0].values["name"] == "a-i486"
    assert read_in.commands[0].values["baseurl"] == "http://x/4.5/"
    assert read_in.packages[0].entries[0].name == "foo-i486"
    assert read_in.scripts[0].body == "echo i486@X@\n"
    assert "foo-i486" in read_in.text


@pytest.mark.parametrize(
    "line",
    ["repo --name=a --baseurl=http://x/@RELEASE@/", "repo --name=@A@ --baseurl=http://x", "url --url=http://@HOST@/"],
)
def test_a_token_without_value_in_a_repository_is_a_mistake_with_its_name(line: str) -> None:
    error = refusal(f"lang en\n{line}\n")
    assert error.message.startswith("x.ks, line 2: token @")
    assert "--tokenmap" in error.remedy


def test_a_token_without_value_elsewhere_is_a_warning() -> None:
    assert parse("lang @LANG@\n").warnings == ("x.ks, line 1: token @LANG@ of lang has no value",)


def test_the_value_of_a_token_is_not_searched_for_tokens_again() -> None:
    assert parse("%post\n@A@ @AB@\n%end", tokens={"A": "@AB@", "AB": "x"}).scripts[0].body == "@AB@ x\n"


def test_a_token_value_of_two_lines_is_refused() -> None:
    with pytest.raises(InputError, match="token A has a value of more than one line"):
        parse(SMALL, tokens={"A": "x\nrootpw y"})


def test_here_documents_hide_sections() -> None:
    text = (
        "%post\ncat > x <<EOF\n%packages\n%end\n%include /etc/passwd\nEOF\ncat <<-'E'\n%end\n\tE\necho end\n%end\n"
        + SMALL
    )
    (script,) = parse(text).scripts
    assert script.body.endswith("\tE\necho end\n")


def test_what_only_looks_like_a_here_document_hides_nothing() -> None:
    text = "%post\necho $((1<<N))\n# cat <<EOF\ncat <<< word\n%end\n%packages\na\n%end\n"
    assert [entry.name for entry in parse(text).packages[0].entries] == ["a"]


_AFTER = "%end\n%packages\nvim\n%end\n%post --nochroot\ncat >x <<EOF\ny\nEOF\n%end\n"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param('echo "use cat <<EOF to write"', id="in double quotes"),
        pytest.param("echo 'use cat <<EOF to write'", id="in single quotes"),
        pytest.param("true # cat <<EOF", id="in a comment"),
        pytest.param("echo \\<<EOF", id="escaped"),
        pytest.param("cat <<EOF\nx\n  EOF", id="with an indented end"),
        pytest.param("cat <<EOF\nx", id="without an end"),
    ],
)
def test_what_begins_no_here_document_or_has_no_end_takes_no_other_section_in(line: str) -> None:
    found = parse(f"%post\n{line}\n{_AFTER}")
    assert [entry.name for entry in found.packages[0].entries] == ["vim"]
    assert [(script.body, script.chroot) for script in found.scripts] == [
        (f"{line}\n", True),
        ("cat >x <<EOF\ny\nEOF\n", False),
    ]


@pytest.mark.parametrize(
    "line",
    ['x="$(cat <<EOF', "awk '\n{print}\n' <<EOF", 'sh -c "$(cat <<EOF)"', 'cat \'\' "" <<"EOF" # it\'s', "a <<-EOF"],
)
def test_a_here_document_is_seen_behind_quotes_and_in_a_substitution(line: str) -> None:
    (script,) = parse(f"%post\n{line}\n%packages\n%end\nEOF\n%end\n{SMALL}").scripts
    assert script.body.endswith("%packages\n%end\nEOF\n")


def test_a_kickstart_from_before_end_was_needed_is_read_with_a_warning() -> None:
    found = parse("lang en\n%packages\na\n%post\ntrue\n")
    assert found.packages[0].entries[0].name == "a"
    assert found.scripts[0].body == "true\n"
    assert len(found.warnings) == 2


def test_package_lists_are_read_with_their_lines() -> None:
    text = (
        "%packages --excludedocs --instLangs=en:de --nocore\n# c\n@core --nodefaults\n@MeeGo Base # x\n-vim*\n-@kde\n"
        "@^env\n@nodejs:20/minimal\nperl(Foo::Bar)\n/usr/bin/x\n%end"
    )
    (section,) = parse(text).packages
    assert section.options == {"excludedocs": "", "inst-langs": "en:de", "nocore": ""}
    assert [(e.kind, e.name, e.excluded, e.include, e.place.line) for e in section.entries] == [
        ("group", "core", False, "required", 3),
        ("group", "MeeGo Base", False, "default", 4),
        ("package", "vim*", True, "default", 5),
        ("group", "kde", True, "default", 6),
        ("environment", "env", False, "default", 7),
        ("module", "nodejs:20/minimal", False, "default", 8),
        ("package", "perl(Foo::Bar)", False, "default", 9),
        ("package", "/usr/bin/x", False, "default", 10),
    ]


def test_mics_header_is_read() -> None:
    header = parse("# -*-mic2-options-*- -f raw --arch=i586 --pkgmgr=zypp -*-mic2-options-*-\n" + SMALL).header
    assert (header.image_type, header.arch) == ("raw", "i586")


class TestInclude:
    def refusal(self, root: Path, text: str) -> KickstartError:
        return refusal(text, root=root)

    def test_files_beside_the_kickstart_are_included_with_tokens_and_relative_to_themselves(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub/a.ks").write_text("lang @L@\n%include b.ks\n")
        (tmp_path / "sub/b.ks").write_text("keyboard us")
        (tmp_path / "list").write_text("vim\n")
        text = "\n%include sub/@A@.ks\ntimezone UTC\n%packages\n%include list\n%end\n%ksappend list-of-none\n"
        (tmp_path / "list-of-none").write_text("# nothing\n")
        found = parse(text, root=tmp_path, tokens={"L": "de", "A": "a"})
        assert [command.name for command in found.commands] == ["lang", "keyboard", "timezone"]
        assert [(str(c.place), c.place.outer) for c in found.commands] == [
            ("sub/a.ks, line 1", 2),
            ("sub/b.ks, line 1", 2),
            ("x.ks, line 3", 3),
        ]
        assert found.packages[0].entries[0].name == "vim"
        assert found.text == "\nlang de\nkeyboard us\ntimezone UTC\n%packages\nvim\n%end\n# nothing\n"

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("http://x/y.ks", "is a URL"),
            ("/etc/passwd", "is an absolute path"),
            ("../outside.ks", "is outside the directory of the kickstart"),
            ("link.ks", "is outside the directory of the kickstart"),
            ("missing.ks", "is not there"),
            ("directory", "cannot be read: it is not a file"),
            ("pipe", "cannot be read: it is not a file"),
            ("binary", "a zero byte"),
            ("x.ks", "includes itself"),
            ("loop.ks", "includes itself"),
        ],
    )
    def test_only_files_inside_the_root_are_opened(self, tmp_path: Path, given: str, words: str) -> None:
        root = tmp_path / "root"
        (root / "directory").mkdir(parents=True)
        (tmp_path / "outside.ks").write_text("lang en\n")
        (root / "link.ks").symlink_to(tmp_path / "outside.ks")
        os.mkfifo(root / "pipe")
        (root / "binary").write_bytes(b"\0")
        (root / "x.ks").write_text("%include x.ks\n")
        (root / "loop.ks").write_text("%include loop2.ks\n")
        (root / "loop2.ks").write_text("%include loop.ks\n")
        error = self.refusal(root, f"lang en\n%include {given}\n")
        assert words in error.message
        assert error.mistakes[0].place.outer == 2

    def test_a_mistake_in_an_included_file_names_that_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.ks").write_text("lang en\nfoo\n")
        assert self.refusal(tmp_path, "%include a.ks").message.startswith("a.ks, line 2: unknown command foo")

    def test_a_kickstart_in_a_directory_includes_its_neighbours(self, tmp_path: Path) -> None:
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub/a.ks").write_text("lang en\n")
        assert read(b"%include a.ks\n", "sub/x.ks", root=tmp_path).commands[0].name == "lang"

    def test_depth_number_and_size_are_bounded(self, tmp_path: Path) -> None:
        for number in range(30):
            (tmp_path / f"{number}.ks").write_text(f"%include {number + 1}.ks\n")
        assert "files deep" in self.refusal(tmp_path, "%include 0.ks").message
        (tmp_path / "blank.ks").write_text("\n")
        assert "one of more than 1000" in self.refusal(tmp_path, "%include blank.ks\n" * 1001).message
        (tmp_path / "big.ks").write_text("#" * 5 * 2**20)
        assert "too large together" in self.refusal(tmp_path, "%include big.ks\n" * 2).message


_WORDS = st.sampled_from(
    [
        *sorted(names()),
        *sorted(SECTIONS),
        "%end",
        "%include",
        "--name=a",
        "--size=3",
        "/",
        "@core",
        "'",
        '"',
        "#",
        "<<E",
        "E",
    ]
)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=300))
@example(b"\xff")
@example(b"%")
@example("\x85 %attachment".encode())
@example(b"%packages\n@^\n%end")
@example(b"# -*-mic2-options-*- ' -*-mic2-options-*-")
def test_any_bytes_are_read_or_refused_with_an_input_error(content: bytes) -> None:
    try:
        read(content, "x.ks")
    except InputError as error:
        assert str(error).isprintable()


@settings(deadline=None, max_examples=400)
@given(st.lists(st.lists(_WORDS | st.text(max_size=8), max_size=5).map(" ".join), max_size=12).map("\n".join))
def test_any_mixture_of_words_is_read_or_refused_with_an_input_error(text: str) -> None:
    try:
        found = read(text.encode("utf-8", "replace"), "x.ks")
    except InputError as error:
        assert str(error).isprintable()
    else:
        assert found.commands or found.packages or found.scripts or found.prepackages or found.attachments


def test_a_kickstart_that_includes_nothing_is_read_once_for_all_who_ask(tmp_path: Path) -> None:
    first = parse("lang @LANG@\n", root=tmp_path, tokens={"LANG": "en"})
    assert parse("lang @LANG@\n", tokens={"LANG": "en"}) is first
    assert parse("lang @LANG@\n", tokens={"LANG": "de"}).commands[0].words != first.commands[0].words


@pytest.mark.parametrize(
    ("line", "token"), [("%include more", ""), ("%@X@", "include more"), ("@X@", "%include more")]
)
def test_a_file_that_is_included_is_read_anew_each_time(tmp_path: Path, line: str, token: str) -> None:
    found = []
    for language in ("en", "de"):
        (tmp_path / "more").write_text(f"lang {language}\n")
        found.append(parse(f"timezone UTC\n{line}\n", root=tmp_path, tokens={"X": token}).commands[1].values["lang"])
    assert found == ["en", "de"]
