# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/jobs/telling.py."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgcore import job as jobs
from imgcore.job import Job, Status
from imgcore.jobs import telling
from tests.support.records import a_job

RESULT: dict[str, Any] = {
    "files_url": "http://w/requests/tiny-1/",
    "image_url": "http://w/requests/tiny-1/tiny.img",
    "logfile_url": "file:///w/requests/tiny-1/tiny.log",
    "warnings": ("strange",),
    "artifacts": ({"name": "tiny.img", "kind": "image", "size": 5, "sha256": "0" * 64},),
    "package_count": 5,
    "resources": {"cpu_seconds": 0.1, "peak_memory_bytes": 2**40},
    "usage": {"seconds": [0.5, 1.5], "cpu_seconds": [0.1, 0.9], "memory_bytes": [1, 2], "disk_bytes": [0, 0]},
    "phases": ({"phase": "install", "seconds": 0.125},),
    "worker": {"name": "w1", "host": "builder", "pid": 7, "start_ticks": 8, "boot_id": "x"},
    "directory": "/srv/images/requests/tiny-1",
    "tool": "builtin",
    "step": "w!s!0",
    "executor": "direct",
    "source_date_epoch": 1_700_000_000,
    "started_at": "2026-01-01T00:00:00.000001Z",
    "finished_at": "2026-01-01T00:01:00Z",
}


def test_what_one_spool_tells_another_takes_whole() -> None:
    built = a_job(status=Status.DONE, **RESULT)
    message = json.loads(json.dumps(telling.fields(built)))
    changes, refused = telling.taken(a_job(), Status.DONE, message)
    assert refused == []
    assert telling.fields(jobs.amend(a_job(status=Status.DONE), changes)) == telling.fields(built)


def test_a_running_build_tells_how_far_it_is_and_no_result() -> None:
    running = a_job(status=Status.BUILDING, phase="install", progress=0.5, progress_detail="hello", error="none yet")
    message = telling.fields(running)
    assert (message["phase"], message["progress"]) == ("install", 0.5)
    assert "error" not in message
    changes, _ = telling.taken(a_job(), Status.BUILDING, message)
    assert changes == {"phase": "install", "progress": 0.5, "progress_detail": "hello"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_url", "javascript:alert(1)"), ("files_url", "http://a b/"), ("logfile_url", 5),
        ("image_url", "http://x/\n"), ("image_url", "file:///../x"), ("directory", "/etc"), ("directory", "tiny-1"),
        ("directory", "/srv/../requests/tiny-1"), ("directory", 5), ("artifacts", "x"),
        ("artifacts", [{"name": "a"}]),
        ("artifacts", [{"name": "../../etc/passwd", "kind": "file", "size": 1, "sha256": ""}]),
        ("artifacts", [{"name": "/etc/passwd", "kind": "file", "size": 1, "sha256": ""}]),
        ("artifacts", [{"name": "a", "kind": "file", "size": -1, "sha256": ""}]), ("artifacts", [[]] * 2000),
        ("package_count", -1), ("package_count", "5"), ("resources", {"cpu_seconds": "x"}), ("resources", 5),
        ("worker", {"pid": "x"}), ("worker", {"host": "x" * 5000}), ("finished_at", "yesterday"), ("warnings", [5]),
        ("warnings", ["w"] * 2000), ("phases", [{"phase": "x"}]), ("error", 5), ("error", {"a": 1}),
        ("worker", {"load": Decimal("1.00000000000000000001")}),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_left_out_and_named_and_the_others_count(name: str, value: Any) -> None:
    changes, refused = telling.taken(a_job(), Status.DONE, {"tool": "mic", name: value})
    assert changes == {"tool": "mic"}
    assert len(refused) == 1 and refused[0].startswith(f"{name} is left out: ")
    assert refused[0].isprintable()


def test_texts_are_one_line_of_a_sensible_length_without_passwords() -> None:
    told = {"error": "a\nb http://u:p@h/x " + "y" * 5000, "warnings": ["c\nd http://u:p@h/x"]}
    changes, _ = telling.taken(a_job(), Status.ERROR, told)
    assert changes["error"].startswith("a b http://***@h/x y") and len(changes["error"]) == 2000
    assert changes["warnings"] == ["c d http://***@h/x"]


def test_nothing_else_of_a_record_can_be_told() -> None:
    told = dict.fromkeys(("status", "name", "prefix", "attempt", "tags", "requested_at", "event", "image_id"), "x")
    assert telling.taken(a_job(), Status.DONE, told) == ({}, [])


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*RESULT, *telling.PROGRESS, "error"]), _json), st.sampled_from(Status))
def test_whatever_is_told_never_raises_and_leaves_a_record_that_can_be_read(
    image: dict[str, Any], status: Status
) -> None:
    changes, _ = telling.taken(a_job(), status, image)
    amended: Job = jobs.amend(a_job(), changes)
    assert jobs.from_json(jobs.to_json(amended)) == amended
