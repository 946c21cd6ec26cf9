# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/report/ledger.py."""

from __future__ import annotations

import errno
import hashlib
import os
import statistics
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgcore.report import rows as rows_module
from imgcore.report.ledger import Group, Ledger
from imgcore.report.row import DAMAGED, ENDED, GOOD, NEVER, STATES, Row

_START = datetime(2025, 11, 24, tzinfo=UTC)


def made(number: int, state: int, hours: int, seconds: float, name: str) -> Row:
    image_id = f"j-{number}"
    slug = [*STATES, DAMAGED][state]
    when = NEVER if slug == DAMAGED else _START + timedelta(hours=hours)
    return Row(
        image_id, name, slug, (when, image_id), "", seconds=seconds, bytes=seconds * 10, worker=name,
        cause=name if slug.slug == "failed" else "", retry_of=f"j-{hours}", executor="direct",
        arch=name, image_type="raw", started=when if seconds else None,
    )  # fmt: skip


rows = st.builds(
    made,
    st.integers(0, 9),
    st.integers(0, 6),
    st.integers(0, 60),
    st.sampled_from([0.0, 1.0, 2.5, 0.7, 97.8]),
    st.sampled_from("ab"),
)


def told(group: Group) -> dict[str, Any]:
    return {
        "all": [each.image_id for each in group.newest()],
        "ended": [each.image_id for each in group.newest(ENDED)],
        "later": [each.image_id for each in group.after((_START + timedelta(hours=20), ""))],
        "of one kind": [each.image_id for each in group.newest(kind=("a", "raw"))],
        "earlier": [each.image_id for each in group.newest(before=(_START + timedelta(hours=20), ""))],
        "counts": [group.count({state.slug}) for state in (*STATES, DAMAGED)],
        "bytes": group.bytes,
        "digest": group.digest,
        "took": (group.usual(), group.longest()),
        "day": group.between("failed", _START, _START + timedelta(days=1)),
    }


def whole(ledger: Ledger) -> dict[str, Any]:
    kinds = ("names", "days", "workers", "executors", "causes")
    groups = {kind: {key: told(group) for key, group in getattr(ledger, kind).items()} for kind in kinds}
    rows = {row.image_id: row for row in map(ledger.rows.row, ledger.rows.slots())}
    return {**groups, "whole": told(ledger.whole), "rows": rows, "retries": dict(ledger.retries)}


def empty() -> Ledger:
    return Ledger(Path(tempfile.gettempdir()))


def read(row: Row) -> bytes:
    return hashlib.blake2b(repr(row).encode(), digest_size=16).digest()


@settings(deadline=None)
@given(st.lists(st.one_of(rows, st.integers(0, 9)), max_size=40))
def test_however_rows_came_and_went_it_is_what_its_rows_are(steps: list[Row | int]) -> None:
    ledger, expected = empty(), dict[str, Row]()
    for step in steps:
        if isinstance(step, int):
            assert ledger.drop(f"j-{step}") == expected.pop(f"j-{step}", None)
        else:
            ledger.put(step, read(step))
            expected[step.image_id] = step
    fresh = empty()
    for row in expected.values():
        fresh.put(row, read(row))
    assert whole(ledger) == whole(fresh)
    assert whole(ledger)["rows"] == expected
    assert {image_id: ledger.rows.get(image_id) for image_id in expected} == expected
    assert "j-none" not in ledger.rows


