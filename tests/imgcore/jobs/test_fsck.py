# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/jobs/fsck.py."""

import hashlib
import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcore.cli.fsck import command
from imgcore.errors import InputError
from imgcore.job import Status
from imgcore.jobs import fsck, gc
from imgcore.jobs.fsck import Finding
from imgcore.notify.outbox import Letter, Outbox
from imgcore.spool import Spool
from tests.support.records import add, child, damage

IMAGE = b"an image"


def add_done(spool: Spool, base: Path, image_id: str = "tiny-1") -> Path:
    """A job with one published image; where that is."""
    add(spool, image_id)
    directory = base / "requests" / image_id
    directory.mkdir(parents=True)
    (directory / "tiny.img").write_bytes(IMAGE)
    artifact = {"name": "tiny.img", "kind": "image", "size": len(IMAGE), "sha256": hashlib.sha256(IMAGE).hexdigest()}
    spool.start(image_id).finish(Status.DONE, artifacts=[artifact], directory=str(directory))
    return directory / "tiny.img"


def kinds(findings: list[Finding]) -> list[tuple[str, str, bool]]:
    return [(each.kind, each.image_id, each.repairable) for each in findings]


def events(spool: Spool) -> Path:
    return spool.directory("tiny-1") / "events.jsonl"


def unreadable(spool: Spool, base: Path) -> None:
    add(spool)
    damage(spool, "tiny-1")


def another_ones_record(spool: Spool, base: Path) -> None:
    add(spool, "other")
    add(spool)
    damage(spool, "tiny-1", (spool.directory("other") / "job.json").read_bytes())


def no_record(spool: Spool, base: Path) -> None:
    add(spool)
    (spool.directory("tiny-1") / "job.json").unlink()


def empty_directory(spool: Spool, base: Path) -> None:
    spool.directory("tiny-1").mkdir()


def stray_in_job(spool: Spool, base: Path) -> None:
    add(spool)
    (spool.directory("tiny-1") / ".job.json.0123456789ab.tmp").write_bytes(b"half")


def stray_being_made(spool: Spool, base: Path) -> None:
    (spool.root / "tmp/tiny-1.0123456789ab").mkdir()
    (spool.root / "tmp/tiny-1.0123456789ab/kickstart.ks").write_bytes(b"half")


def stray_among_jobs(spool: Spool, base: Path) -> None:
    (spool.root / "jobs/README").write_bytes(b"what is this")


def stray_link_among_jobs(spool: Spool, base: Path) -> None:
    (base / "elsewhere").mkdir()
    (base / "elsewhere/keep").touch()
    (spool.root / "jobs/link").symlink_to(base / "elsewhere")


def stray_name_among_jobs(spool: Spool, base: Path) -> None:
    (spool.root / "jobs/-rf").mkdir()


def stray_delivery(spool: Spool, base: Path) -> None:
    add_done(spool, base)
    (base / "requests/.tiny-1.partial").mkdir()
    (base / "requests/.tiny-1.partial/tiny.img").write_bytes(b"half")


def dead_worker(spool: Spool, base: Path) -> None:
    add(spool)
    with child(spool, "spool.claim(); print('x', flush=True); time.sleep(60)") as process:
        assert process.stdout is not None and process.stdout.readline()
        assert fsck.check(spool) == []
        process.kill()


def torn_history(spool: Spool, base: Path) -> None:
    add(spool)
    spool.start("tiny-1").finish(Status.DONE)
    events(spool).write_bytes(events(spool).read_bytes()[:-30])


def lost_event(spool: Spool, base: Path) -> None:
    add(spool)
    spool.start("tiny-1").finish(Status.DONE)
    lines = events(spool).read_bytes().splitlines(keepends=True)
    events(spool).write_bytes(b"".join(lines[:-1]))


def lost_history(spool: Spool, base: Path) -> None:
    add(spool)
    spool.start("tiny-1").finish(Status.DONE)
    events(spool).unlink()


def junk_in_history(spool: Spool, base: Path) -> None:
    add(spool)
    spool.start("tiny-1").finish(Status.DONE)
    lines = events(spool).read_bytes().splitlines(keepends=True)
    events(spool).write_bytes(lines[0] + b"\xff\0junk\n" + lines[2])


