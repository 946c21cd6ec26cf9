# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/notify/outbox.py."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from imgcore.notify.outbox import WAITS, Letter, Outbox, Unreadable, read

LETTER = Letter("tiny-1", 3, "mail", "a@example.org", {"status": "DONE"})


def test_a_letter_is_due_until_it_is_delivered(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    box.put(LETTER)
    box.put(LETTER)
    box.put(Letter("tiny-1", 3, "mail", "b@example.org", {}))
    assert sorted(read(path).whom for path in box.due("mail")) == ["a@example.org", "b@example.org"]
    assert box.due("hook") == []
    for path in box.due("mail"):
        box.delivered(path)
    assert (box.due("mail"), box.waiting()) == ([], [])


def test_attempts_come_at_growing_distances_and_end_with_the_reason_kept(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    box.put(LETTER)
    waits = []
    while due := box.due("mail"):
        before = time.time()
        waits.append(box.postpone(due[0], read(due[0]), "it is away"))
        if waits[-1]:
            assert box.due("mail") == []
            assert due[0].stat().st_mtime == pytest.approx(before + waits[-1], abs=5)
            assert [(each.attempts, each.reason) for each in box.waiting()] == [(len(waits), "it is away")]
            os.utime(due[0])
    assert waits == [*WAITS, 0]
    assert list(WAITS) == sorted(WAITS)
    assert sum(WAITS) < 86400 + 3600
    ((path, letter),) = box.failed()
    assert letter and (letter.attempts, letter.reason, letter.whom) == (len(WAITS) + 1, "it is away", LETTER.whom)
    assert path.is_file()


def test_what_failed_or_waits_can_be_tried_again(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    box.put(LETTER)
    box.give_up(box.due("mail")[0], LETTER, "no such user")
    box.put(Letter("tiny-2", 3, "mail", "b@example.org", {}))
    path = box.due("mail")[0]
    box.postpone(path, read(path), "later")
    assert box.due("mail") == []
    box.try_again()
    assert {read(path).image_id: read(path).attempts for path in box.due("mail")} == {"tiny-1": 0, "tiny-2": 1}
    assert box.failed() == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"image_id": 1}', b"\xff"])
def test_a_file_that_is_no_letter_is_set_aside_as_it_is(tmp_path: Path, content: bytes) -> None:
    box = Outbox(tmp_path)
    box.put(LETTER)
    (path,) = box.due("mail")
    path.write_bytes(content)
    with pytest.raises(Unreadable):
        read(path)
    box.set_aside(path)
    ((kept, letter),) = box.failed()
    assert (kept.read_bytes(), letter, box.due("mail")) == (content, None, [])
    box.try_again()
    assert [path for path, _ in box.failed()] == [kept]


def test_a_letter_of_another_place_is_none(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    box.put(LETTER)
    (path,) = box.due("mail")
    (tmp_path / "waiting/hook").mkdir()
    for other in (tmp_path / "waiting/hook" / path.name, path.with_name("tiny-2~3~0123456789ab")):
        other.write_bytes(path.read_bytes())
        with pytest.raises(Unreadable):
            read(other)


def test_a_name_fits_into_a_directory_whoever_is_told(tmp_path: Path) -> None:
    letter = Letter("i" * 150, 10**9, "webhook-" + "w" * 100, "../" + "ä" * 1000 + "\udc80\n", {})
    Outbox(tmp_path).put(letter)
    assert read(Outbox(tmp_path).due(letter.channel)[0]) == letter


def test_what_is_given_up_again_while_it_is_to_be_tried_again_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Outbox(tmp_path)
    box.put(LETTER)
    box.give_up(box.due("mail")[0], LETTER, "no such user")
    real, seen = Outbox._write, []

    def it_is_given_up_as_soon_as_it_waits(self: Outbox, path: Path, letter: Letter) -> None:
        real(self, path, letter)
        if not seen and (due := box.due("mail")):
            seen.append(due)
            box.give_up(due[0], LETTER, "still no such user")

    monkeypatch.setattr(Outbox, "_write", it_is_given_up_as_soon_as_it_waits)
    box.try_again()
    assert len(box.waiting()) + len(box.failed()) == 1


def test_what_waits_for_a_channel_that_there_is_not_any_more_is_given_up(tmp_path: Path) -> None:
    box = Outbox(tmp_path)
    box.put(LETTER)
    box.put(Letter("tiny-1", 3, "hook", "", {}))
    (tmp_path / "waiting/mail/strange").write_text("{")
    assert box.give_up_all_but({"hook"}, "it is gone") == [LETTER]
    assert [each.channel for each in box.waiting()] == ["hook"]
    assert {letter and letter.reason for _, letter in box.failed()} == {"it is gone", None}
