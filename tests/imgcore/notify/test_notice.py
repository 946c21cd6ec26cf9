# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/notify/notice.py."""

from __future__ import annotations

import json

from imgcore.job import Status
from imgcore.notify import notice
from imgcore.spool import Spool
from tests.support.letters import end
from tests.support.records import add, validate

REPO = "repo --name=x --baseurl=http://u:hunter2@h/x --proxypasswd=hunter2"


def test_what_is_told_is_a_record_as_the_schema_has_it_without_secrets(spool: Spool) -> None:
    end(
        spool, status=Status.ERROR, error="http://u:hunter2@h/ is away \udce4",
        tokenmap={"DB_PASSWORD": "hunter2", "RELEASE": "1"}, extra_repos=(REPO, "http://u:hunter2@h"),
    )  # fmt: skip
    told = notice.of(spool, "tiny-1", 3)
    assert told is not None
    content = json.dumps(told).encode()
    validate(content)
    assert b"hunter2" not in content
    assert (told["status"], told["tokenmap"]["RELEASE"]) == ("ERROR", "1")
    assert told["error"] == "http://***@h/ is away \ufffd"
    json.dumps(told, ensure_ascii=False).encode()


def test_each_end_is_told_as_it_was(spool: Spool) -> None:
    end(spool)
    with spool.edit("tiny-1") as edit:
        edit.note("pinned", pinned=True)
        edit.move(Status.TESTED, "good")
    first, last = notice.of(spool, "tiny-1", 3), notice.of(spool, "tiny-1", 5)
    assert first and last
    assert [(told["status"], told["event"]["seq"]) for told in (first, last)] == [("DONE", 3), ("DONE, TESTED", 5)]
    assert notice.transition(spool, "tiny-1") == 5


def test_what_is_no_end_or_did_not_come_to_be_is_not_told(spool: Spool) -> None:
    end(spool)
    with spool.edit("tiny-1") as edit:
        edit.note("pinned", pinned=True)
    assert [notice.of(spool, "tiny-1", seq) for seq in (0, 1, 2, 4, 5)] == [None] * 5
    assert notice.of(spool, "gone", 3) is None
    add(spool, "waits")
    assert notice.transition(spool, "waits") is None
