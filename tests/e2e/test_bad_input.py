# SPDX-License-Identifier: GPL-2.0-or-later
"""Whatever is wrong with what a person gives: one line that says what, where and what to do; nothing changes."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import small
from tests.support.img import IMG, Done, Home, at_once, listing
from tests.support.machine import nothing_left
from tests.support.sandboxes import as_stranger

LONG = "a" * 300
MARKUP = "<script>alert(1)</script>"
ESCAPE = "\x1b]0;owned\x07\x1b[31mred"
#: What a name is attacked with, whatever it is the name of.
HOSTILE = (
    "a/b", "..", "../../etc/passwd", "a\nb", "a\n%post\nid", "-x", "--outdir=/tmp/injected", LONG, MARKUP,
    "$(touch /tmp/injected)", "a b", " ", "", "'", ESCAPE, b"\xff\xfe", "é\u202e",
)  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Home:
    """A home in which an image was built."""
    home = Home(tmp_path_factory.mktemp("used"))
    home.build(home.kickstart(small.kickstart(repository)), "--type", "fs")
    return home


@pytest.fixture
def used(built: Home) -> Iterator[Home]:
    """A home with a job in its spool; it must not change, and nothing be left, whatever is refused."""
    before = listing(built.path)
    with nothing_left():
        yield built
    assert listing(built.path) == before


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Home]:
    """A home in which nothing was built; nothing may be made in it, and nothing be left."""
    home = Home(tmp_path / "fresh")
    with nothing_left():
        yield home
    assert list(home.path.iterdir()) == []


def refused(done: Done, *pieces: str, code: int = 2) -> str:
    """Check that `img` said one line, with these pieces and a remedy; that line."""
    assert done.code == code, done
    assert done.out == ""
    lines = done.err.splitlines()
    assert len(lines) == 1, done.err
    assert re.fullmatch(r"img: [^(]+.*\(.+\)", lines[0]), lines[0]
    assert lines[0].isprintable() and len(lines[0]) < 700, lines[0]
    for piece in pieces:
        assert piece in lines[0], (piece, lines[0])
    return lines[0]


def a_stranger(home: Home, *environment: str) -> Home:
    """The same home, used by somebody who owns nothing of it."""
    return Home(home.path, command=as_stranger(["env", *(environment or ["HOME=/"]), str(IMG)]))


def recognisable(value: str | bytes) -> str:
    """The first characters of a value that a message shows as they are."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return (re.findall(r"[A-Za-z0-9/.;|<>()$]{1,20}", text) or [""])[0]


def check_option(home: Home, called: str, option: str, values: tuple[str | bytes, ...], *more: str) -> None:
    """Each of `values` of `option` is refused with a line that names the field as `called` and the value."""

    def attempt(value: str | bytes) -> Done:
        word = option.encode() + b"=" + value if isinstance(value, bytes) else f"{option}={value}"
        return home.img("build", home.path / "image.ks", *more, word)

    for value, done in zip(values, at_once(attempt, values), strict=True):
        line = refused(done, recognisable(value))
        assert re.search(rf"^img: (field )?({called})\b", line) or f"{option}'" in line or f"{option}:" in line, line


# --- the kickstart


def test_a_kickstart_that_is_not_there_is_named(fresh: Home) -> None:
    refused(fresh.img("build", "/nonexistent/device.ks"), "kickstart /nonexistent/device.ks is not there", "check")
    refused(fresh.img("build", "/etc/passwd/device.ks"), "/etc/passwd/device.ks", "check the path")
    refused(fresh.img("build", "/" + "a" * 300), "aaaa", "check the path")
    refused(fresh.img("build", ""), "KS", "it is empty")
    refused(fresh.img("build", "-"), "kickstart - is not there")


def test_a_hostile_name_of_a_kickstart_cannot_break_the_message(fresh: Home) -> None:
    for name in ("a\nb.ks", ESCAPE, b"\xff.ks", MARKUP, "\u202ea.ks"):
        refused(fresh.img("build", name), "is not there")


def test_a_directory_a_device_and_a_pipe_s_end_are_no_kickstart(fresh: Home) -> None:
    refused(fresh.img("build", "/etc"), "kickstart /etc is a directory", "give a file in it")
    refused(fresh.img("build", "/dev/zero"), "kickstart /dev/zero is not a file")
    refused(fresh.img("build", "/dev/stdin"), "kickstart /dev/stdin is empty")


def test_a_kickstart_that_may_not_be_read_is_named(used: Home) -> None:
    refused(
        a_stranger(used).img("build", "/etc/shadow"),
        "kickstart /etc/shadow cannot be read: Permission denied",
        "check the path and its permissions",
    )


