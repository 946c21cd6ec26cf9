# SPDX-License-Identifier: GPL-2.0-or-later
"""What a person types, and what comes of it: commands, their output, their exit codes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import jsonschema
import pytest

from imgcore.job import schema
from imgcore.spool import Spool
from tests.support import html, small
from tests.support.img import IMG, Home, at_once, contents
from tests.support.machine import nothing_left
from tests.support.records import add

pytestmark = pytest.mark.real

COMMANDS = (
    "build", "ks", "vm", "submit", "queue", "worker", "workers", "keeper", "jobs", "show", "log", "files", "find",
    "diff", "stats", "top", "report", "cancel", "retry", "pin", "unpin", "tag", "export", "import", "gc", "setup",
    "doctor", "config", "fsck", "notify", "completion", "man",
)  # fmt: skip
SUBCOMMANDS = (
    *(("vm", each) for each in ("shell", "forget", "make-base", "import", "list", "check", "update", "remove")),
    ("worker", "pause"), ("worker", "resume"), ("worker", "drain"), ("setup", "broker"),
    ("config", "check"), ("config", "show"),
)  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Home:
    """A home with one image, and one build that failed."""
    home = Home(tmp_path_factory.mktemp("built"))
    home.build(home.kickstart(small.kickstart(repository), "good.ks"), "--type=fs", "--tag=nightly")
    assert home.img("build", home.kickstart(small.kickstart(repository, "gone"), "bad.ks"), "--type=fs").code == 1
    return home


# --- help, completion, manual pages


@pytest.mark.parametrize(
    "command", [(), *((each,) for each in COMMANDS), *SUBCOMMANDS], ids=lambda each: " ".join(each) or "img"
)
def test_every_command_explains_itself(home: Home, command: tuple[str, ...]) -> None:
    for word in ("--help", "-h"):
        done = home.img(*command, word)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("Usage: img")
        options = re.findall(r"^  (?:-\w, )?(--[a-z-]+)\b(?!`)(.*(?:\n {10,}.*)*)", done.out, re.MULTILINE)
        assert options
        for option, text in options:
            assert re.search(r" {2}\S", text), f"{option} has no explanation"
    if not command:
        listed = re.findall(r"^  ([a-z]+) {2,}\S", done.out, re.MULTILINE)
        assert listed == list(COMMANDS)
        # No explanation is cut.
        assert not re.search(r"\w\.\.\.$", done.out, re.MULTILINE)


def test_the_version_is_told_and_no_command_is_wrong_use(home: Home) -> None:
    assert re.fullmatch(r"img, version \d+\.\d+\.\d+\n", home.img("--version").out)
    done = home.img()
    assert (done.code, done.out, done.err) == (2, "", "img: Missing command. (see `img --help`)\n")
    assert list(home.path.iterdir()) == []


def test_completion_is_a_script_of_its_shell_and_knows_commands_and_options(home: Home) -> None:
    for shell in ("bash", "zsh", "fish"):
        done = home.img("completion", shell)
        assert (done.code, done.err) == (0, "")
        assert "_IMG_COMPLETE" in done.out
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=done.out, text=True, check=True, capture_output=True)
    words = {"COMP_WORDS": "img build --pre", "COMP_CWORD": "2", "_IMG_COMPLETE": "bash_complete"}
    assert home.img(environment=words).out == "plain,--prefix\n"
    words = {"COMP_WORDS": "img worker ", "COMP_CWORD": "2", "_IMG_COMPLETE": "bash_complete"}
    assert home.img(environment=words).out.split() == [f"plain,{each}" for each in ("drain", "pause", "resume")]
    words = {"COMP_WORDS": "img ", "COMP_CWORD": "1", "_IMG_COMPLETE": "bash_complete"}
    assert home.img(environment=words).out.split() == [f"plain,{each}" for each in COMMANDS]
    assert home.img("completion", "csh").code == 2


@pytest.mark.parametrize(
    ("line", "words", "answers"),
    [
        ("img log de", ["img", "log", "de"], ["device-1"]),
        ("img log device@", ["img", "log", "device", "@"], ["latest", "good", "failed"]),
        ("img log device@la", ["img", "log", "device", "@", "la"], ["latest"]),
        ("img jobs --tag fair:20", ["img", "jobs", "--tag", "fair", ":", "20"], ["2026", "2027"]),
        ("img jobs --tag=fair:20", ["img", "jobs", "--tag", "=", "fair", ":", "20"], ["2026", "2027"]),
        ("img jobs --tag=fa", ["img", "jobs", "--tag", "=", "fa"], ["fair:2026", "fair:2027"]),
        ("img  show  --pl", ["img", "show", "--pl"], []),
        ("img show --js", ["img", "show", "--js"], ["--json"]),
    ],
)
def test_bash_completes_words_that_it_parts(home: Home, line: str, words: list[str], answers: list[str]) -> None:
    add(Spool(home.spool), "device-1", name="device", tags=("fair:2026", "fair:2027"))
    script = f"""{home.img("completion", "bash").out}