def index_lacks(spool: Spool, base: Path) -> None:
    add(spool)
    next((spool.root / "index/IN_QUEUE").iterdir()).unlink()


def index_lies(spool: Spool, base: Path) -> None:
    add(spool)
    entry = next((spool.root / "index/IN_QUEUE").iterdir())
    (spool.root / "index/DONE" / entry.name).touch()


def index_has_a_ghost(spool: Spool, base: Path) -> None:
    (spool.root / "index/DONE/20260101000000000000,tiny-1").touch()


def index_has_junk(spool: Spool, base: Path) -> None:
    (spool.root / "index/IN_QUEUE/junk").touch()
    assert spool.claim() is None


def lookup_lacks(spool: Spool, base: Path) -> None:
    job = add(spool, step="a!b!c")
    spool.index.lookup.remove_job(job)
    spool.index.lookup.add("name", job.name, job.image_id)


def half_removed(spool: Spool, base: Path) -> None:
    add_done(spool, base)
    assert spool.take_out("tiny-1", gc.may_go)


def missing_artifact(spool: Spool, base: Path) -> None:
    add_done(spool, base).unlink()


def artifact_behind_a_link(spool: Spool, base: Path) -> None:
    path = add_done(spool, base)
    (base / "elsewhere").write_bytes(IMAGE)
    path.unlink()
    path.symlink_to(base / "elsewhere")


def wrong_size(spool: Spool, base: Path) -> None:
    add_done(spool, base).write_bytes(IMAGE + b"!")


def wrong_digest(spool: Spool, base: Path) -> None:
    add_done(spool, base).write_bytes(IMAGE.upper())


def no_kickstart(spool: Spool, base: Path) -> None:
    add(spool)
    (spool.directory("tiny-1") / "kickstart.ks").unlink()


def not_told(spool: Spool, base: Path) -> None:
    letter = Letter("tiny-1", 3, "mail", "a@example.org", {"status": "DONE"})
    box = Outbox(spool.root / "notices")
    box.put(letter)
    box.give_up(box.due("mail")[0], letter, "no such\nuser")


def not_told_and_unreadable(spool: Spool, base: Path) -> None:
    not_told(spool, base)
    next((spool.root / "notices/failed/mail").iterdir()).write_bytes(b"half")


DAMAGE: dict[Callable[[Spool, Path], None], list[tuple[str, str, bool]]] = {
    unreadable: [("unreadable-record", "tiny-1", True)],
    another_ones_record: [("unreadable-record", "tiny-1", True)],
    no_record: [("no-record", "tiny-1", True)],
    empty_directory: [("no-record", "tiny-1", True)],
    stray_in_job: [("stray-file", "tiny-1", True)],
    stray_being_made: [("stray-file", "", True)],
    stray_among_jobs: [("stray-file", "", True)],
    stray_link_among_jobs: [("stray-file", "", True)],
    stray_name_among_jobs: [("stray-file", "", True)],
    stray_delivery: [("stray-file", "tiny-1", True)],
    dead_worker: [("dead-worker", "tiny-1", True)],
    torn_history: [("history", "tiny-1", True)] * 2,
    lost_event: [("history", "tiny-1", True)],
    lost_history: [("history", "tiny-1", True)],
    junk_in_history: [("history", "tiny-1", True)] * 2,
    index_lacks: [("index", "tiny-1", True)],
    index_lies: [("index", "tiny-1", True)],
    index_has_a_ghost: [("index", "tiny-1", True)],
    index_has_junk: [("index", "", True)],
    lookup_lacks: [("index", "tiny-1", True)],
    half_removed: [("half-removed", "tiny-1", False)],
    missing_artifact: [("missing-artifact", "tiny-1", False)],
    artifact_behind_a_link: [("missing-artifact", "tiny-1", False)],
    wrong_size: [("wrong-size", "tiny-1", False)],
    wrong_digest: [("wrong-digest", "tiny-1", False)],
    no_kickstart: [("no-kickstart", "tiny-1", False)],
    not_told: [("not-told", "tiny-1", False)],
    not_told_and_unreadable: [("not-told", "", False)],
}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "images"


def test_a_spool_in_order_has_no_findings(spool: Spool, base: Path) -> None:
    add_done(spool, base)
    add(spool, "waiting")
    with spool.start("waiting") as claim:
        assert fsck.check(spool, [base]) == []
        claim.finish(Status.ERROR)
    assert fsck.check(spool, [base]) == []