@pytest.mark.parametrize(
    ("content", "pieces"),
    [
        (b"", ("image.ks is empty",)),
        (b"\n\n  \n", ("image.ks is empty",)),
        (b"# nothing\n", ("image.ks",)),
        (b"\x7fELF\x02\x01\x01\0\0\0", ("image.ks, line 1", "zero byte", "binary")),
        (bytes(range(256)) * 100, ("image.ks, line 1", "binary")),
        (bytes(each for each in range(1, 256)) * 100, ("image.ks", "line")),
        (b"\xff\xfeh\0i\0", ("image.ks", "UTF-16", "UTF-8")),
        (b"PK\3\4 is a zip file\n" * 3, ("image.ks, line 1", "PK")),
        (b"fly --to=the-moon\n%packages\n%end\n", ("image.ks, line 1", "fly")),
        (b"part / --size=10 --fstipe=ext4\n%packages\na\n%end\n", ("line 1", "--fstipe", "did you mean --fstype")),
        (b"%packages\n--outdir=/tmp\n%end\n", ("line 2", "--outdir")),
        (b"%packages\n../../x\n%end\n", ("line 2", "../../x")),
        (b"repo --name=a --baseurl=javascript:alert(1)\n%packages\na\n%end\n", ("line 1", "javascript")),
        (b"%include /etc/passwd\n", ("line 1", "/etc/passwd", "absolute path")),
        (b"%include ../../../../etc/passwd\n", ("line 1", "../etc/passwd")),
        (b"%include nowhere.ks\n", ("line 1", "nowhere.ks", "is not there")),
        (b"%include http://127.0.0.1:9/x.ks\n", ("line 1", "127.0.0.1:9", "is a URL")),
        (b"%include image.ks\n", ("line 1", "image.ks", "includes itself")),
        (b"a" * (1 << 20) + b"\n", ("image.ks, line 1", "a line of 1048576 characters")),
        (b"\n" * 300_000, ("image.ks", "lines")),
    ],
    ids=lambda each: repr(each)[:30] if isinstance(each, bytes) else "",
)
def test_content_that_is_no_kickstart_is_refused_with_its_line(
    fresh: Home, tmp_path: Path, content: bytes, pieces: tuple[str, ...]
) -> None:
    path = tmp_path / "image.ks"
    path.write_bytes(content)
    refused(fresh.img("build", path, "--type", "fs"), *pieces)


