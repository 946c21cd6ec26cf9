# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/worker.py with an executor that plays what a test says."""

import dataclasses
import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgcore.config import Config
from imgcore.errors import BuildError, InputError, SpoolError
from imgcore.executor import Outcome, Receiver, Task
from imgcore.job import Job, Status
from imgcore.progress import Progress
from imgcore.request import parse
from imgcore.spool import Spool
from imgcore.vmsettings import VmSettings
from imgcore.worker import Worker
from tests.support.executors import Act, Played, says

KICKSTART = """\
repo --name=r --baseurl=https://user:hunter2@example.org/repo
part / --size=100 --fstype=ext4
rootpw --plaintext sesame
%packages --nocore
hello
%end
"""
RESULT = {
    "artifacts": [{"name": "img.img", "kind": "image"}],
    "packages": [{"name": "hello", "version": "1", "release": "2", "arch": "noarch", "epoch": "", "repository": "r"}],
    "warnings": ["a warning of the creator"],
}
FILES = {"img.img": b"image", "result.json": json.dumps(RESULT).encode(), "stray": b"x"}


class Bench:
    """A spool, a configuration, and builds on it."""

    def __init__(self, place: Path) -> None:
        self.config = Config(
            spool=place / "spool", base_dir=place / "images", cache=place / "cache", base_url="", log_bytes=4000
        )
        self.spool = Spool(self.config.spool)

    def build(
        self,
        act: Act,
        stop: threading.Event | None = None,
        end: Callable[[], object] = lambda: None,
        **changes: Any,
    ) -> Job:
        image = {"kickstart": KICKSTART, "name": "img", "arch": "x86_64", "image_type": "loop", **changes}
        request = parse(image)
        made = self.spool.create_unique("img", request.job("none"), kickstart=request.kickstart.encode())
        with self.spool.start(made.image_id) as claim:
            self.executor = Played(act, end=end)
            worker = Worker(self.config, self.executor)
            worker.build(claim, request, self.spool.log(made.image_id), stop=stop, observer=self)
        return self.spool.read(made.image_id)

    def progress(self, progress: Progress) -> None:
        self.seen = progress

    def log(self, line: str) -> None:
        self.line = line


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_build_ends_with_an_image_its_log_its_manifest_and_its_kickstart(bench: Bench) -> None:
    job = bench.build(says(["[imager install 1/2] hello", "done"], FILES))
    assert job.status is Status.DONE
    place = Path(job.directory)
    assert place == bench.config.base_dir / "requests" / job.image_id
    assert {each.name for each in place.iterdir()} == {"img.img", "img.ks", "img.log", "img.manifest.json"}
    for artifact in job.artifacts:
        content = (place / artifact["name"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (artifact["size"], artifact["sha256"])
    manifest = json.loads((place / "img.manifest.json").read_bytes())
    assert manifest["packages"] == RESULT["packages"]
    assert (bench.config.base_dir / "requests" / "latest" / "img" / "img.img").read_bytes() == b"image"
    assert job.image_url == (place / "img.img").as_uri()
    assert job.package_count == 1
    assert "a warning of the creator" in job.warnings


def test_the_image_is_delivered_while_the_sandbox_ends_and_the_job_is_done_when_it_has(bench: Bench) -> None:
    seen: list[Status] = []

    def end() -> None:
        (job,) = bench.spool.jobs()
        assert Path(job.directory, "img.img").exists()
        seen.append(job.status)

    assert bench.build(says([], FILES), end=end).status is Status.DONE
    assert seen == [Status.BUILDING]


def test_what_an_executor_keeps_of_a_failure_is_told(bench: Bench) -> None:
    bench.config = dataclasses.replace(bench.config, vm=VmSettings(keep_on_failure=True))

    def act(task: Task, receiver: Receiver, stop: threading.Event) -> Outcome:
        assert task.keep is not None
        task.keep.mkdir()
        return Outcome(1)

    job = bench.build(act)
    kept = bench.spool.directory(job.image_id) / "vm"
    assert job.error_remedy.endswith(f"its machine is kept in {kept}: `img vm shell {job.image_id}`")


def test_what_an_executor_kept_of_an_earlier_try_is_gone_when_a_job_is_built(bench: Bench) -> None:
    request = parse({"kickstart": KICKSTART, "name": "img", "arch": "x86_64", "image_type": "loop"})
    made = bench.spool.create_unique("img", request.job("none"), kickstart=request.kickstart.encode())
    kept = bench.spool.directory(made.image_id) / "vm"
    kept.mkdir()
    (kept / "disk").touch()
    with bench.spool.start(made.image_id) as claim:
        Worker(bench.config, Played(says([], FILES))).build(claim, request, bench.spool.log(made.image_id))
    assert not kept.exists()


def test_the_record_says_how_long_what_took_and_what_it_used(bench: Bench) -> None:
    outcome = Outcome(0, cpu_seconds=1.5, peak_memory_bytes=7, peak_disk_bytes=8, peak_processes=9)
    job = bench.build(says(["[imager install 0/2]", "[imager image 0/1]"], FILES, outcome))
    assert [each["phase"] for each in job.phases] == ["prepare", "install", "image", "deliver"]
    assert job.resources["cpu_seconds"] == 1.5
    assert job.resources["wall_seconds"] > 0
    assert (job.resources["peak_memory_bytes"], job.resources["peak_disk_bytes"]) == (7, 8)
    assert job.source_date_epoch > 1_000_000_000
    assert (job.usage["cpu_seconds"], job.usage["memory_bytes"], job.usage["disk_bytes"]) == ([1.0], [2], [3])


def test_the_log_is_readable_while_the_job_runs_each_line_with_its_time(bench: Bench) -> None:
    seen = []

    def act(task: Task, receiver: Receiver, stop: threading.Event) -> Outcome:
        receiver.line("while it runs")
        (job,) = bench.spool.jobs(Status.BUILDING)
        seen.append(bench.spool.log(job.image_id).read_text().splitlines()[-1])
        return Outcome(1)

    bench.build(act)
    assert seen[0].endswith("Z while it runs")
    assert seen[0].startswith("20")


def test_progress_is_in_the_record_while_the_job_runs(bench: Bench) -> None:
    seen: list[Job] = []

    def act(task: Task, receiver: Receiver, stop: threading.Event) -> Outcome:
        receiver.line("[imager install 3/4] hello")
        threading.Event().wait(1.1)
        receiver.sample(0, 0, 0, 0)
        seen.extend(bench.spool.jobs(Status.BUILDING))
        return Outcome(1)

    bench.build(act)
    assert (seen[0].phase, seen[0].progress, seen[0].progress_detail) == ("install", 0.75, "hello")


def test_progress_is_recorded_at_most_once_a_second(bench: Bench) -> None:
    job = bench.build(says([f"[imager install {n}/500]" for n in range(500)], FILES))
    assert job.revision < 12


def test_a_script_that_plays_progress_fills_neither_record_nor_memory(bench: Bench) -> None:
    names = [f"{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(26 * 26)]
    lines = [f"[imager {name} 1/2]" for name in names]
    lines += [f"[imager {'x' * 40} 1/2]", f"[imager x {'9' * 5000}/1]", f"[imager x {'9' * 400}/1]"]
    job = bench.build(says(lines, FILES))
    assert job.status is Status.DONE
    assert len(job.phases) <= 51
    assert [each["phase"] for each in job.phases[:3]] == ["prepare", "aa", "ab"]


def test_what_nobody_thought_of_is_an_error_of_the_job_with_its_trace_in_the_log(bench: Bench) -> None:
    def act(task: Task, receiver: Receiver, stop: threading.Event) -> Outcome:
        raise ZeroDivisionError("nobody thought of this")

    job = bench.build(act)
    assert (job.status, job.error_cause) == (Status.ERROR, "internal")
    assert job.error == "the worker failed: ZeroDivisionError: nobody thought of this"
    assert "Traceback" in Path(job.directory, "img.log").read_text()


@pytest.mark.parametrize(
    ("act", "cause"),
    [
        (says(["Cannot allocate memory"], {}, Outcome(1)), "out-of-memory"),
        (says([], {}, Outcome(1, stopped_by="time")), "time-out"),
        (says([], {}, Outcome(1, stopped_by="memory")), "out-of-memory"),
        (says([], {}, Outcome(1, stopped_by="processes")), "too-many-processes"),
        (says(["finished well"], {"img.img": b"x"}, Outcome(0)), "no-proof"),
        (says([], {"result.json": b"not json"}, Outcome(0)), "no-proof"),
        (says([], {"result.json": json.dumps(RESULT).encode()}, Outcome(0)), "no-proof"),
        (says(["said this"], {}, Outcome(0, signal=9)), "killed"),
    ],
)
def test_a_failure_is_a_sentence_with_its_cause_and_the_log_is_delivered(bench: Bench, act: Act, cause: str) -> None:
    job = bench.build(act)
    assert job.status is Status.ERROR
    assert job.error_cause == cause
    assert job.error and "\n" not in job.error
    assert {each.name for each in Path(job.directory).iterdir()} == {"img.log", "img.ks"}
    assert not (bench.config.base_dir / "requests" / "latest").exists()


def test_a_cancelled_build_is_cancelled(bench: Bench) -> None:
    assert bench.build(says([], {}, Outcome(0, signal=9, stopped_by="cancel"))).status is Status.CANCELLED


def test_an_executor_that_cannot_run_is_an_error_of_the_job(bench: Bench) -> None:
    def act(task: Task, receiver: Receiver, stop: threading.Event) -> Outcome:
        raise BuildError("no sandbox here", "use sudo", "sandbox")

    job = bench.build(act)
    assert (job.status, job.error, job.error_remedy) == (Status.ERROR, "no sandbox here", "use sudo")


def test_no_secret_reaches_log_record_or_published_kickstart(bench: Bench) -> None:
    job = bench.build(says(["fetching https://user:hunter2@example.org/repo"], FILES))
    texts = [path.read_text() for path in Path(job.directory).iterdir()]
    texts += [
        path.read_text() for path in bench.spool.directory(job.image_id).iterdir() if path.name != "kickstart.ks"
    ]
    assert not any("hunter2" in text or "sesame" in text for text in texts)
    assert "https://***@example.org/repo" in (Path(job.directory) / "img.log").read_text()


def test_a_log_has_an_end(bench: Bench) -> None:
    job = bench.build(says(["x" * 100] * 500, FILES))
    log = (Path(job.directory) / "img.log").read_text()
    assert len(log) < 6000
    assert "the log is cut here" in log


def test_the_limits_reach_the_executor_and_the_job_s_own_time_wins(bench: Bench) -> None:
    bench.build(says([], FILES), timeout=7)
    assert bench.executor.tasks[0].limits.seconds == 7
    assert bench.executor.tasks[0].limits.disk_bytes == bench.config.disk_bytes


def test_nothing_of_a_delivery_is_left_where_it_was_refused(bench: Bench) -> None:
    def act(task: Task, receiver: Receiver, stop: threading.Event) -> Outcome:
        receiver.file("img.img", 5, 0o644)
        raise SpoolError("the disk is full")

    job = bench.build(act)
    assert job.error == "the disk is full"
    place = bench.config.base_dir / "requests"
    assert [each.name for each in place.iterdir()] == [job.image_id]


def test_urls_begin_with_the_configured_one(bench: Bench) -> None:
    bench.config = dataclasses.replace(bench.config, base_url="https://images.example.org/i")
    job = bench.build(says([], FILES))
    assert job.files_url == f"https://images.example.org/i/requests/{job.image_id}/"
    assert job.image_url == f"{job.files_url}img.img"


def test_what_cannot_be_built_is_refused_before_anything_is_written(bench: Bench) -> None:
    request = parse({"kickstart": "part / --fstipe=ext4\n", "name": "n", "arch": "x86_64", "image_type": "raw"})
    with pytest.raises(InputError, match="line 1"):
        Worker(bench.config, Played(says([]))).check(request)
    assert not bench.config.cache.exists()