@pytest.mark.parametrize("make", DAMAGE, ids=lambda make: make.__name__)
def test_each_kind_of_damage_is_found_named_and_repaired_where_it_can_be(
    spool: Spool, base: Path, make: Callable[[Spool, Path], None]
) -> None:
    base.mkdir()
    make(spool, base)
    before = {path: path.lstat().st_mtime_ns for path in spool.root.rglob("*") if not path.name.endswith("lock")}
    found = fsck.check(spool, [base])
    assert kinds(found) == DAMAGE[make]
    for finding in found:
        assert finding.kind in fsck.KINDS
        assert finding.sentence.isprintable() and (finding.image_id in finding.sentence)
        assert finding.path.is_relative_to(spool.root) or finding.path.is_relative_to(base)
    after = {path: path.lstat().st_mtime_ns for path in spool.root.rglob("*") if not path.name.endswith("lock")}
    assert {path for path in before if before[path] != after.get(path)} <= {spool.root, spool.directory("tiny-1")}
    for finding in found:
        if finding.repairable:
            assert fsck.repair(spool, finding)
        else:
            with pytest.raises(InputError):
                fsck.repair(spool, finding)
    assert kinds(fsck.check(spool, [base])) == [each for each in DAMAGE[make] if not each[2]]


def test_every_kind_that_fsck_knows_is_made_by_a_test() -> None:
    made = {kind for findings in DAMAGE.values() for kind, _, _ in findings}
    assert made | {"no-access"} == set(fsck.KINDS)


def test_a_job_that_is_set_aside_keeps_everything_and_its_reason(spool: Spool, base: Path) -> None:
    unreadable(spool, base)
    (finding,) = fsck.check(spool)
    assert "set aside" in fsck.repair(spool, finding)
    (aside,) = spool.damaged()
    assert aside.image_id == "tiny-1" and "not JSON" in aside.reason
    assert sorted(path.name for path in aside.path.iterdir()) == [
        "events.jsonl", "job.json", "kickstart.ks", "lock", "reason", "workitem.json",
    ]  # fmt: skip
    assert spool.ids(Status.IN_QUEUE) == []


