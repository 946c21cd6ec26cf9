# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves that a disk that fails is told clearly, and leaves the record as it was."""

import json
from pathlib import Path

import pytest

from imgcore.errors import SpoolError
from imgcore.job import Status
from imgcore.spool import Spool
from tests.support import small_disk
from tests.support.records import add

# ---- rule 7: disk full, read-only, wrong owner


def test_a_full_disk_is_told_clearly_and_leaves_every_record_as_it_was(tmp_path: Path) -> None:
    told = small_disk.run(
        """
        from imgcore.errors import SpoolError
        from imgcore.job import Job, Status
        from imgcore.spool import Spool
        spool = Spool(disk / "spool")
        for name in ("a", "b", "c"):
            spool.create(Job(name, "tiny", "x86_64", "raw"), kickstart=b"x")
        claim = spool.start("b")
        claim.update(progress=0.1)

        def edit(**changes):
            with spool.edit("a") as held:
                held.update(**changes)

        def cancel():
            with spool.edit("a") as held:
                held.move(Status.CANCELLED)

        def state():
            return {path: path.read_bytes() for path in sorted(disk.rglob("spool/**/*")) if path.is_file()}

        acts = {
            "create": lambda: spool.create(Job("d", "tiny", "x86_64", "raw"), kickstart=bytes(100000)),
            "edit": lambda: edit(tags=("x",)),
            "cancel": cancel,
            "claim": spool.claim,
            "start": lambda: spool.start("c"),
            "progress": lambda: claim.update(progress=0.2),
            "finish": lambda: claim.finish(Status.DONE),
        }
        with spool.edit("a"), spool.edit("c"):
            pass
        fill()
        before = state()
        for name, act in acts.items():
            try:
                act()
            except SpoolError as error:
                assert "No space left on device" in error.message, error
                assert "free space" in error.remedy, error
                assert str(disk) in error.message, error
                print(name)
            else:
                print("no error:", name)
            after = {path: content for path, content in state().items() if not path.name.endswith("lock")}
            assert after == {p: c for p, c in before.items() if not p.name.endswith("lock")}, name
        assert spool.ids() == ["a", "b", "c"] and spool.ids(Status.IN_QUEUE) == ["a", "c"]
        assert Spool(disk / "spool").read("a").status is Status.IN_QUEUE
        (disk / "filler").unlink()
        assert claim.update(progress=0.3).progress == 0.3
        claim.finish(Status.DONE)
        cancel()
        assert [e["to"] for e in spool.history("a")] == ["IN QUEUE", "CANCELLED"]
        """,
        tmp_path,
    )
    assert told.split() == ["create", "edit", "cancel", "claim", "start", "progress", "finish"]


def test_a_disk_that_fills_up_between_record_and_history_loses_no_transition(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imgcore.spool import history

    add(spool)

    def full(*_arguments: object) -> None:
        raise SpoolError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(history, "append", full)
        claim = spool.start("tiny-1")
    assert [event["to"] for event in spool.history("tiny-1")] == ["IN QUEUE", "BUILDING"]
    claim.finish(Status.DONE)
    lines = (spool.directory("tiny-1") / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["to"] for line in lines] == ["IN QUEUE", "BUILDING", "DONE"]


def test_a_read_only_spool_can_be_read_and_refuses_changes_clearly(tmp_path: Path) -> None:
    told = small_disk.run(
        """
        from imgcore.errors import SpoolError
        from imgcore.job import Job, Status
        from imgcore.spool import Spool
        spool = Spool(disk / "spool")
        spool.create(Job("a", "tiny", "x86_64", "raw"), kickstart=b"x")
        with spool.edit("a"):
            pass
        before = (spool.directory("a") / "job.json").read_bytes()
        mount("-o", "remount,bind,ro", str(disk))
        spool = Spool(disk / "spool")
        assert [job.image_id for job in spool.jobs(Status.IN_QUEUE)] == ["a"]
        assert not spool.alive("a")

        def cancel():
            with spool.edit("a") as held:
                held.move(Status.CANCELLED)

        for act in (
            lambda: spool.create(Job("b", "tiny", "x86_64", "raw"), kickstart=b"x"), cancel, spool.claim,
            lambda: spool.start("a"), lambda: spool.set_aside("a", "x"),
        ):
            try:
                act()
            except SpoolError as error:
                assert "Read-only file system" in error.message and "for writing" in error.remedy, error
                print("told")
        assert (spool.directory("a") / "job.json").read_bytes() == before
        """,
        tmp_path,
    )
    assert told.split() == ["told"] * 5


def test_somebody_elses_spool_can_be_read_and_refuses_changes_clearly(tmp_path: Path) -> None:
    told = small_disk.run(
        """
        import ctypes
        from imgcore.errors import SpoolError
        from imgcore.job import Job, Status
        from imgcore.spool import Spool
        os.chmod(disk, 0o755)
        os.chdir(disk)  # the way to it may be closed to others
        spool = Spool(Path("spool"))
        spool.create(Job("a", "tiny", "x86_64", "raw"), kickstart=b"x")
        with spool.edit("a"):
            pass
        before = (spool.directory("a") / "job.json").read_bytes()
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        except OSError:
            # A user namespace with one user: who gives up all capabilities and write permission is as another.
            for path in [Path("spool"), *Path("spool").rglob("**/*")]:
                path.chmod(0o555 if path.is_dir() else 0o444)
            assert ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()) == 0
        me = "nobody" if os.geteuid() else "root"
        spool = Spool(Path("spool"))
        assert spool.read("a").status is Status.IN_QUEUE

        def cancel():
            with spool.edit("a") as held:
                held.move(Status.CANCELLED)

        for act in (
            lambda: spool.create(Job("b", "tiny", "x86_64", "raw"), kickstart=b"x"), cancel, spool.claim,
            lambda: spool.start("a"), lambda: spool.set_aside("a", "x"),
        ):
            try:
                act()
            except SpoolError as error:
                assert "Permission denied" in error.message and "owner" in error.remedy, error
                assert f"belongs to root, this runs as {me}" in error.message, error
                print("told")
        assert (spool.directory("a") / "job.json").read_bytes() == before
        """,
        tmp_path,
    )
    assert told.split() == ["told"] * 5


def test_a_record_that_may_not_be_read_is_no_damage(tmp_path: Path) -> None:
    small_disk.run(
        """
        import ctypes
        from imgcore.errors import SpoolError
        from imgcore.job import Job
        from imgcore.spool import Spool
        spool = Spool(disk / "spool")
        spool.create(Job("a", "tiny", "x86_64", "raw"), kickstart=b"x")
        (disk / "spool/jobs/a/job.json").chmod(0)
        assert ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()) == 0
        for act in (lambda: spool.read("a"), spool.claim, lambda: spool.start("a")):
            try:
                act()
            except SpoolError as error:
                assert type(error) is SpoolError and "Permission denied" in error.message, error
            else:
                raise AssertionError("it was read")
        assert spool.damaged() == [] and spool.ids() == ["a"]
        """,
        tmp_path,
    )