@settings(deadline=None)
@given(st.lists(rows, max_size=30, unique_by=lambda row: row.image_id))
def test_what_a_group_tells_is_what_its_rows_say(given_rows: list[Row]) -> None:
    ledger = empty()
    for row in given_rows:
        ledger.put(row, read(row))
    group = ledger.whole
    ordered = sorted(given_rows, key=lambda row: row.order)
    middle = (_START + timedelta(hours=20), "")
    assert list(group.newest()) == ordered[::-1]
    assert list(group.newest(GOOD, before=middle)) == [
        row for row in ordered[::-1] if row.state.slug in GOOD and row.order < middle
    ]
    assert list(group.after(middle)) == [row for row in ordered if row.order > middle]
    for at, row in enumerate(ordered):
        assert list(group.after(row.order)) == ordered[at + 1 :]
        assert list(group.after(row.order, kind=row.kind)) == [
            each for each in ordered[at + 1 :] if each.kind == row.kind
        ]
        assert list(group.newest(before=row.order)) == ordered[:at][::-1]
    assert group.count() == len(given_rows)
    took = [row.seconds for row in given_rows if row.state.slug in GOOD and row.seconds]
    timed = Group(ledger.rows)
    for row in given_rows:
        found = ledger.rows.find(row.image_id)
        assert found is not None
        timed.add(found[0], row, 0)
    assert timed.usual() == pytest.approx(statistics.median(took) if took else 0, rel=1e-6)
    assert timed.longest() == pytest.approx(max(took, default=0), rel=1e-6)
    assert (group.usual(), group.longest()) == (0, 0)


def test_a_row_that_grows_and_one_in_the_place_of_another_are_read_as_they_were_put() -> None:
    ledger = empty()
    for length in (1, 300, 5000, 20):
        row = made(1, 2, 3, 1.0, "n" * length)
        ledger.put(row, read(row))
        other = made(2, 2, 3, 1.0, "o" * (6000 - length))
        ledger.put(other, read(other))
        assert [ledger.rows.get("j-1"), ledger.rows.get("j-2")] == [row, other]
        ledger.drop("j-1" if length == 300 else "j-2")


def test_a_full_disk_leaves_the_ledger_without_the_row_and_with_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    ledger, fresh = empty(), empty()
    kept, lost = made(1, 2, 3, 1.0, "a"), made(2, 2, 3, 1.0, "b")
    ledger.put(kept, read(kept))
    ledger.put(lost, read(lost))
    fresh.put(kept, read(kept))
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr(os, "pwrite", full)
        ledger.put(lost, read(lost))
    assert whole(ledger) == whole(fresh)


def test_jobs_whose_ids_have_the_same_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "_hash", lambda image_id: 7)
    ledger = empty()
    expected = {f"j-{number}": made(number, 2, 3, 1.0, "a") for number in range(5)}
    for row in expected.values():
        ledger.put(row, read(row))
    ledger.drop("j-2")
    assert {image_id: ledger.rows.get(image_id) for image_id in expected} == {**expected, "j-2": None}


def test_of_very_many_that_come_and_go_each_is_found_and_its_place_is_taken_again() -> None:
    ledger, number = empty(), 700
    rows = [made(each, 2, 3, 1.0, f"n{each}") for each in range(number)]
    for row in rows:
        ledger.rows.put(row, read(row))
    for turn in (0, 1, 0):
        gone, kept = rows[turn::2], rows[1 - turn :: 2]
        for row in gone:
            ledger.rows.drop(row.image_id)
        assert {ledger.rows.get(row.image_id) for row in gone} == {None}
        assert [ledger.rows.get(row.image_id) for row in kept] == kept
        assert len(ledger.rows) == len(list(ledger.rows.slots())) == len(kept)
        for row in gone:
            ledger.rows.put(row, read(row))
    assert [ledger.rows.get(row.image_id) for row in rows] == rows
    assert len(ledger.rows) == len(ledger.rows.times) == number


def test_a_row_that_is_written_in_pieces_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, row, write = empty(), made(1, 2, 3, 1.0, "n" * 100), os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, content, offset: write(file, content[:30], offset))
    ledger.put(row, read(row))
    assert ledger.rows.get("j-1") == row


def test_the_file_of_the_rows_has_no_name(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    row = made(1, 2, 3, 1.0, "a")
    ledger.put(row, read(row))
    assert list(tmp_path.iterdir()) == []
