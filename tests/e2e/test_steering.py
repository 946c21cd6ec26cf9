# SPDX-License-Identifier: GPL-2.0-or-later
"""What an operator does with the jobs of a spool: look, follow, find, mark, compare, carry away, clean up."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

import pytest

from imgcore.job import Status
from imgcore.spool import Spool
from tests.support import report_spool, small
from tests.support.broker import broker
from tests.support.farm import Farm
from tests.support.img import Home
from tests.support.rabbitmq import Node

pytestmark = pytest.mark.real

__all__ = ["broker"]

ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202eevil"


@pytest.fixture
def spool(home: Home) -> Spool:
    """Two good images and a failed one of one name, one that waits, and one of another name that was cancelled."""
    spool = Spool(home.spool)
    for day in ("22", "23"):
        report_spool.finished(
            spool,
            f"device-202511{day}-110000",
            home.images,
            requested_at=f"2025-11-{day}T11:00:00Z",
            tags=("nightly",),
        )
    report_spool.failed(
        spool, "device-20251124-110000", ["one", f"two {ESCAPES}", "three"], requested_at="2025-11-24T11:00:00Z",
        error="package busybocks is nowhere", cause="package-missing", remedy="did you mean busybox?",
    )  # fmt: skip
    report_spool.make(spool, "device-20251125-110000", requested_at="2025-11-25T11:00:00Z")
    report_spool.make(spool, "tv-20251120-110000", requested_at="2025-11-20T11:00:00Z", user="ann")
    with spool.edit("tv-20251120-110000") as edit:
        edit.move(Status.CANCELLED, f"no longer {ESCAPES}", "ann", error="no longer wanted")
    return spool


def ids(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[1:]]


# --- looking


def test_the_newest_jobs_come_first_and_filters_leave_those_that_fit(home: Home, spool: Spool) -> None:
    done = home.img("jobs")
    assert (done.code, done.err) == (0, "")
    assert ids(done.out) == [
        "device-20251125-110000", "device-20251124-110000", "device-20251123-110000", "device-20251122-110000",
        "tv-20251120-110000",
    ]  # fmt: skip
    assert done.out.splitlines()[0].split() == ["ID", "STATE", "TYPE", "ARCH", "AGE", "TOOK", "SIZE", "TAGS", "WHAT"]
    assert "\x1b" not in done.out
    assert ids(home.img("jobs", "--state=failed", "--state=cancelled").out) == [
        "device-20251124-110000", "tv-20251120-110000",
    ]  # fmt: skip
    assert ids(home.img("jobs", "--name=t*").out) == ["tv-20251120-110000"]
    assert ids(home.img("jobs", "--text=BUSYBOCKS").out) == ["device-20251124-110000"]
    assert ids(home.img("jobs", "--since=2025-11-24").out) == ["device-20251125-110000", "device-20251124-110000"]
    assert ids(home.img("jobs", "--tag=nightly", "--sort=oldest").out)[0] == "device-20251122-110000"
    few = home.img("jobs", "-n2", "--columns=id,age")
    assert len(few.out.splitlines()) == 3
    assert few.err == "note: there are more than 2; --limit 0 shows all, filters fewer\n"
    records = [json.loads(line) for line in home.img("jobs", "--json").out.splitlines()]
    assert [each["status"] for each in records] == ["IN QUEUE", "ERROR", "DONE", "DONE", "CANCELLED"]
    assert home.img("jobs", "--name=nothing").out == ""
    assert home.img("jobs", "--columns=id,nonsense").code == 2
    assert home.img("jobs", "--since=yesterday-ish").code == 2
    assert home.img("jobs", "--watch").err.startswith("img: there is no terminal")


def test_jobs_can_be_sorted_by_what_was_measured(home: Home, spool: Spool) -> None:
    for order in ("finished", "name", "state", "took", "size"):
        assert sorted(ids(home.img("jobs", f"--sort={order}").out)) == sorted(ids(home.img("jobs").out))
    assert ids(home.img("jobs", "--sort=name").out)[-1] == "tv-20251120-110000"


def test_a_job_is_shown_with_what_went_wrong_and_its_history(home: Home, spool: Spool) -> None:
    done = home.img("show", "device@failed")
    assert (done.code, done.err) == (0, "")
    assert re.search(r"^error +package busybocks is nowhere$", done.out, re.MULTILINE)
    assert re.search(r"^remedy +did you mean busybox\?$", done.out, re.MULTILINE)
    assert len(done.out.partition("\n\n")[2].splitlines()) == 3
    record = home.img("show", "tv", "--json").record
    assert [each["to"] for each in record["history"]] == ["IN QUEUE", "CANCELLED"]
    cancelled = home.img("show", "tv").out
    assert "\x1b" not in cancelled
    assert "\u202e" not in cancelled
    assert home.img("show", "device").code == 2
    assert home.img("show", "nothing").code == 2


def test_a_log_is_printed_without_what_moves_the_terminal(home: Home, spool: Spool) -> None:
    done = home.img("log", "device@failed")
    assert (done.code, done.err) == (0, "")
    assert [line.partition(" ")[2] for line in done.out.splitlines()] == ["one", "two evil", "three"]
    assert done.out == home.img("log", "device@failed", "-n3").out
    assert home.img("log", "device@failed", "-n1").out.endswith(" three\n")
    assert home.img("log", "device@failed", "-n0").out == ""
    assert json.loads(home.img("log", "device@failed", "-n1", "--json").out)["text"] == "three"
    assert home.img("log", "tv").out == ""
    followed = home.img("log", "-f", "device@failed")
    assert (followed.code, followed.out) == (1, done.out)
    assert "did you mean busybox?" in followed.err


def test_a_log_is_followed_to_the_end_of_its_job(home: Home, spool: Spool) -> None:
    process = subprocess.Popen(
        home.command("log", "-f", "device@latest"), env=home.environment(), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    with spool.start("device-20251125-110000") as claim, spool.log(claim.image_id).open("w") as log:
        log.write("t first\nt half")
        log.flush()
        assert process.stdout.readline() == "t first\n"
        time.sleep(0.5)
        log.write(" a line\n")
        log.flush()
        claim.finish(Status.DONE)
    assert process.stdout.read() == "t half a line\n"
    assert process.wait() == 0


def test_files_are_told_with_size_digest_and_place(home: Home, spool: Spool) -> None:
    done = home.img("files", "device@good")
    assert [line.split()[0] for line in done.out.splitlines()] == ["KIND", "image", "bmap", "packages"]
    told = json.loads(home.img("files", "device@good", "--kind=bmap", "--json").out)
    assert told[0]["path"] == str(home.images / "requests/device-20251123-110000/device-sda.raw.bmap")
    assert told[0]["size"] == 4321


def test_a_text_is_found_where_it_is(home: Home, spool: Spool) -> None:
    done = home.img("find", "BUSYBOCKS")
    assert done.code == 0
    assert {line.partition(": ")[0] for line in done.out.splitlines()} == {"device-20251124-110000 record"}
    assert all("packages: package-47" in line for line in home.img("find", "package-47").out.splitlines())
    hit = json.loads(home.img("find", "three", "--in=log", "--json").out)
    assert (hit["image_id"], hit["place"], hit["line"]) == ("device-20251124-110000", "log", 3)
    assert home.img("find", "in no job of this spool").code == 1


def test_ids_names_and_tags_are_completed_from_the_spool(home: Home, spool: Spool) -> None:
    def words(typed: str) -> list[str]:
        count = len(typed.split(" ")) - 1
        given = {"COMP_WORDS": typed, "COMP_CWORD": str(count), "_IMG_COMPLETE": "bash_complete"}
        return [line.partition(",")[2] for line in home.img(environment=given).out.splitlines()]

    assert words("img show t") == ["tv-20251120-110000"]
    assert words("img cancel device-2025112") == [f"device-202511{day}-110000" for day in (25, 24, 23, 22)]
    assert words("img retry tv@") == ["tv@latest", "tv@good", "tv@failed"]
    assert words("img jobs --name d") == ["device"]
    assert words("img tag x --remove n") == ["nightly"]
    nowhere = {"COMP_WORDS": "img show --spool /nowhere t", "COMP_CWORD": "4", "_IMG_COMPLETE": "bash_complete"}
    assert home.img(environment=nowhere).out.strip() == ""


def test_statistics_tell_how_builds_end_and_why_they_fail(home: Home, spool: Spool) -> None:
    told = home.img("stats", "--json").record
    assert told["states"] == {"queued": 1, "building": 0, "done": 2, "tested": 0, "failed": 1, "cancelled": 1}
    assert told["causes"] == {"package-missing": 1}
    assert told["success"] == 0.66
    device = told["names"]["device"]
    assert (device["good"], device["failed"], round(device["median_seconds"])) == (2, 1, 98)
    assert (device["last_good"], device["last_failed"]) == ("device-20251123-110000", "device-20251124-110000")
    done = home.img("stats", "--name=device")
    assert (done.code, done.err) == (0, "")
    assert "success 66%, median 1 min 38 s" in done.out
    assert home.img("stats", "--name=nothing").out == ""


def test_workers_and_what_they_build_are_told_and_jobs_can_be_cancelled_and_retried_by_name(
    broker: Node, repository: Path, tmp_path: Path
) -> None:
    farm = Farm(broker, tmp_path)
    assert farm.home.img("workers").code == 1
    slow = farm.home.kickstart(small.kickstart(repository, tail="%pre\nsleep 100\n%end\n"), "slow.ks")
    with farm.keeper(), farm.worker("builder", "--slots=1"):
        image_id = farm.submit(slow)
        farm.until(image_id, "BUILDING")
        done = farm.home.img("workers")
        assert done.code == 0
        assert re.search(r"/builder: .*1 of 1 slots in use\n +slow-", done.out)
        assert {each["worker"] for each in json.loads(farm.home.img("workers", "--json").out)} >= {"builder"}
        done = farm.home.img("cancel", "slow@latest", "--reason=test")
        assert (done.code, done.err) == (0, f"note: slow@latest is {image_id}\n")
        farm.until(image_id, "CANCELLED")
        again = farm.home.img("retry", "slow")
        assert again.code == 0
        assert farm.home.img("show", again.out.strip(), "--json").record["retry_of"] == image_id
        assert farm.home.img("cancel", again.out.strip()).code == 0
        farm.until(again.out.strip(), "CANCELLED")


def test_workers_need_a_broker_and_say_so(home: Home, spool: Spool) -> None:
    done = home.img("workers", environment={"SKYNET_CONFIG_DIR": str(home.path)})
    assert (done.code, done.out) == (2, "")
    assert "no broker is known" in done.err


@pytest.mark.parametrize("command", [("top",), ("jobs", "--watch")], ids=" ".join)
def test_a_terminal_is_kept_fresh_until_ctrl_c_and_is_as_it_was_then(
    home: Home, spool: Spool, command: tuple[str, ...]
) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    process = subprocess.Popen(
        home.command(*command), env=home.environment({"TERM": "xterm"}), stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    with spool.start("device-20251125-110000", "w1") as claim:
        claim.update(phase="install", progress=0.5, progress_detail=ESCAPES)
        while b"50%" not in said:
            said += os.read(ours, 65536)
        claim.update(progress=0.75)
        while b"75%" not in said:
            said += os.read(ours, 65536)
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while piece := os.read(ours, 65536):
                said += piece
        assert process.wait() == 0
    os.close(ours)
    assert said.count(b"\x1b[?1049h") == said.count(b"\x1b[?1049l") == 1
    assert b"\x1b]0;owned" not in said
    assert b"\x1b[2J" not in said.partition(b"\x1b[?1049h")[2].replace(b"\x1b[2J\x1b[H", b"")
    assert b"Traceback" not in said


def test_top_tells_programs_what_is_built_now(home: Home, spool: Spool) -> None:
    with spool.start("device-20251125-110000", "w1") as claim:
        claim.update(phase="install", progress=0.5)
        told = home.img("top", "--json").record
    (building,) = told["building"]
    assert (building["image_id"], building["phase"]) == ("device-20251125-110000", "install")
    assert building["memory_bytes"] > 1_000_000
    assert told["queued"] == []
    assert len(told["ended"]) == 4
    assert home.img("top").code == 2


# --- marking


def test_a_pin_and_a_tag_are_events_with_who_where_and_why(home: Home, spool: Spool) -> None:
    done = home.img("pin", "device@good", "device-20251122-110000", "--reason", f"the fair {ESCAPES}")
    assert (done.code, done.out.split()) == (0, ["device-20251123-110000", "device-20251122-110000"])
    assert home.img("tag", "device@good", "--add=5.1", "--add=nightly", "--remove=old").code == 0
    record = home.img("show", "device@good", "--json").record
    assert (record["pinned"], record["tags"]) == (True, ["nightly", "5.1"])
    pin, tag = record["history"][-2:]
    assert pin["reason"].startswith("pinned: the fair ")
    assert pin["reason"].isprintable()
    assert (tag["reason"], tag["from"], tag["to"]) == ("tag 5.1 added", "DONE", "DONE")
    assert tag["who"].endswith(f"@{os.uname().nodename}")
    assert ids(home.img("jobs", "--pinned").out) == ["device-20251123-110000", "device-20251122-110000"]
    assert home.img("unpin", "device@good", "--json").record["pinned"] is False
    assert home.img("unpin", "device@good").code == 0
    assert len(spool.history("device-20251123-110000")) == 6, "what changes nothing is no event"
    assert home.img("fsck", "--quick").out.count("history") == 0


def test_of_several_jobs_none_is_marked_where_one_is_not_there_and_bad_tags_are_refused(
    home: Home, spool: Spool
) -> None:
    assert home.img("pin", "device@good", "nobody").code == 2
    assert not spool.read("device-20251123-110000").pinned
    assert home.img("tag", "device@good", "--add=<b>").code == 2
    assert home.img("tag", "device@good").code == 2


# --- comparing, carrying away


def test_two_jobs_are_compared_by_request_result_kickstart_packages_and_files(home: Home, spool: Spool) -> None:
    changed = report_spool.KICKSTART.replace(b"busybox", b"bash").replace(b"letmein", b"hunter2")
    report_spool.finished(
        spool, "device-20251126-110000", home.images, requested_at="2025-11-26T11:00:00Z", kickstart=changed,
        arch="armv7hl", tokenmap={"RELEASE": "6"},
    )  # fmt: skip
    manifest = home.images / "requests/device-20251126-110000/device.manifest.json"
    told = json.loads(manifest.read_text())
    told["packages"][0]["version"] = "9"
    del told["packages"][1]
    manifest.write_text(json.dumps(told))
    done = home.img("diff", "device-20251123", "device@good")
    assert (done.code, done.err) == (1, "")
    for line in (
        "from device-20251123-110000 to device-20251126-110000", "  arch: x86_64 → armv7hl", "  - → 6",
        "  -busybox", "  +bash", "    package-1.x86_64 1.1-1 → 9-1", "  - package-2.x86_64 1.2-1",
    ):  # fmt: skip
        assert line.strip() in done.out, line
    assert "hunter2" not in done.out
    assert "letmein" not in done.out
    told = json.loads(home.img("diff", "device-20251123", "device@good", "--json").out)
    assert len(told["packages"]) == 2
    assert told["files"] == []
    assert home.img("diff", "device@good", "device@good").code == 0
    failed = home.img("diff", "device-20251123", "device@failed").out
    assert "state: done → failed" in failed
    assert "the packages of one of them are not known" in failed
    assert home.img("diff", "device@good", "nobody").code == 2


def test_a_job_is_carried_to_another_spool_and_is_the_same_there(home: Home, spool: Spool, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    done = home.img("export", "device@failed", directory=tmp_path)
    assert (done.code, done.out) == (0, "device-20251124-110000.tar.gz\n")
    archive = tmp_path / "device-20251124-110000.tar.gz"
    assert archive.stat().st_mode & 0o777 == 0o600
    assert home.img("export", "device@failed", directory=tmp_path).code == 2, "what is there is not overwritten"
    imported = other.img("import", archive)
    assert (imported.code, imported.out, imported.err) == (0, "device-20251124-110000\n", "")
    here, there = home.img("show", "device@failed", "--json").record, other.img("show", "device", "--json").record
    for field in ("name", "arch", "status", "error", "error_cause", "phases", "finished_at", "tokenmap", "user"):
        assert there[field] == here[field]
    assert other.img("log", "device").out == home.img("log", "device@failed").out
    assert Spool(other.spool).kickstart("device-20251124-110000") == report_spool.KICKSTART
    assert [each["reason"] for each in there["history"]] == ["imported: device-20251124-110000"]
    assert other.img("import", archive).code == 2
    assert other.img("import", archive, "--id=again").out == "again\n"
    assert other.img("fsck").code == 0
    assert home.img("export", "device@latest").code == 2, "it has not ended"


# --- making room


def used(*places: Path) -> int:
    return sum(
        each.lstat().st_blocks * 512
        for place in places
        for each in (place, *place.rglob("*"))
        if os.path.lexists(each)
    )


def test_gc_says_first_what_it_would_do_and_then_does_that(home: Home, spool: Spool) -> None:
    before = used(home.spool / "jobs", home.images)
    plan = home.img("gc", "--keep=0")
    assert (plan.code, sorted(ids(plan.out))) == (
        0,
        ["device-20251122-110000", "device-20251124-110000", "tv-20251120-110000"],
    )
    assert plan.err.startswith("3 jobs would be removed, ")
    told = home.img("gc", "--keep=0", "--json").record
    assert len(spool.ids()) == 5
    done = home.img("gc", "--keep=0", "--yes", "--json")
    assert done.code == 0
    assert done.record["freed"] == told["would_free"]
    assert (
        abs(before - used(home.spool / "jobs", home.images) - told["would_free"]) <= 8192
    )  # the listings themselves
    assert spool.ids() == ["device-20251123-110000", "device-20251125-110000"]
    assert not (home.images / "requests/device-20251122-110000").exists()
    assert (home.images / "requests/device-20251123-110000").is_dir()
    assert home.img("jobs", "--state=failed").out == ""
    assert "0 jobs would" in home.img("gc", "--keep=0").err
    assert list((home.spool / "removed").iterdir()) == []
    assert [each for each in json.loads(home.img("fsck", "--quick", "--json").out) if each["kind"] == "index"] == []


def test_gc_wants_to_be_told_what(home: Home, spool: Spool) -> None:
    assert home.img("gc", "--yes").code == 2
    assert home.img("gc", "--max-size=much").code == 2
    assert home.img("gc", "--state=building").code == 2
    assert len(spool.ids()) == 5


def test_what_is_pinned_stays_and_what_was_put_elsewhere_too_until_that_is_named(
    home: Home, spool: Spool, tmp_path: Path
) -> None:
    home.img("pin", "device-20251122-110000")
    report_spool.finished(spool, "device-20251101-110000", tmp_path / "else", requested_at="2025-11-01T11:00:00Z")
    done = home.img("gc", "--state=done", "--yes")
    assert (done.code, done.out) == (0, "")
    assert f"device-20251101-110000 stays: its files are elsewhere, in {tmp_path}" in done.err
    done = home.img("gc", "--state=done", "--yes", "--outdir", tmp_path / "else")
    assert done.out == "device-20251101-110000\n"
    assert list((tmp_path / "else/requests").iterdir()) == []