def test_a_repaired_history_tells_what_is_left_of_it_and_marks_what_is_lost(spool: Spool, base: Path) -> None:
    junk_in_history(spool, base)
    old = events(spool).read_bytes()
    fsck.repair(spool, fsck.check(spool)[0])
    lines = [json.loads(line) for line in events(spool).read_text().splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert "lost" in lines[1]["reason"]
    assert (spool.directory("tiny-1") / "events.jsonl.damaged").read_bytes() == old


def test_what_somebody_put_among_the_jobs_is_moved_away_and_kept(spool: Spool, base: Path) -> None:
    stray_among_jobs(spool, base)
    fsck.repair(spool, fsck.check(spool)[0])
    assert (spool.root / "damaged/README").read_bytes() == b"what is this"


def test_a_stray_link_is_moved_away_and_not_what_it_leads_to(spool: Spool, base: Path) -> None:
    base.mkdir()
    stray_link_among_jobs(spool, base)
    fsck.repair(spool, fsck.check(spool)[0])
    assert (base / "elsewhere/keep").exists()


def test_a_dead_workers_job_is_ended_as_an_error_with_that_reason(spool: Spool, base: Path) -> None:
    dead_worker(spool, base)
    fsck.repair(spool, fsck.check(spool)[0])
    job = spool.read("tiny-1")
    assert (job.status, job.error_cause) == (Status.ERROR, "killed") and "ended without a result" in job.error


def test_without_digests_no_artifact_is_read(spool: Spool, base: Path) -> None:
    wrong_digest(spool, base)
    assert fsck.check(spool, digests=False) == []


def test_progress_is_told_job_by_job(spool: Spool) -> None:
    for number in range(3):
        add(spool, f"j{number}")
    told: list[tuple[int, int, str]] = []
    fsck.check(spool, progress=lambda *where: told.append(where))
    assert told == [(0, 3, "j0"), (1, 3, "j1"), (2, 3, "j2")]


def test_a_record_that_may_not_be_read_is_found_and_left(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    from imgcore.errors import SpoolError
    from imgcore.spool import record

    add(spool)

    def refuse(directory: Path) -> None:
        raise SpoolError(f"{directory} cannot be read: Permission denied")

    monkeypatch.setattr(record, "read", refuse)
    (finding,) = fsck.check(spool)
    assert (finding.kind, finding.image_id, finding.repairable) == ("no-access", "tiny-1", False)


def test_a_spool_at_work_has_no_findings(spool: Spool) -> None:
    stop = threading.Event()

    def work(name: str) -> None:
        mine = Spool(spool.root)
        number = 0
        while not stop.is_set():
            number += 1
            add(mine, f"{name}-{number}")
            if claim := mine.claim():
                claim.update(progress=0.5)
                claim.finish(Status.DONE)

    threads = [threading.Thread(target=work, args=(f"t{each}",)) for each in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(15):
            assert fsck.check(spool) == []
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_job_that_is_being_removed_is_not_told_as_half_removed(spool: Spool, base: Path) -> None:
    half_removed(spool, base)
    with gc.alone(spool):
        assert fsck.check(spool, [base]) == []
    assert len(fsck.check(spool, [base])) == 1


def test_a_removal_that_ends_while_fsck_looks_is_no_finding(
    spool: Spool, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_removed(spool, base)
    monkeypatch.setattr(gc, "busy", lambda there: bool(gc.resume(there, "tiny-1", [base])) and False)
    assert fsck.check(spool, [base]) == []


def test_a_job_that_is_not_found_by_its_name_is_found_again_once_that_is_repaired(spool: Spool) -> None:
    job = add(spool)
    spool.index.lookup.remove_job(job)
    (finding,) = fsck.check(spool)
    assert list(spool.index.newest([Status.IN_QUEUE], names=["tiny"])) == []
    assert fsck.repair(spool, finding)
    assert list(spool.index.newest([Status.IN_QUEUE], names=["tiny"])) == ["tiny-1"]


def test_a_lost_index_of_many_jobs_is_found_and_repaired(spool: Spool) -> None:
    for number in range(30):
        add(spool, f"j{number:02}")
    subprocess.run(["rm", "-r", str(spool.root / "index/IN_QUEUE")], check=True)
    found = fsck.check(spool)
    assert [each.kind for each in found] == ["index"] * 30
    for finding in found:
        fsck.repair(spool, finding)
    assert fsck.check(spool) == []
    assert len(spool.ids(Status.IN_QUEUE)) == 30


def test_what_another_machine_builds_or_has_built_is_not_looked_for_here(spool: Spool) -> None:
    artifact = {"name": "tiny.img", "kind": "image", "size": 1, "sha256": ""}
    for image_id in ("building", "built"):
        add(spool, image_id)
        with spool.edit(image_id) as edit:
            edit.move(Status.BUILDING, worker={"host": "elsewhere", "pid": 1})
    with spool.edit("built") as edit:
        edit.move(Status.DONE, artifacts=[artifact], directory="/srv/requests/built")
    assert list(fsck.check(spool)) == []


def test_what_a_build_publishes_that_was_begun_again_meanwhile_stays(
    spool: Spool, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    partial = base / "requests/.tiny-1.partial"
    partial.mkdir(parents=True)
    dead_worker(spool, base)
    found = fsck.check(spool, [base])
    assert sorted(each.kind for each in found) == ["dead-worker", "stray-file"]
    assert spool.recover("tiny-1", requeue=True)
    monkeypatch.setattr(fsck, "check", lambda *given, **more: found)
    arguments = ["--repair", f"--spool={spool.root}", f"--outdir={base}"]
    with spool.start("tiny-1") as claim:
        assert command.main(arguments, standalone_mode=False) == 0
        assert partial.is_dir()
        assert f"{partial} stays: job tiny-1 is built again" in capsys.readouterr().out
        claim.finish(Status.ERROR)
    assert command.main(arguments, standalone_mode=False) == 0
    assert not partial.exists()


@pytest.mark.parametrize("directory", ["/no\0where", f"/{'n' * 300}"])
def test_an_artifact_at_a_place_that_cannot_be_is_missing(spool: Spool, base: Path, directory: str) -> None:
    add_done(spool, base)
    with spool.edit("tiny-1") as edit:
        edit.update(directory=directory)
    assert [each.kind for each in fsck.check(spool, [base])] == ["missing-artifact"]
