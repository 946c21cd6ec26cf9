# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves RuoteAMQP/journal.py."""

import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from RuoteAMQP.journal import Answer, Entry, Journal, JournalError, Memory, open_free, step_name

STEP = "20261124-2038-jupanabe!fd0f93f7!0_0_1"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def again(journal: Journal) -> Journal:
    """The journal as the next process finds it."""
    journal.close()
    return Journal(journal.root)


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_what_was_accepted_is_found_again_in_the_order_in_which_it_came(journal: Journal) -> None:
    for number in (2, 3, 1):
        journal.accept(f"s{number}", b'{"n": %d}' % number)
        time.sleep(0.002)
    assert again(journal).entries() == [Entry(f"s{n}", b'{"n": %d}' % n) for n in (2, 3, 1)]


def test_what_is_offered_is_owned_or_forgotten(journal: Journal) -> None:
    journal.accept("a", b"{}", offered=True)
    journal.accept("b", b"{}", offered=True)
    assert {entry.offered for entry in journal.entries()} == {True}
    journal.own("a")
    journal.forget("b")
    assert again(journal).entries() == [Entry("a", b"{}")]


def test_an_answer_stands_beside_its_delivery_until_it_is_confirmed(journal: Journal) -> None:
    journal.accept(STEP, b'{"x": 1}')
    journal.answer(STEP, "ruote_workitems", b'{"x": 2}')
    assert names(journal.root / "inbox") == [f"{STEP}.json"]
    after = again(journal)
    # It is not begun again, its answer is sent.
    assert after.entries() == []
    (letter,) = after.letters()
    assert (letter.queue, letter.body, letter.step) == ("ruote_workitems", b'{"x": 2}', STEP)
    after.sent(letter)
    last = again(after)
    assert (last.entries(), last.letters()) == ([], [])
    assert last.answered(STEP) == Answer(b'{"x": 2}')


@pytest.mark.parametrize("left", [b"", b'{"x": ', b"\0" * 20])
def test_an_answer_that_a_power_failure_cut_short_is_made_again(journal: Journal, left: bytes) -> None:
    journal.accept(STEP, b'{"x": 1}')
    letter = journal.answer(STEP, "q", b'{"x": 2}')
    assert letter.path
    letter.path.write_bytes(left)
    after = again(journal)
    assert after.letters() == []
    assert after.entries() == [Entry(STEP, b'{"x": 1}')]


def test_a_step_that_wants_no_answer_is_remembered_too(journal: Journal) -> None:
    journal.accept(STEP, b"{}")
    journal.settled(STEP, None)
    after = again(journal)
    assert after.entries() == []
    assert after.answered(STEP) == Answer(None)
    assert after.answered("another") is None


