# SPDX-License-Identifier: GPL-2.0-or-later
"""Who is told of a build: mail, webhook and hooks after `img build`, whatever they do with it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import mailbox, small
from tests.support.img import Home
from tests.support.letters import hook, secret
from tests.support.mailbox import Mailbox
from tests.support.receiver import Receiver, receive

pytestmark = pytest.mark.real


@pytest.fixture
def site() -> Iterator[Receiver]:
    with receive() as receiver:
        yield receiver


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox.serve() as served:
        yield served


@pytest.fixture
def told(home: Home, site: Receiver, box: Mailbox, tmp_path: Path) -> Home:
    """A home in whose configuration all are told."""
    hook(tmp_path / "hooks", f"cat > {tmp_path}/record", "keep")
    home.config(
        f"[notify]\nhooks = {tmp_path}/hooks\nhook_time = 3s\n"
        f"[mail]\nserver = {box.server}\nsecurity = none\nsender = imager@example.org\n"
        f"[webhook site]\nurl = {site.url}\nsecret_file = {secret(tmp_path, 'between us')}\n",
        ".config/imager/imager.conf",
    )
    return home


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def quiet(home: Home) -> bool:
    """Whether nobody delivers, and nothing waits."""
    waiting = list((home.spool / "notices").glob("waiting/*/*"))
    return not waiting and not any(
        "imgcore.notify.background" in each.info["cmdline"] and str(home.spool) in each.info["cmdline"]
        for each in psutil.process_iter(["cmdline"])
        if each.info["cmdline"]
    )


def test_all_who_want_to_be_told_of_a_build_are_and_those_whom_nobody_named_are_not(
    told: Home, repository: Path, site: Receiver, box: Mailbox, tmp_path: Path
) -> None:
    kickstart = told.kickstart(small.kickstart(repository), "good.ks")
    record = told.build(kickstart, "--type=fs", "--email=a@example.org", "--email=b@example.org")
    until(lambda: len(site.came) == 1 and len(box.mails) == 2 and (tmp_path / "record").exists())
    until(lambda: quiet(told))
    assert sorted(receivers for _, receivers, _ in box.mails) == [["a@example.org"], ["b@example.org"]]
    assert record["image_url"] in mailbox.text(box.mails[0][2])
    sent = json.loads(site.came[0][1])
    assert {name: sent[name] for name in ("image_id", "status", "artifacts")} == {
        name: record[name] for name in ("image_id", "status", "artifacts")
    }
    assert site.came[0][0]["webhook-signature"].startswith("v1,")
    assert json.loads((tmp_path / "record").read_bytes()) == sent
    told.build(kickstart, "--type=fs")
    until(lambda: len(site.came) == 2)
    until(lambda: quiet(told))
    assert len(box.mails) == 2


def test_a_failure_is_told_with_its_reason(told: Home, repository: Path, site: Receiver, box: Mailbox) -> None:
    bad = told.kickstart(small.kickstart(repository, "gone"), "bad.ks")
    assert told.img("build", bad, "--type=fs", "--email=a@example.org").code == 1
    until(lambda: len(site.came) == 1 and len(box.mails) == 1)
    until(lambda: quiet(told))
    assert json.loads(site.came[0][1])["error_cause"] == "package-missing"
    assert "could not be built" in mailbox.text(box.mails[0][2])


def test_hooks_that_hang_fail_and_flood_are_nothing_to_a_build(
    told: Home, repository: Path, site: Receiver, tmp_path: Path
) -> None:
    kickstart = told.kickstart(small.kickstart(repository), "good.ks")
    hook(tmp_path / "hooks", "yes & sleep 300", "10-hangs")
    hook(tmp_path / "hooks", "exit 9", "20-fails")
    hook(tmp_path / "hooks", "kill -9 $PPID", "30-kills")
    site.answers = [500]
    began = time.monotonic()
    record = told.build(kickstart, "--type=fs")
    returned = time.monotonic() - began
    assert record["status"] == "DONE"
    until(lambda: len(site.came) == 2 and quiet(told))
    # It did not wait for the hook that hangs for 3 s, nor for the second attempt after 10 s.
    assert time.monotonic() - began > returned + 3
    done = told.img("notify", "--json")
    assert {each["whom"]: each["reason"] for each in done.record["failed"]} == {
        "10-hangs": "it was ended after 3 s", "20-fails": "it ended with status 9", "30-kills": "it was killed",
    }  # fmt: skip
    assert (told.spool / "notices/log").stat().st_size < 100_000
    assert json.loads((tmp_path / "record").read_bytes())["image_id"] == record["image_id"]


def test_where_nobody_is_to_be_told_nothing_is_kept_or_started(home: Home, repository: Path) -> None:
    home.build(home.kickstart(small.kickstart(repository), "good.ks"), "--type=fs")
    assert not (home.spool / "notices").exists()
    assert quiet(home)


def test_settings_that_do_not_fit_are_refused_before_anything_is_recorded(home: Home, repository: Path) -> None:
    home.config("[mail]\nserver = mail.example.org\n", ".config/imager/imager.conf")
    done = home.img("build", home.kickstart(small.kickstart(repository), "good.ks"))
    assert done.code == 2
    assert "[mail] sender" in done.err
    assert not home.spool.exists() or home.records() == []
