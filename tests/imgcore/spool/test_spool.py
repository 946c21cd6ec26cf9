# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/spool/spool.py, index.py and aside.py."""

import builtins
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest

from imgcore import job as jobs
from imgcore.errors import InputError, SpoolError
from imgcore.job import Status
from imgcore.spool import DamagedRecord, Spool
from tests.support.records import KICKSTART, a_job, add, contents, damage, validate_spool

# ---- making and reading


def test_a_job_stands_in_one_directory_that_people_can_read(spool: Spool) -> None:
    made = add(spool, user="jane", tokenmap={"A": "b"})
    directory = spool.root / "jobs/tiny-1"
    assert spool.directory("tiny-1") == directory
    assert (directory / "kickstart.ks").read_bytes() == spool.kickstart("tiny-1") == KICKSTART
    assert json.loads((directory / "workitem.json").read_text()) == {"fields": {"a": 1}}
    record = json.loads((directory / "job.json").read_text())
    assert (record["status"], record["user"], record["tokenmap"]) == ("IN QUEUE", "jane", {"A": "b"})
    line = json.loads((directory / "events.jsonl").read_text())
    assert line == record["event"]
    assert (line["from"], line["to"], line["who"], line["pid"]) == ("", "IN QUEUE", "jane", os.getpid())
    assert spool.read("tiny-1") == made
    assert spool.log("tiny-1") == directory / "build.log"
    assert validate_spool(spool.root) == 1


def test_an_id_that_is_taken_is_refused_and_the_job_that_has_it_stays(spool: Spool) -> None:
    add(spool)
    before = contents(spool.root)
    with pytest.raises(InputError, match=r"^field image_id: tiny-1 is taken"):
        add(spool, user="other")
    assert contents(spool.root) == before


@pytest.mark.parametrize("image_id", ["../x", "", "a/b", ".", "-x", "a\nb", "x" * 300])
def test_an_id_that_is_no_name_is_refused_everywhere(spool: Spool, image_id: str) -> None:
    acts: list[Callable[[], object]] = [
        lambda: add(spool, image_id),
        lambda: spool.read(image_id),
        lambda: spool.directory(image_id),
        lambda: spool.start(image_id),
        lambda: spool.edit(image_id).__enter__(),
        lambda: spool.alive(image_id),
        lambda: spool.recover(image_id),
        lambda: spool.kickstart(image_id),
    ]
    before = contents(spool.root)
    for act in acts:
        with pytest.raises(InputError, match=r"^field image_id: "):
            act()
    assert contents(spool.root) == before


def test_a_field_of_the_wrong_kind_makes_no_job(spool: Spool) -> None:
    for fields in ({"tags": "pinned"}, {"timeout": float("nan")}, {"name": None}):
        with pytest.raises(InputError, match=f"field {next(iter(fields))}"):
            add(spool, **fields)
    assert (spool.ids(), list((spool.root / "tmp").iterdir())) == ([], [])


def test_a_job_that_is_not_there_is_named_with_the_nearest(spool: Spool) -> None:
    add(spool, "tiny-20260101-120000")
    with pytest.raises(InputError, match=r"no job tiny-20260101-12000 .*did you mean tiny-20260101-120000\?"):
        spool.read("tiny-20260101-12000")
    with pytest.raises(InputError, match="no job"):
        spool.edit("other").__enter__()
    with pytest.raises(InputError, match="no job"):
        spool.start("other")
    with pytest.raises(InputError, match="no job"):
        spool.kickstart("other")


def test_ids_made_in_the_same_second_are_different(spool: Spool) -> None:
    now = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
    made = [spool.create_unique("tiny", a_job(""), kickstart=KICKSTART, now=now).image_id for _ in range(3)]
    assert made == ["tiny-20260131-120000", "tiny-20260131-120000-2", "tiny-20260131-120000-3"]


