# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/tool/mic.py and diagnosis.py with what mic was observed to say, in a real sandbox."""

import dataclasses
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgcore.config import Config
from imgcore.errors import InputError
from imgcore.executor import Outcome
from imgcore.executor.local import SandboxExecutor
from imgcore.job import Job, Status
from imgcore.request import parse
from imgcore.spool import Spool
from imgcore.tool import Order
from imgcore.tool.diagnosis import diagnose
from imgcore.tool.mic import Mic, Mic2
from imgcore.worker import Worker
from tests.support import sandboxes
from tests.support.machine import nothing_left

STANDIN = Path(sandboxes.REPOSITORY, "tests/support/mic_standin.py")
ORDER = Order(image_id="i", name="demo", arch="x86_64", image_type="raw", kickstart=b"lang C\n", tokens={"A": "1"})


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Any]:
    config = Config(spool=tmp_path / "spool", base_dir=tmp_path / "images", cache=tmp_path / "cache", tool="mic")
    start = sandboxes.as_root(
        [sandboxes.PYTHON, "-I", "-c", f"import sys; sys.path.insert(0, {str(sandboxes.REPOSITORY)!r}); "
         "from imgcore.executor.sandbox import main; sys.exit(main())"]
    )  # fmt: skip

    def run(kickstart: str, image_type: str = "raw", stop: threading.Event | None = None, **changes: Any) -> Job:
        image = {"kickstart": kickstart, "name": "demo", "arch": "x86_64", "image_type": image_type, **changes}
        request = parse(image)
        spool = Spool(config.spool)
        made = spool.create_unique("demo", request.job("none"), kickstart=b"")
        command = [sandboxes.PYTHON, str(STANDIN)]
        executor = SandboxExecutor("direct", tuple(start), {"mic": command})
        with nothing_left(), spool.start(made.image_id) as claim:
            Worker(config, executor).build(claim, request, spool.log(made.image_id), stop=stop)
        return spool.read(made.image_id)

    yield run
    shutil.rmtree(tmp_path / "images", ignore_errors=True)


@pytest.mark.real
@pytest.mark.parametrize(
    ("image_type", "options", "image"),
    [("raw", [], "demo-sda.raw"), ("loop", [], "demo.img"), ("fs", [], "demo.tar.gz"),
     ("loop", ["--pack-to=@NAME@.tar.bz2"], "demo.tar.bz2")],
)  # fmt: skip
def test_an_image_is_proven_by_its_files_and_the_last_line(
    build: Any, image_type: str, options: list[str], image: str
) -> None:
    job = build("lang C\n", image_type, extra_opts=options, tokenmap="A:1")
    assert job.status is Status.DONE, job.error
    kinds = {each["name"]: each["kind"] for each in job.artifacts}
    assert kinds[image] in ("image", "archive")
    assert kinds["demo.packages"] == "packages"
    assert job.package_count == 2
    arguments = Path(job.directory, "demo.arguments").read_text().splitlines()
    assert arguments[:3] == ["create", image_type, "/run/imager/in/demo.ks"]
    assert {"--arch=x86_64", "--outdir=/run/imager/out", "--tokenmap=A:1"} <= set(arguments)


@pytest.mark.real
@pytest.mark.parametrize(
    ("failure", "cause", "says"),
    [("repository", "repository-unreachable", "127.0.0.1:9"), ("package", "package-missing", "nosuch"),
     ("conflict", "dependency-conflict", "2 problem"), ("no-repo", "repository-invalid", "no usable repository"),
     ("script", "script-failed", "script"), ("metadata", "repository-invalid", "metadata"),
     ("disk", "disk-full", "no space"), ("zero", "internal", "unknown image type"), ("no file", "no-proof", "demo-")],
)  # fmt: skip
def test_a_failure_is_told_also_where_mic_ends_with_0(build: Any, failure: str, cause: str, says: str) -> None:
    job = build(f"# fail: {failure}\n")
    assert (job.status, job.error_cause) == (Status.ERROR, cause)
    assert says in job.error


@pytest.mark.real
def test_what_mic_ignored_is_a_warning_of_the_job(build: Any) -> None:
    job = build("# fail: ignored\n")
    assert job.status is Status.DONE
    assert any("unknown command bogus" in each for each in job.warnings)


@pytest.mark.real
def test_what_mic_leaves_behind_goes_with_the_job(build: Any) -> None:
    job = build("# fail: stray\n")
    assert job.status is Status.DONE, job.error
    for place in ("/etc/udev/rules.d/80-imager-test.rules", "/var/lock/imager-test.lock", "/dev/loop90"):
        assert not Path(place).exists()