def test_messages_keep_their_order_over_restarts_whatever_the_clock_does(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.post("one/queue@with ~all", b'{"n": 1}')
    journal.accept("s", b"{}")
    journal.answer("s", "two", b'{"n": 2}')
    monkeypatch.setattr(time, "time_ns", lambda: 5)
    after = again(journal)
    after.post("three", b'{"n": 3}')
    assert [(each.queue, json.loads(each.body)["n"]) for each in again(after).letters()] == [
        ("one/queue@with ~all", 1),
        ("two", 2),
        ("three", 3),
    ]


def test_a_sent_message_is_gone(journal: Journal) -> None:
    letter = journal.post("q", b"{}")
    journal.sent(letter)
    assert again(journal).letters() == []


def test_what_cannot_be_used_lies_beside_its_reason(journal: Journal) -> None:
    journal.refuse(b"\xff junk", "it is not JSON")
    body, reason = names(journal.root / "refused")
    assert (journal.root / "refused" / body).read_bytes() == b"\xff junk"
    told = json.loads((journal.root / "refused" / reason).read_text())
    assert (told["reason"], told["bytes"]) == ("it is not JSON", 6)


def test_refused_messages_do_not_fill_the_disk(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("RuoteAMQP.journal._MOST_REFUSED", 3)
    for number in range(8):
        journal.refuse(b"%d" % number, "no")
    assert len(names(journal.root / "refused")) == 6


def test_one_process_has_a_journal(journal: Journal) -> None:
    with pytest.raises(JournalError, match="used by another process"):
        Journal(journal.root)


def test_processes_of_one_name_get_journals_of_their_own_and_the_next_start_finds_the_first_again(
    tmp_path: Path,
) -> None:
    first, second = open_free(tmp_path / "w"), open_free(tmp_path / "w")
    assert (first.root.name, second.root.name) == ("w", "w.2")
    first.close()
    assert open_free(tmp_path / "w").root.name == "w"


def test_a_place_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="file/journal cannot be used: Not a directory"):
        Journal(tmp_path / "file" / "journal")


def test_the_owner_is_the_same_after_a_restart(journal: Journal) -> None:
    owner = journal.owner
    assert again(journal).owner == owner
    assert 0 < owner < 2**31


def test_answers_older_than_two_days_are_removed_at_the_start(journal: Journal) -> None:
    journal.accept("old", b"{}")
    journal.settled("old", None)
    journal.accept("young", b"{}")
    journal.settled("young", None)
    old = journal.root / "done" / "old.none"
    os.utime(old, (time.time() - 3 * 86400,) * 2)
    after = again(journal)
    assert after.answered("old") is None
    assert after.answered("young") == Answer(None)


def test_a_full_disk_keeps_an_answer_in_memory(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    journal.accept(STEP, b"{}")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "_write", full)
    letter = journal.answer(STEP, "q", b'{"x": 1}')
    assert (letter.body, letter.path) == (b'{"x": 1}', None)
    journal.sent(letter)
    assert again(journal).entries() == []


@pytest.mark.parametrize("left", [b"", b'{"x": ', b'{"x": {}', b"\0" * 20])
def test_a_delivery_that_a_crash_cut_short_was_not_accepted(journal: Journal, left: bytes) -> None:
    journal.accept(STEP, b'{"x": {}}')
    (journal.root / "inbox" / f"{STEP}.json").write_bytes(left)
    after = again(journal)
    assert after.entries() == []
    assert names(journal.root / "inbox") == []


@pytest.mark.parametrize("number", ["1" * 5000, "1e99999", "-0.1000000000000000000001"])
def test_a_delivery_is_whole_whatever_its_numbers_are(journal: Journal, number: str) -> None:
    body = f'{{"x": {number}}}'.encode()
    journal.accept(STEP, body)
    assert again(journal).entries() == [Entry(STEP, body)]


def test_memory_remembers_the_last_answers() -> None:
    memory = Memory()
    for number in range(20):
        memory.sent(memory.answer(f"s{number}", "q", b"{}"))
    assert memory.answered("s19") == Answer(b"{}")
    assert memory.answered("s1") is None
    assert (memory.entries(), memory.letters(), memory.durable) == ([], [], False)


@given(st.text(), st.text(), st.text())
def test_every_step_has_a_name_that_is_a_file_of_its_own(wfid: str, subid: str, expid: str) -> None:
    name = step_name(wfid, subid, expid)
    assert name == "" if not wfid or not expid else Path(name).name == name and not name.startswith(".")
    assert len(name.encode()) < 200
    assert name == step_name(wfid, subid, expid)


def test_hostile_steps_do_not_share_a_name() -> None:
    assert step_name("a/b", "c", "d") != step_name("a", "b/c", "d")
    assert step_name("..", "", "x") == "..!!x" or "/" not in step_name("..", "", "x")


def test_refused_messages_are_kept_for_weeks_and_of_a_long_one_the_beginning(journal: Journal) -> None:
    journal.refuse(b"x" * (3 << 20), "it is longer than allowed")
    (body,) = (journal.root / "refused").glob("*.body")
    assert body.stat().st_size == 1 << 20
    assert json.loads(body.with_suffix(".json").read_text())["bytes"] == 3 << 20
    for path in (journal.root / "refused").iterdir():
        os.utime(path, (time.time() - 60 * 86400,) * 2)
    journal.prune()
    assert body.exists()


def test_a_process_takes_over_the_journal_in_which_something_waits(tmp_path: Path) -> None:
    first, second = open_free(tmp_path / "w"), open_free(tmp_path / "w")
    second.accept("s", b"{}")
    first.close()
    second.close()
    chosen = open_free(tmp_path / "w")
    assert chosen.root.name == "w.2"
    assert open_free(tmp_path / "w").root.name == "w"