def test_a_hundred_megabytes_are_refused_and_not_read(fresh: Home, tmp_path: Path) -> None:
    holes, full = tmp_path / "holes.ks", tmp_path / "full.ks"
    with holes.open("wb") as file:
        file.truncate(100 << 20)
    with full.open("wb") as file:
        for _ in range(100):
            file.write(b"%packages\n" * (1 << 20 // 10))
        file.truncate(100 << 20)
    for path in (holes, full):
        refused(fresh.img("build", path), path.name, "too large for a kickstart", "8 MiB")


def test_a_kickstart_s_name_that_cannot_be_an_image_s_asks_for_one(fresh: Home, tmp_path: Path) -> None:
    path = tmp_path / "my image.ks"
    path.write_text("%packages\na\n%end\n")
    refused(fresh.img("build", path), "my image", "--name")


# --- the options


@pytest.mark.parametrize(
    ("field", "option"), [("name", "--name"), ("prefix", "--prefix"), ("arch", "--arch"), ("tag", "--tag")]
)
def test_a_hostile_value_of_an_option_is_refused(used: Home, field: str, option: str) -> None:
    values = tuple(each for each in HOSTILE if (option, each) != ("--prefix", "a/b"))
    check_option(used, f"{field}s?", option, values, "--type=fs")


def test_a_hostile_type_is_refused(used: Home) -> None:
    check_option(used, "image_type", "--type", (*HOSTILE, "iso", "FS", "raw "))


@pytest.mark.parametrize("option", ["--executor", "--tool"])
def test_a_hostile_executor_or_tool_is_refused(used: Home, option: str) -> None:
    check_option(used, option.strip("-"), option, (*HOSTILE, "kvm", "/bin/sh"), "--type=fs")


@pytest.mark.parametrize(("field", "option"), [("packages", "--package"), ("groups", "--group")])
def test_a_hostile_package_or_group_is_refused(used: Home, field: str, option: str) -> None:
    more = ("@core", "%post", "#a", "http://127.0.0.1/a.rpm", "/tmp/a.rpm", "a,b")
    inner_space = {"a b"} if option == "--group" else set()
    check_option(
        used, field, option, tuple(each for each in (*HOSTILE, *more) if each not in inner_space), "--type=fs"
    )


def test_a_hostile_repository_is_refused(used: Home) -> None:
    values = (
        *HOSTILE, "javascript:alert(1)", "data:text/html,x", "ssh://host/x", "http://", "file://etc",
        "http://a b/", 'http://a/"x', "http://a/\nrepo --name=x", "a=b", "x=--baseurl=/y", "-c=http://a/", "a/b=http://a/",
        "repo", "repo --name=a", "repo --name=a --baseurl=/x --install=/y", "a=file://etc", f"http://{'a' * 3000}/",
    )  # fmt: skip
    check_option(used, "field extra_repos|extra repository|repository", "--extra-repo", values, "--type=fs")


def test_a_hostile_token_is_refused(used: Home) -> None:
    values = (
        *(each for each in HOSTILE if each not in ("", " ")), "A", "A:x\ny", f"A:{ESCAPE}", f"{LONG}:x", "1A:x",
        "A-B:x", ":", "A B:x", f"A:{'x' * 3000}", "A:1,B", "--x:y",
    )  # fmt: skip
    check_option(used, "tokenmap", "--tokenmap", values, "--type=fs")


def test_options_of_the_tool_cannot_take_the_job_out_of_its_place(used: Home) -> None:
    values = (
        *HOSTILE, "-o/tmp/injected", "-o", "--logfile=/tmp/injected", "--config=/tmp/x", "-c",
        "--cachedir=/", "--arch=i586", "--pack-to=../x.tar", "--pack-to=/tmp/x.tar", "--pack-to=a\nb", "--pack-to=",
        "--pack-to", "--pack-to=-x.tar", f"--pack-to={MARKUP}.tar", f"--pack-to={LONG}", "--compress-image=rm",
        "--copy-kernel=yes", "--unknown", "--local-pkgs-path=/", "--runtime=bootstrap", "--help", "--pack-to=x.exe",
    )  # fmt: skip
    check_option(used, "extra_opts|extra option", "--opt", values, "--type=fs")


def test_a_time_limit_that_is_none_is_refused(used: Home) -> None:
    values = (*HOSTILE, "0", "-5", "5 weeks", "nan", "inf", "1e3", "4h30m", "٣")
    check_option(used, "option --timeout|field timeout", "--timeout", values, "--type=fs")


def test_an_option_that_there_is_not_is_refused_with_a_way_to_help(fresh: Home) -> None:
    for words in (
        ["--outfile=/x"],
        ["a.ks", "b.ks"],
        [],
        ["a.ks", "--type"],
        ["a.ks", "--json=yes"],
        ["--\n"],
        [b"--\xff"],
    ):
        refused(fresh.img("build", *words), "img build --help")
    refused(fresh.img("bild"), "bild", "img --help")
    refused(fresh.img("--bild"), "--bild", "img --help")
    refused(fresh.img("build", "--nam=x", "x.ks"), "--nam", "--name")


def test_a_source_date_epoch_that_is_none_is_refused(used: Home) -> None:
    for value in ("yesterday", "-1", "1.5", "9" * 30, " ", "٣", "0x10"):
        environment = {"SOURCE_DATE_EPOCH": value}
        refused(
            used.img("build", used.path / "image.ks", environment=environment), "SOURCE_DATE_EPOCH", value.strip()
        )


# --- configuration


@pytest.mark.parametrize(
    ("content", "pieces"),
    [
        (b"spool = /x\n", ("line 1, 'spool = /x'",)),
        (b"[imager\n", ("imager.conf",)),
        (b"[imager]\nspool = x\n", ("[imager] spool", "'x'", "absolute path")),
        (b"[imager]\nspool = /x\nspool = /y\n", ("spool",)),
        (b"[imager]\nspool = ~nobody-has-this-name/x\n", ("[imager] spool", "~nobody-has-this-name")),
        (b"[imager]\nexecutor = vm2\n", ("[imager] executor", "vm2", "auto, direct, sudo, vm")),
        (b"[imager]\ntool = hammer\n", ("hammer", "builtin")),
        (b"[limits]\nmemory = lots\n", ("[limits] memory", "lots", "512M")),
        (b"[limits]\nmemory = -1\n", ("[limits] memory", "-1")),
        (b"[limits]\ntimeout = soon\n", ("[limits] timeout", "soon", "30m")),
        (b"[limits]\nprocesses = many\n", ("[limits] processes", "many")),
        (b"[limits]\nprocesses = -3\n", ("[limits] processes", "-3")),
        (b"[limits]\nprocesses = 1.5\n", ("[limits] processes", "1.5")),
        (b"[tool x]\n", ("[tool x]", "command")),
        (b"[tool x]\ncommand = 'a\n", ("[tool x] command",)),
        (b"[tool x]\nkommand = a\n", ("[tool x]", "command")),
        (b"\xff\xfe\x00", ("cannot be read",)),
        (b"\0" * 1000, ("cannot be read",)),
        (b"x" * 100_000, ("cannot be read",)),
        (MARKUP.encode() + b"\n" + ESCAPE.encode(), ("cannot be read",)),
    ],
    ids=lambda each: repr(each)[:30] if isinstance(each, bytes) else "",
)
def test_a_broken_configuration_is_named_with_its_option(
    fresh: Home, tmp_path: Path, content: bytes, pieces: tuple[str, ...]
) -> None:
    path = tmp_path / "imager.conf"
    path.write_bytes(content)
    kickstart = tmp_path / "image.ks"
    kickstart.write_text("%packages\na\n%end\n")
    refused(fresh.img("build", kickstart, "--type=fs", "--config", path), *pieces)
    refused(fresh.img("doctor", "--config", path), *pieces)


def test_a_configuration_that_cannot_be_read_is_named(fresh: Home, tmp_path: Path) -> None:
    large = tmp_path / "large.conf"
    with large.open("wb") as file:
        file.truncate(100 << 20)
    for path in ("/nonexistent.conf", "/etc", "/dev/zero", b"\xff", LONG, large):
        refused(fresh.img("build", "x.ks", "--config", path), "configuration", "cannot be read")
    refused(fresh.img("build", "x.ks", "--config="), "--config", "empty")


def test_a_broken_configuration_of_the_user_s_own_is_named_too(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.config("[imager]\ntool = hammer\n", ".config/imager/imager.conf")
    refused(home.img("doctor"), ".config/imager/imager.conf, line 2: [imager] tool")


def test_what_is_not_known_is_one_warning_on_standard_error(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.config("[imagr]\n[imager]\nspol = /x\n", ".config/imager/imager.conf")
    done = home.img("doctor", "--json")
    path = home.path / ".config/imager/imager.conf"
    said = f"warning: {path}, line 1: section [imagr] is not known (did you mean imager?); 1 more: see"
    assert done.err == f"{said} `img config check`\n"
    assert done.record


# --- places


def test_a_spool_or_output_directory_that_cannot_be_is_named(used: Home, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    kickstart = used.path / "image.ks"
    for spool in (file, file / "below", Path("/proc/spool"), Path("/dev/null")):
        refused(used.img("build", kickstart, "--type=fs", "--spool", spool), str(spool), code=1)
        refused(used.img("report", "--spool", spool), str(spool), code=1)
        refused(used.img("fsck", "--spool", spool), str(spool), code=1)
    for outdir in (file, file / "below"):
        refused(used.img("build", kickstart, "--type=fs", "--outdir", outdir), str(outdir), "--outdir")
    for outdir in (file, file / "below", Path("/proc/images")):
        refused(used.img("report", "--outdir", outdir), str(outdir), code=1)
        refused(used.img("man", outdir), str(outdir), code=1)
    for option in ("--spool", "--outdir"):
        refused(used.img("build", kickstart, "--type=fs", f"{option}="), option)
    assert file.read_text() == "in the way"


def test_report_and_fsck_of_a_spool_that_is_not_there_make_none(fresh: Home) -> None:
    for command in ("report", "fsck"):
        refused(fresh.img(command), ".local/share/imager/spool", code=1)


def test_a_user_without_a_home_is_told_what_to_set(used: Home) -> None:
    nobody = a_stranger(used, "-i", "PATH=/usr/bin:/bin")
    refused(nobody.img("doctor"), "HOME is not set", "set HOME")


def test_a_home_that_may_not_be_entered_is_no_traceback(used: Home, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    refused(a_stranger(used, f"HOME={closed}").img("build", "/etc/passwd"), str(closed), "Permission denied")


def test_a_user_who_may_write_nothing_is_told_where(used: Home, tmp_path: Path) -> None:
    kickstart = Path(tempfile.gettempdir()) / f"imager-test-{os.getpid()}.ks"
    kickstart.write_text("repo --name=a --baseurl=http://127.0.0.1:9/\n%packages\na\n%end\n")
    kickstart.chmod(0o644)
    try:
        refused(
            a_stranger(used).img("build", kickstart, "--type=fs"), "/.local/share/imager/images", "cannot be written"
        )
    finally:
        kickstart.unlink()


def test_output_that_nobody_takes_is_no_traceback(used: Home) -> None:
    with Path("/dev/full").open("wb") as full:
        for words in (["doctor"], ["doctor", "--json"], ["completion", "bash"], ["--help"], ["build", "--help"]):
            done = subprocess.run(
                used.command(*words), stdout=full, stderr=subprocess.PIPE, env=used.environment(), check=False
            )
            assert done.returncode == 1
            assert re.fullmatch(
                r"img: standard output cannot be used: No space left on device \(.+\)\n", done.stderr.decode()
            )