COMP_WORDBREAKS=$' \\t\\n"\\'@><=;|&(:'; COMP_LINE=$1; COMP_POINT=${{#1}}; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_img_completion {IMG}
printf '%s\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", script, "bash", line, *words],
        env=home.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.split(), done.stderr) == (answers, "")


def test_the_manual_has_a_page_for_each_command_that_roff_understands(home: Home) -> None:
    pages = home.path / "man"
    assert home.img("man", pages).code == 0
    expected = {
        "img.1",
        *(f"img-{each}.1" for each in COMMANDS),
        *(f"img-{'-'.join(each)}.1" for each in SUBCOMMANDS),
    }
    assert {each.name for each in pages.iterdir() if not each.name.startswith("img-ks-")} == expected
    # groff names what it does not know; without it, what it would: a request that is none, a line that is too long.
    if shutil.which("groff"):
        for page in pages.iterdir():
            done = subprocess.run(
                ["groff", "-man", "-ww", "-z", "-Tutf8", "-Kutf8", str(page)],
                capture_output=True,
                text=True,
                check=True,
            )
            assert done.stderr == "", page.name
    for page in pages.iterdir():
        text = page.read_text()
        requests = set(re.findall(r"^[.']\s*(\w+)", text, re.MULTILINE))
        assert requests <= {"TH", "SH", "PP", "TP", "B", "nf", "fi"}, page.name
        assert text.startswith(".TH ")
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SEE ALSO"):
            assert f".SH {section}\n" in text, page.name
    assert "\\-\\-tokenmap" in (pages / "img-build.1").read_text()


# --- output and exit codes


def test_json_is_the_record_and_nothing_else_when_the_image_is_there(built: Home, repository: Path) -> None:
    done = built.img("build", built.path / "good.ks", "--type=fs", "--json")
    assert done.code == 0
    record = done.record
    jsonschema.validate(record, schema())
    assert record["status"] == "DONE"
    assert record == json.loads((built.spool / "jobs" / record["image_id"] / "job.json").read_bytes())
    assert record["package_count"] == 3
    assert [each["kind"] for each in record["artifacts"]].count("archive") == 1