@pytest.mark.real
def test_a_time_out_or_cancel_of_mic_leaves_nothing(build: Any) -> None:
    assert build("# fail: hang\n", timeout=1).error_cause == "time-out"
    stop = threading.Event()
    threading.Timer(1, stop.set).start()
    assert build("# fail: hang\n", stop=stop).status is Status.CANCELLED


def test_repositories_of_this_machine_are_where_the_sandbox_shows_them(tmp_path: Path) -> None:
    (tmp_path / "one two/repodata").mkdir(parents=True)
    (tmp_path / "one two/repodata/repomd.xml").touch()
    there = f"repo --name=a --baseurl=file://{tmp_path}/one%20@A@ --save\n"
    others = "repo --name=b --baseurl=file:///nowhere\nrepo --name=c --baseurl=https://e.org/x\n# file:///etc\n"
    order = dataclasses.replace(ORDER, kickstart=(there + others).encode(), tokens={"A": "two"})
    prepared = Mic().prepare(order)
    expected = "repo --name=a --baseurl=file:///run/imager/readable/0 --save\n" + others
    assert prepared.inputs == {"demo.ks": expected.encode()}
    assert prepared.readable == (tmp_path / "one two",) and prepared.urls == ("https://e.org/x",)
    assert prepared.as_built == order.kickstart


def test_the_command_line_of_mic2_has_its_own_option_names() -> None:
    prepared = Mic2().prepare(ORDER)
    assert prepared.arguments[:3] == ("--format=raw", "--config=/run/imager/in/demo.ks", "--arch=x86_64")
    assert prepared.inputs == {"demo.ks": b"lang C\n"}


@dataclasses.dataclass
class Left:
    files: dict[str, int]
    tail: list[str]

    def read(self, name: str, limit: int) -> bytes:
        return b""


def test_mic2_is_believed_by_its_files_and_the_end_of_its_log() -> None:
    result = Mic2().judge(ORDER, Outcome(0), Left({"demo-sda.raw": 5}, ["done"]))
    assert [each.kind for each in result.artifacts] == ["image"]
    with pytest.raises(Exception, match="broken"):
        Mic2().judge(ORDER, Outcome(0), Left({"demo-sda.raw": 5}, ["Error: broken"]))


def of(listed: str, *tail: str) -> list[tuple[str, ...]]:
    left = Left({"demo-sda.raw": 5, **({"demo.packages": len(listed)} if listed else {})}, [*tail, "Finished."])
    left.read = lambda name, limit: listed.encode()  # type: ignore[method-assign]
    return [dataclasses.astuple(each)[:5] for each in Mic().judge(ORDER, Outcome(0), left).packages]


def test_packages_are_those_of_the_list_and_not_what_the_progress_cuts_off() -> None:
    listed = "tiny-hello.noarch 1.0-1\nbusy.box.x86_64 2:1.35.0-1.2\n"
    cut = "Installing: tiny-hello-1.0-1.noa +++ [3/5]"
    assert of(listed, cut) == [("busy.box", "2", "1.35.0", "1.2", "x86_64"), ("tiny-hello", "", "1.0", "1", "noarch")]
    assert of("hello\nother\n", "Installing: hello-2.1-3.x86_64 + [1/1]") == [
        ("hello", "", "2.1", "3", "x86_64"), ("other", "", "", "", ""),
    ]  # fmt: skip
    assert of("", "Installing: hello-2.1-3.x86_64 + [1/1]") == [("hello", "", "2.1", "3", "x86_64")]


@pytest.mark.parametrize("ending", ["demo.rar", "a/b.tar", "x.tar.zst"])
def test_an_archive_that_mic_would_make_something_else_of_is_refused(ending: str) -> None:
    with pytest.raises(InputError, match="pack-to"):
        Mic().prepare(dataclasses.replace(ORDER, extra_opts=(f"--pack-to={ending}",)))


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("bash: fork: retry: Resource temporarily unavailable", "too-many-processes"),
        ("MemoryError", "out-of-memory"),
        ("Could not resolve host: nowhere.example", "repository-unreachable"),
        ("Unable to find group: Core", "group-missing"),
        ("nothing provides libx needed by y-1", "dependency-conflict"),
        ("package a: GPG check FAILED", "signature"),
        ("error: %post(hello-1-1.noarch) scriptlet failed, exit status 1", "scriptlet-failed"),
        ("Error <x>[1] : root permission is required", "unsupported"),
    ],
)
def test_what_tools_of_the_field_say_is_understood(line: str, cause: str) -> None:
    error = diagnose(Outcome(1), ["before", line, "after"], "mic")
    assert error.cause == cause
    assert "\n" not in error.message
