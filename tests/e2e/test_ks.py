# SPDX-License-Identifier: GPL-2.0-or-later
"""What a build master does with `img ks`."""

import json
from pathlib import Path

import pytest

from tests.support.img import Done, Home

WRONG = """lang en_US.UTF-8
autpart
part / --size=100 --fstipe=ext4
rootpw hunter2
repo --name=a --baseurl=http://x.org/a
%packages
vim
-vim
%end
%post
if true; then
%end
"""
MIC = """# -*-mic2-options-*- -f raw --arch=i586 -*-mic2-options-*-
# mine
lang en_US.UTF-8
repo --name=oss --baseurl=http://x.org/oss --save --ssl_verify=no
part / --size=500 --fstype=ext4 --align=8
desktop --autologinuser=me  # log in
%packages
vim
%end
%attachment
/boot/vmlinuz
%end
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def ks(home: Home, *arguments: str | Path, text: str = "") -> Done:
    return home.img("ks", *arguments, directory=home.path, text=text)


def test_check_tells_everything_at_once_in_the_form_that_editors_read(home: Home) -> None:
    home.kickstart(WRONG, "x.ks")
    done = ks(home, "check", "x.ks")
    told = [line for line in done.out.splitlines() if line.startswith("x.ks:")]
    assert done.code == 1
    assert [line.split(": ", 2)[:2] for line in told] == [
        ["x.ks:2:1", "error"],
        ["x.ks:2:1", "warning"],
        ["x.ks:3:19", "error"],
        ["x.ks:4:1", "warning"],
        ["x.ks:8:2", "warning"],
        ["x.ks:11", "warning"],
    ]
    assert "comes closest, but not with lines 2, 3" in told[1]
    assert "(did you mean --fstype?)" in told[2]
    assert "    part / --size=100 --fstipe=ext4\n                      ^\n" in done.out
    assert "hunter2" not in done.out + done.err
    assert done.err == "1 kickstart: 2 errors, 4 warnings, no notes\n"


def test_check_points_at_the_word_also_behind_a_secret_and_names_files_as_uris(home: Home) -> None:
    home.kickstart("repo --name=a --baseurl=http://me:hidden@x/ --nonsense\nlang C\n", "a b.ks")
    out = ks(home, "check", "a b.ks").out.splitlines()
    line = next(number for number, each in enumerate(out) if "unknown option --nonsense" in each)
    assert out[line].startswith("a b.ks:1:45: error")
    assert out[line + 1 : line + 3] == [
        "    repo --name=a --baseurl=http://***@x/ --nonsense",
        "                                          ^",
    ]
    run = ks(home, "check", "a b.ks", "--format", "sarif").record["runs"][0]
    assert run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "a%20b.ks"


def test_diff_and_augment_tell_every_mistake_with_its_place(home: Home) -> None:
    home.kickstart(WRONG, "x.ks")
    home.kickstart("lang C\n", "y.ks")
    done = ks(home, "diff", "y.ks", "x.ks")
    assert (done.code, done.out) == (2, "")
    assert [each.partition(": ")[0] for each in done.err.splitlines() if "error" in each] == ["x.ks:2:1", "x.ks:3:19"]
    done = ks(home, "augment", "x.ks", "--package", "a b", "--remove-command", "c d", "--remove-repo", "")
    assert done.code == 2
    assert [each[:4] for each in done.err.splitlines()] == ["img:"] * 3


def test_augment_knows_the_tokens_that_a_build_would_know(home: Home) -> None:
    home.kickstart("lang C\n", "x.ks")
    done = ks(home, "augment", "x.ks", "--extra-repo", "a=http://x/@ARCH@/@RELEASE@/")
    assert done.out == "lang C\nrepo --name=a --baseurl=http://x/@ARCH@/@RELEASE@/\n"
    done = ks(home, "augment", "x.ks", "--extra-repo", "a=http://x/@HOST@/")
    assert done.code == 2
    assert done.err.startswith("x.ks:2:34: error: token @HOST@ of repo has no value")


def test_a_linked_kickstart_includes_what_is_beside_itself(home: Home) -> None:
    path = home.kickstart("%include part.ks\n", "there/x.ks")
    home.kickstart("lang C\n", "there/part.ks")
    (home.path / "links").mkdir()
    (home.path / "links/y.ks").symlink_to(path)
    assert "lang C" in ks(home, "show", "links/y.ks").out


def test_check_is_quiet_and_ends_well_where_nothing_is_wrong(home: Home) -> None:
    home.kickstart("lang C\nrepo --name=a --baseurl=http://x/\npart / --size=500\n%packages\na\n%end\n", "x.ks")
    done = ks(home, "check", "x.ks", "--strict")
    assert (done.code, done.out) == (0, "")


def test_check_writes_json_sarif_and_what_github_shows(home: Home) -> None:
    home.kickstart(WRONG, "x.ks")
    found = ks(home, "check", "x.ks", "--json").record
    assert (found[0]["file"], found[0]["line"], found[0]["grade"], found[0]["rule"]) == ("x.ks", 2, "error", "syntax")  # type: ignore[index]
    run = ks(home, "check", "x.ks", "--format", "sarif").record["runs"][0]
    region = run["results"][2]["locations"][0]["physicalLocation"]["region"]
    assert (region["startLine"], region["startColumn"]) == (3, 19)
    assert {each["ruleId"] for each in run["results"]} == {each["id"] for each in run["tool"]["driver"]["rules"]}
    github = ks(home, "check", "x.ks", "--format", "github").out.splitlines()
    assert github[0].startswith("::error file=x.ks,line=2,col=1,title=syntax::unknown command autpart")


def test_check_of_a_directory_looks_at_every_kickstart_in_it(home: Home) -> None:
    for number in range(20):
        home.kickstart(WRONG if number == 7 else "lang C\n", f"many/{number}.ks")
    done = ks(home, "check", "many")
    assert done.code == 1
    assert "many/7.ks:2:1: error" in done.out
    assert done.err.startswith("20 kickstarts: 2 errors")


def test_check_says_what_each_tool_ignores_or_refuses(home: Home) -> None:
    home.kickstart(MIC.replace("desktop", "autopart\ndesktop"), "x.ks")
    done = ks(home, "check", "x.ks", "--grade", "note")
    assert "warning: builtin: autopart is not something that the built-in creator does" in done.out
    assert "note: mic, mic2: autopart is ignored" in done.out
    assert "warning: mic2: %attachment is ignored" in done.out
    assert ks(home, "check", "x.ks").code == 0
    assert ks(home, "check", "x.ks", "--tool", "builtin").code == 1


def test_check_holds_a_kickstart_to_a_dialect(home: Home) -> None:
    home.kickstart(MIC, "x.ks")
    done = ks(home, "check", "x.ks", "--dialect", "rhel9")
    assert "x.ks:6:1: error: command desktop is none of rhel9" in done.out
    assert "x.ks:10:1: error: section %attachment is none of rhel9" in done.out
    wrong = ks(home, "check", "x.ks", "--dialect", "rhle9")
    assert wrong.code == 2
    assert "did you mean rhel9" in wrong.err


def test_check_reads_standard_input(home: Home) -> None:
    home.path.mkdir(exist_ok=True)
    assert "<stdin>:2:1: error" in ks(home, "check", "-", text="lang C\nautpart\n").out


def test_show_is_a_table_with_the_disks_as_a_picture_and_no_secrets(home: Home) -> None:
    home.kickstart(MIC + "rootpw hunter2\n", "x.ks")
    done = ks(home, "show", "x.ks")
    assert done.code == 0
    assert "x.ks: raw, i586" in done.out
    assert "  oss  http://x.org/oss  (saved)" in done.out
    assert "| 500 MiB " in done.out
    assert "hunter2" not in done.out
    values = ks(home, "show", "x.ks", "--json").record
    assert (values["dialect"], values["packages"]) == ("mic", ["vim"])
    assert values["partitions"][0]["size"] == 500


def test_diff_is_by_meaning(home: Home) -> None:
    home.kickstart(MIC, "a.ks")
    home.kickstart(
        MIC.replace("# mine\n", "").replace("--size=500 --fstype=ext4", "--fstype ext4 --size 500"), "b.ks"
    )
    assert ks(home, "diff", "a.ks", "b.ks").code == 0
    home.kickstart(MIC.replace("500", "900").replace("vim", "emacs"), "b.ks")
    done = ks(home, "diff", "a.ks", "b.ks")
    assert done.code == 1
    assert "command part /: differs\n" in done.out
    assert "package vim: gone\npackage emacs: added\n" in done.out


def test_augment_changes_only_what_is_asked_and_prints_or_writes_it(home: Home) -> None:
    path = home.kickstart(MIC, "x.ks")
    done = ks(home, "augment", "x.ks", "--package", "mc", "--set", "lang C")
    assert done.out == MIC.replace("vim\n", "vim\nmc\n").replace("en_US.UTF-8", "C")
    assert path.read_text() == MIC
    assert ks(home, "augment", "x.ks", "--package", "mc", "--diff").out.count("\n+") == 2
    path.chmod(0o600)
    assert ks(home, "augment", "x.ks", "--package", "mc", "-i").code == 0
    assert path.read_text() == MIC.replace("vim\n", "vim\nmc\n")
    assert path.stat().st_mode & 0o777 == 0o600
    again = ks(home, "augment", "x.ks", "--package", "mc", "-i")
    assert again.err == "x.ks: nothing to change\n"


def test_augment_and_convert_write_in_the_encoding_that_they_read(home: Home) -> None:
    path = home.kickstart(MIC, "x.ks")
    for before in (b"\xef\xbb\xbf# \xc3\xa9\n", b"# \xe9\n", b"# \xc3\xa9 \xe9\n"):
        path.write_bytes(before + MIC.encode())
        assert ks(home, "augment", "x.ks", "--package", "mc", "-i").code == 0
        assert path.read_bytes() == before + MIC.replace("vim\n", "vim\nmc\n").encode()
        ks(home, "convert", "x.ks", "--to", "fedora", "-o", "new.ks")
        assert (home.path / "new.ks").read_bytes().startswith(before)
    refused = ks(home, "augment", "x.ks", "--set", "lang ł", "-i")
    assert (refused.code, "x.ks is not UTF-8, and 'ł' cannot be written" in refused.err) == (2, True)


def test_augment_tells_a_conflict_and_writes_nothing(home: Home) -> None:
    path = home.kickstart(MIC, "x.ks")
    done = ks(home, "augment", "x.ks", "--extra-repo", "oss=http://other/", "-i")
    assert done.code == 2
    assert "has a repository of that name with another URL" in done.err
    assert path.read_text() == MIC


def test_convert_says_what_cannot_be_carried_over(home: Home) -> None:
    home.kickstart(MIC, "x.ks")
    done = ks(home, "convert", "x.ks", "--to", "fedora", "-o", "new.ks")
    assert done.code == 1
    assert "x.ks:6: warning: desktop cannot be carried over to fedora" in done.err
    converted = (home.path / "new.ks").read_text()
    assert "repo --name=oss --baseurl=http://x.org/oss --install --noverifyssl\n" in converted
    assert "part / --size=500 --fstype=ext4\n" in converted
    assert "# %attachment\n# /boot/vmlinuz\n# %end\n" in converted
    assert ks(home, "check", "new.ks", "--dialect", "fedora", "--tool", "mic").code == 0


@pytest.mark.parametrize("name", ["check", "show", "diff", "augment", "convert"])
def test_every_subcommand_has_help_and_says_what_is_missing(home: Home, name: str) -> None:
    home.path.mkdir(exist_ok=True)
    assert "Exit codes" in ks(home, name, "--help").out
    assert ks(home, name).code == 2
    missing = ks(
        home, name, "none.ks", *(["none.ks"] if name == "diff" else []), *(["--to=mic"] * (name == "convert"))
    )
    assert missing.code == 2
    assert "none.ks cannot be read: No such file" in missing.err


def test_the_json_of_a_change_has_text_and_diff(home: Home) -> None:
    home.kickstart(MIC, "x.ks")
    done = json.loads(ks(home, "augment", "x.ks", "--package", "mc", "--json").out)
    assert "mc\n" in done["kickstart"]
    assert "+mc\n" in done["diff"]