def test_json_is_the_record_and_nothing_else_when_the_build_fails(built: Home) -> None:
    done = built.img("build", built.path / "bad.ks", "--type=fs", "--json")
    assert done.code == 1
    jsonschema.validate(done.record, schema())
    assert (done.record["status"], done.record["error_cause"]) == ("ERROR", "package-missing")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_json_is_the_record_and_130_the_exit_code_when_the_build_is_cancelled(
    home: Home, repository: Path, number: signal.Signals
) -> None:
    path = home.kickstart(small.kickstart(repository, tail="%pre\nsleep 100\n%end\n"))
    with nothing_left():
        process = subprocess.Popen(
            home.command("build", path, "--type=fs", "--json"),
            env=home.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr
        for line in process.stderr:
            if "scripts" in line:
                break
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["status"] == "CANCELLED"
    assert [each["status"] for each in home.records()] == ["CANCELLED"]


def test_a_pipe_gets_plain_lines_with_the_phase_and_the_time(built: Home) -> None:
    done = built.img("build", built.path / "good.ks", "--type=fs")
    lines = done.err.splitlines()
    phases = [match[1] for line in lines if (match := re.fullmatch(r"\[ *\d+\.\d s\] ([a-z]+)(?: \(\d+\))?", line))]
    assert phases == ["prepare", "repositories", "resolve", "download", "install", "configure", "image", "deliver"]
    assert len(lines) == len(phases) + 1
    assert re.fullmatch(r"good-\d{8}-\d{6}(-\d+)?: 3 packages, \d+\.\d s", lines[-1])
    assert "\x1b" not in done.err + done.out
    for line in done.out.splitlines():
        size, path = line.split(maxsplit=1)
        assert Path(path).stat().st_size == int(size.replace(",", ""))


def test_quiet_says_nothing_and_verbose_all_of_the_log(built: Home) -> None:
    done = built.img("build", built.path / "good.ks", "--type=fs", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    done = built.img("build", built.path / "bad.ks", "--type=fs", "-q")
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    done = built.img("build", built.path / "good.ks", "--type=fs", "-v")
    newest = built.records()[-1]
    log = (built.spool / "jobs" / newest["image_id"] / "build.log").read_text()
    said = [line.partition(" ")[2] for line in log.splitlines()]
    assert done.err.splitlines()[:-1] == said


def test_a_warning_is_shown_and_kept(built: Home, repository: Path) -> None:
    path = built.kickstart(small.kickstart(repository, tail="%post\nexit 3\n%end\n"), "warns.ks")
    done = built.img("build", path, "--type=fs", "--json")
    warning = "warns.ks, line 5: the %post script failed with exit status 3: it said nothing"
    assert (done.code, done.record["warnings"]) == (0, [warning])
    assert f"Warning: {warning}" in done.err.splitlines()


def test_a_terminal_gets_a_bar_with_phase_count_and_time(built: Home, repository: Path) -> None:
    slow = "%post\necho 'one\x1b[2Jtwo'\n%end\n%post\nsleep 1\n%end\n"
    path = built.kickstart(small.kickstart(repository, tail=slow), "pty.ks")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(
        built.command("build", path, "--type=fs"),
        env=built.environment({"TERM": "xterm-256color"}), stdout=subprocess.PIPE, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    out, _ = process.communicate()
    assert process.returncode == 0
    text = said.decode()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert re.search(r"scripts .* 1/2 0:00:\d\d %post of line 8", plain), plain
    assert "\x1b[2J" not in text, "the image's script must not clear the terminal"
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1, "the cursor is there again"
    assert b"\x1b" not in out
    assert re.search(r"pty-\d{8}-\d{6}(-\d+)?: 3 packages, \d+\.\d s\r\n$", plain)


def test_ctrl_c_on_a_terminal_cancels_once_and_the_cursor_comes_back(built: Home, repository: Path) -> None:
    path = built.kickstart(small.kickstart(repository, tail="%pre\nsleep 100\n%end\n"), "slow.ks")
    process, ours = pty.fork()
    if process == 0:
        command = [os.fsencode(each) for each in built.command("build", path, "--type=fs")]
        os.execve(command[0], command, {**built.environment(), "TERM": "xterm"})
    said = b""
    while b"scripts" not in said:
        said += os.read(ours, 65536)
    os.write(ours, b"\x03")
    began = time.monotonic()
    with pytest.raises(OSError, match="Input/output error"):
        while True:
            said += os.read(ours, 65536)
    os.close(ours)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 130
    assert time.monotonic() - began < 10
    assert said.count(b"\x1b[?25l") == said.count(b"\x1b[?25h")
    assert b"Traceback" not in said
    assert built.records()[-1]["status"] == "CANCELLED"


def test_a_build_goes_on_when_nobody_can_look_at_it_any_more(built: Home) -> None:
    command = built.command("build", built.path / "good.ks", "--type=fs", "-v")
    reader, writer = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("wb") as full:
        for error in (writer, full):
            done = subprocess.run(command, env=built.environment(), stderr=error, stdout=subprocess.PIPE, check=False)
            assert (done.returncode, built.records()[-1]["status"]) == (0, "DONE")
            assert b"good.tar.gz" in done.stdout
    os.close(writer)
    closed = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    assert subprocess.run(closed, env=built.environment(), check=False).returncode == 0
    assert built.records()[-1]["status"] == "DONE"
    done = built.img("fsck")
    assert (done.code, done.out) == (0, "")


# --- report, fsck, doctor


def test_the_report_has_a_page_for_each_job_and_leads_to_it(built: Home) -> None:
    done = built.img("report")
    index = built.data / "report/index.html"
    assert (done.code, done.out, done.err) == (0, f"{index.as_uri()}\n", "")
    page = html.parse(index)
    assert html.broken_links(page, index.parent) == []
    for record in built.records():
        assert f"jobs/{record['image_id']}/index.html" in page.links
    again = json.loads(built.img("report", "--json").out)
    assert again["index"] == str(index)
    assert (again["written"], again["kept"] >= len(built.records())) == (0, True) or again["written"] <= 2


def test_fsck_finds_a_damaged_image_and_says_so_in_json_too(built: Home, tmp_path: Path) -> None:
    done = built.img("fsck")
    assert (done.code, done.out, done.err) == (0, "", f"{built.spool}: all is well\n")
    assert json.loads(built.img("fsck", "--json").out) == []
    record = built.build(built.path / "good.ks", "--type=fs", "--name=victim", "--outdir", tmp_path)
    image = next(Path(record["directory"], each["name"]) for each in record["artifacts"] if each["kind"] == "archive")
    content = image.read_bytes()
    image.write_bytes(content[:-1] + b"x")
    done = built.img("fsck", "--json")
    assert (done.code, [each["kind"] for each in json.loads(done.out)]) == (1, ["wrong-digest"])
    assert built.img("fsck", "--quick").code == 0
    assert image.name in built.img("fsck").out
    image.write_bytes(content)
    assert built.img("fsck").code == 0


def test_the_doctor_says_what_can_be_built_and_makes_nothing(home: Home) -> None:
    done = home.img("doctor", "--json")
    checks = json.loads(done.out)
    assert done.err == ""
    assert {"subject", "ok", "detail", "remedy", "needed", "packages"} == set(checks[0])
    assert done.code == (0 if all(each["ok"] for each in checks if each["needed"]) else 1)
    assert all(each["remedy"] for each in checks if not each["ok"])
    assert done.code == home.img("doctor", "--can-build").code == home.img("doctor").code
    text = home.img("doctor").out
    for each in checks:
        # Free space changes from one look to the next.
        assert f" {each['subject']}: {each['detail'].partition(', ')[0]}" in text
    assert list(home.path.iterdir()) == []


# --- what is asked for


def test_four_builds_at_once_share_spool_and_cache(home: Home, repository: Path) -> None:
    path = home.kickstart(small.kickstart(repository))
    with nothing_left():
        records = at_once(lambda _: home.build(path, "--type=fs"), range(4), workers=4)
    assert len({each["image_id"] for each in records}) == 4
    assert [each["status"] for each in home.records()] == ["DONE"] * 4
    digests = {each["sha256"] for record in records for each in record["artifacts"] if each["kind"] == "packages"}
    assert len(digests) == 1
    latest = home.images / "requests/latest/image"
    assert str(latest.resolve()) in {each["directory"] for each in records}
    assert sorted(each.name for each in latest.parent.iterdir()) == ["image"]
    assert home.img("fsck").code == 0


def test_latest_leads_to_the_last_good_image_of_a_name(home: Home, repository: Path) -> None:
    path = home.kickstart(small.kickstart(repository))
    latest = home.images / "releases/1.0/latest"
    options = ("--type=fs", "--prefix=releases/1.0")
    first = home.build(path, *options)
    assert (
        (latest / "image").resolve() == Path(first["directory"]) == home.images / "releases/1.0" / first["image_id"]
    )
    second = home.build(path, *options, "--name=other")
    third = home.build(path, *options)
    assert home.img("build", path, *options, "--package=nowhere").code == 1
    assert (latest / "image").resolve() == Path(third["directory"])
    assert (latest / "other").resolve() == Path(second["directory"])
    assert (latest / "image").readlink() == Path("..", third["image_id"])


def test_included_files_are_found_beside_the_kickstart_wherever_one_is(home: Home, repository: Path) -> None:
    home.kickstart("%packages\nextra\n%end\n", "device/parts/packages.ks")
    home.kickstart("%include packages.ks\n%post\necho $WHO > /etc/who\n%end\n", "device/parts/all.ks")
    path = home.kickstart(f"repo --name=a --baseurl={repository.as_uri()}\n%include parts/all.ks\n", "device/d.ks")
    options = ("--type=fs", "--package=shell", "--tokenmap=WHO:me")
    record = home.build(path, *options, directory=Path("/"))
    assert record["package_count"] == 3
    kept = (Path(record["directory"]) / "d.ks").read_text()
    assert "%packages\nextra\n" in kept and "%include" not in kept
    assert home.build(Path("d.ks"), *options, directory=path.parent)["package_count"] == 3
    assert home.build(Path("../d.ks"), *options, directory=path.parent / "parts")["package_count"] == 3


def test_repositories_packages_and_groups_are_added(home: Home, repository: Path, tmp_path: Path) -> None:
    path = home.kickstart("%packages --nocore\nbase\n%end\n")
    spaced = tmp_path / "my, 100% repository"
    shutil.copytree(repository, spaced)
    for given in (repository.as_uri(), f"named={repository.as_uri()}", str(repository), spaced.as_uri()):
        record = home.build(path, "--type=fs", "--extra-repo", given, "--package=app", "--group=tools")
        manifest = json.loads((Path(record["directory"]) / "image.manifest.json").read_bytes())
        assert [each["name"] for each in manifest["packages"]] == ["app", "base", "extra", "shell"]
        names = {each["repository"] for each in manifest["packages"]}
        assert names == {"named"} or "=" not in given, names
    line = f'repo --name=line --baseurl="{repository.as_uri()}" --excludepkgs=extra'
    done = home.img("build", path, "--type=fs", "--extra-repo", line, "--package=extra", "--json")
    assert (done.code, done.record["error_cause"]) == (1, "package-missing")
    assert done.record["extra_repos"] == [line]


def test_a_repository_in_a_directory_with_a_space_can_stand_in_the_kickstart(home: Home, repository: Path) -> None:
    spaced = home.path / "a b" / "c,d%e"
    shutil.copytree(repository, spaced)
    for url in (spaced.as_uri(), f'"{spaced}"'):
        path = home.kickstart(small.kickstart(url))
        assert home.build(path, "--type=fs")["package_count"] == 3


def test_the_header_of_the_kickstart_says_type_and_architecture_and_options_win(home: Home, repository: Path) -> None:
    text = small.kickstart(repository, head="part / --size=20 --fstype=ext4\n")
    path = home.kickstart(f"# -*-mic2-options-*- -f loop --arch=i686 -*-mic2-options-*-\n{text}")
    record = home.build(path)
    assert (record["image_type"], record["arch"]) == ("loop", "i686")
    record = home.build(path, "--type=fs", "--arch=x86_64")
    assert (record["image_type"], record["arch"]) == ("fs", "x86_64")


def test_the_architecture_is_a_token_also_when_nobody_gave_it(home: Home, repository: Path) -> None:
    machine = os.uname().machine
    (home.path / machine).symlink_to(repository)
    path = home.kickstart(small.kickstart(f"file://{home.path}/@ARCH@"))
    assert home.build(path, "--type=fs")["package_count"] == 3
    assert home.build(path, "--type=fs", f"--arch={machine}")["package_count"] == 3


def test_tokens_are_replaced_and_are_variables_of_the_scripts(home: Home, repository: Path) -> None:
    tail = '%post --nochroot\necho "@GREETING@ $GREETING" > "$IMG_OUT_DIR/said"\n%end\n'
    path = home.kickstart(small.kickstart("file://@REPO@", tail=tail))
    record = home.build(path, "--type=fs", f"--tokenmap=REPO:{repository},GREETING:it's $(id) 1:2")
    # The text is put in before a shell reads it, the variable after.
    said = Path(record["directory"], "said").read_text()
    assert re.fullmatch(r"it's uid=0\S* gid=0\S*.* 1:2 it's \$\(id\) 1:2\n", said), said
    assert record["tokenmap"]["GREETING"] == "it's $(id) 1:2"


def test_a_kickstart_can_come_through_a_pipe(home: Home, repository: Path) -> None:
    record = home.build(Path("/dev/stdin"), "--type=fs", "--name=piped", text=small.kickstart(repository))
    assert (record["name"], record["package_count"]) == ("piped", 3)


def test_places_can_be_relative_configured_or_in_the_environment(home: Home, repository: Path) -> None:
    path = home.kickstart(small.kickstart(repository))
    record = home.build(path, "--type=fs", "--spool=s p", "--outdir=o", directory=home.path)
    assert (home.path / "s p/jobs" / record["image_id"] / "job.json").exists()
    assert record["directory"] == str(home.path / "o/requests" / record["image_id"])
    assert record["files_url"] == f"{Path(record['directory']).as_uri()}/"
    config = home.config(f"[imager]\nbase_dir = {home.path}/c\nbase_url = https://images.example.org/\ncache = ~/k\n")
    record = home.build(path, "--type=fs", "--config", config, environment={"IMAGER_SPOOL": str(home.path / "e")})
    assert (home.path / "e/jobs" / record["image_id"]).is_dir() and (home.path / "k").is_dir()
    assert not home.spool.exists() and not home.images.exists()
    assert record["image_url"] == f"https://images.example.org/requests/{record['image_id']}/image.tar.gz"


def test_the_same_image_comes_out_of_what_was_delivered(home: Home, repository: Path) -> None:
    path = home.kickstart(small.kickstart(repository))
    first = home.build(path, "--type=fs")
    environment = {"SOURCE_DATE_EPOCH": str(first["source_date_epoch"])}
    second = home.build(Path(first["directory"]) / "image.ks", "--type=fs", environment=environment)
    ours, theirs = (contents(Path(each["directory"]), ".log") for each in (first, second))
    assert ours == theirs