def test_an_id_that_another_takes_at_the_same_moment_is_not_used_twice(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
    taken = spool.new_id("tiny", now)
    real, asked = spool.new_id, []

    def as_if_free(stem: str, when: datetime | None = None) -> str:
        asked.append(stem)
        if len(asked) == 1:
            add(spool, taken)
            return taken
        return real(stem, when)

    monkeypatch.setattr(spool, "new_id", as_if_free)
    assert spool.create_unique("tiny", a_job(""), kickstart=KICKSTART, now=now).image_id == f"{taken}-2"


def test_who_comes_too_late_for_an_id_leaves_no_entry_in_the_index(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = spool._put_in_place

    def after_another(building: Path, target: Path) -> None:
        monkeypatch.undo()
        add(spool)
        put(building, target)

    monkeypatch.setattr(spool, "_put_in_place", after_another)
    with pytest.raises(InputError, match=r"^field image_id: tiny-1 is taken"):
        add(spool, user="other")
    assert [len(spool.index.entries(status)) for status in (Status.IN_QUEUE, Status.BUILDING)] == [1, 0]
    assert spool.ids(Status.IN_QUEUE) == ["tiny-1"]
    assert list((spool.root / "tmp").iterdir()) == []


def test_a_spool_that_is_not_there_is_not_made_unless_asked(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="there is no spool at"):
        Spool(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()


def test_jobs_are_listed_by_state_in_the_order_of_the_requests(spool: Spool) -> None:
    for number in (3, 1, 2):
        add(spool, f"j{number}", requested_at=f"2026-01-01T00:00:0{number}Z")
    add(spool, "j0", requested_at="2026-01-01T00:00:02.5Z")
    spool.start("j1").finish(Status.DONE)
    assert spool.ids(Status.IN_QUEUE) == ["j2", "j0", "j3"]
    assert spool.ids(Status.IN_QUEUE, Status.DONE) == ["j1", "j2", "j0", "j3"]
    assert spool.ids() == ["j0", "j1", "j2", "j3"]
    assert [job.image_id for job in spool.jobs(Status.DONE)] == ["j1"]


def test_listing_by_state_reads_no_record(spool: Spool) -> None:
    for number in range(5):
        add(spool, f"j{number}")
    opened: list[str] = []
    real_open, real_io = os.open, builtins.open
    with (
        mock.patch.object(os, "open", lambda path, *a, **k: (opened.append(str(path)), real_open(path, *a, **k))[1]),
        mock.patch.object(
            builtins, "open", lambda path, *a, **k: (opened.append(str(path)), real_io(path, *a, **k))[1]
        ),
        mock.patch.object(jobs, "from_json", mock.Mock(side_effect=AssertionError("a record was read"))),
    ):
        assert len(spool.ids(Status.IN_QUEUE)) == 5
    assert opened == []


# ---- rule 3: everything else is derived


def test_the_index_can_be_deleted_and_comes_back_from_the_records(spool: Spool) -> None:
    for number in range(4):
        add(spool, f"j{number}")
    spool.start("j0").finish(Status.DONE)
    spool.start("j1").finish(Status.ERROR)
    before = {status: spool.ids(status) for status in Status}
    subprocess.run(["rm", "-r", str(spool.root / "index")], check=True)
    again = Spool(spool.root)
    assert {status: again.ids(status) for status in Status} == before
    claim = again.claim()
    assert claim is not None and claim.image_id == "j2"
    claim.close()


def test_an_index_that_lies_is_set_right_by_a_rebuild(spool: Spool) -> None:
    add(spool, "a")
    add(spool, "b")
    index = spool.root / "index"
    entry = next(path for path in (index / "IN_QUEUE").iterdir() if path.name.endswith(",a"))
    entry.rename(index / "DONE" / entry.name)
    (index / "ERROR/20260101000000000000,ghost").touch()
    (index / "ERROR" / f"{entry.name.partition(',')[0]},b").touch()
    spool.rebuild_index()
    assert {status: spool.ids(status) for status in Status if spool.ids(status)} == {Status.IN_QUEUE: ["a", "b"]}


def test_a_machine_that_went_down_since_gets_its_index_made_anew(spool: Spool) -> None:
    add(spool)
    for path in (spool.root / "index/IN_QUEUE").iterdir():
        path.unlink()
    assert Spool(spool.root).ids(Status.IN_QUEUE) == []
    for path in (spool.root / "index/by").glob(".boot-*"):
        path.rename(path.with_name(".boot-of-another-time"))
    assert Spool(spool.root).ids(Status.IN_QUEUE) == ["tiny-1"]


@pytest.mark.parametrize("more", [False, True])
def test_a_state_whose_part_of_the_index_is_gone_gets_it_again_whoever_goes_on_meanwhile(
    spool: Spool, more: bool
) -> None:
    add(spool, "a")
    shutil.rmtree(spool.root / "index/IN_QUEUE")
    if more:
        add(spool, "b")
    assert sorted(Spool(spool.root).ids(Status.IN_QUEUE)) == (["a", "b"] if more else ["a"])


def test_a_lie_of_the_index_gets_nobody_a_job_that_is_not_waiting(spool: Spool) -> None:
    add(spool)
    entry = next((spool.root / "index/IN_QUEUE").iterdir())
    spool.start("tiny-1").finish(Status.DONE)
    entry.touch()
    assert Spool(spool.root).claim() is None
    assert not entry.exists()


# ---- rule 4: an unreadable record stops that job alone


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 100, b'{"image_id": 7}', None])
def test_a_damaged_record_is_set_aside_with_its_reason_and_the_next_job_is_built(
    spool: Spool, content: bytes | None
) -> None:
    add(spool, "a")
    add(spool, "b")
    if content is None:
        other = (spool.directory("b") / "job.json").read_bytes()
        damage(spool, "a", other)
    else:
        damage(spool, "a", content)
    with pytest.raises(DamagedRecord) as caught:
        spool.read("a")
    assert caught.value.image_id == "a"
    told: list[DamagedRecord] = []
    assert [job.image_id for job in spool.jobs(Status.IN_QUEUE, on_damage=told.append)] == ["b"]
    assert [damaged.image_id for damaged in told] == ["a"]
    claim = spool.claim()
    assert claim is not None and claim.image_id == "b"
    claim.close()
    (aside,) = spool.damaged()
    assert (aside.image_id, aside.reason) == ("a", caught.value.reason)
    assert (aside.path / "kickstart.ks").read_bytes() == KICKSTART
    assert spool.ids() == ["b"]
    assert spool.ids(Status.IN_QUEUE) == []


def test_a_record_that_is_gone_stops_that_job_alone(spool: Spool) -> None:
    add(spool, "a")
    (spool.directory("a") / "job.json").unlink()
    add(spool, "b")
    with pytest.raises(DamagedRecord, match="it is not there"):
        spool.read("a")
    with pytest.raises(DamagedRecord), spool.edit("a"):
        pass
    with pytest.raises(DamagedRecord):
        spool.start("a")
    claim = spool.claim()
    assert claim is not None and claim.image_id == "b"
    claim.close()


def test_two_damaged_jobs_of_the_same_id_are_both_kept(spool: Spool) -> None:
    for _ in range(2):
        add(spool, "a")
        damage(spool, "a")
        spool.set_aside("a", "bad\nluck")
    assert [(each.path.name, each.reason) for each in spool.damaged()] == [("a", "bad luck"), ("a.2", "bad luck")]
