# SPDX-License-Identifier: GPL-2.0-or-later
"""`img notify`: by hand, as a service, and what it leaves for a person."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcore.notify import ended
from imgcore.spool import Spool
from tests.support.img import Home
from tests.support.letters import end, hook
from tests.support.receiver import Receiver, receive


@pytest.fixture
def site() -> Iterator[Receiver]:
    with receive() as receiver:
        yield receiver


@pytest.fixture
def home(tmp_path: Path, site: Receiver) -> Home:
    """A home with a webhook and a directory for hooks."""
    home = Home(tmp_path / "home", IMAGER_CONFIG=str(tmp_path / "imager.conf"))
    hooks = tmp_path / "hooks"
    hooks.mkdir(mode=0o755)
    (tmp_path / "imager.conf").write_text(f"[notify]\nhooks = {hooks}\n[webhook site]\nurl = {site.url}\n")
    return home


@pytest.fixture
def spool(home: Home) -> Spool:
    return Spool(home.spool)


def test_what_ended_since_it_was_run_first_is_delivered_once(home: Home, spool: Spool, site: Receiver) -> None:
    end(spool, "before")
    assert (home.img("notify").code, site.came) == (0, [])
    end(spool, "after")
    done = home.img("notify")
    assert (done.code, done.out, done.err) == (0, "after (DONE) by webhook-site: delivered\n", "")
    assert home.img("notify").out == ""
    assert [json.loads(body)["image_id"] for _, body in site.came] == ["after"]


def test_a_job_that_is_named_is_told_of_once_more(home: Home, spool: Spool, site: Receiver) -> None:
    end(spool, "device-1", name="device")
    assert home.img("notify", "device@good", "device-1").code == 0
    assert home.img("notify", "device-1").code == 0
    assert len({headers["webhook-id"] for headers, _ in site.came}) == 1
    assert len(site.came) == 2
    from tests.support.records import add

    add(spool, "waits")
    done = home.img("notify", "waits")
    assert (done.code, done.err) == (2, "img: job waits has not ended (name one that has)\n")


def test_what_cannot_be_delivered_is_said_kept_and_tried_again_on_demand(
    home: Home, spool: Spool, site: Receiver, tmp_path: Path
) -> None:
    ended.begin(spool.root)
    end(spool, "one")
    site.answers = [500, 410]
    done = home.img("notify")
    assert done.code == 1
    assert "one (DONE) by webhook-site: it answered 500" in done.out
    assert "waits: one by webhook-site: it answered 500" in done.out
    done = home.img("notify", "--again", "--json")
    assert done.code == 1
    (failed,) = done.record["failed"]
    assert (failed["image_id"], failed["channel"], failed["attempts"]) == ("one", "webhook-site", 2)
    assert "answered 410" in failed["reason"]
    assert done.record["waiting"] == []
    checked = home.img("fsck", "--json")
    assert checked.code == 1
    (finding,) = [each for each in json.loads(checked.out) if each["kind"] == "not-told"]
    assert (finding["image_id"], finding["path"]) == ("one", failed["path"])
    assert home.img("notify", "--again").code == 0
    assert home.img("fsck").code == 0
    assert len(site.came) == 3


def test_it_goes_on_for_as_long_as_it_is_told_while_something_waits(home: Home, spool: Spool, site: Receiver) -> None:
    ended.begin(spool.root)
    end(spool, "one")
    site.answers = [500]
    done = home.img("notify", "--wait", "60s")
    assert (done.code, len(site.came)) == (0, 2)
    assert "again in 10 s" in done.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_the_service_delivers_what_comes_and_ends_well_when_told(
    home: Home, spool: Spool, site: Receiver, tmp_path: Path, number: signal.Signals
) -> None:
    command = [str(each) for each in home.command("notify", "--watch")]
    with subprocess.Popen(command, env=home.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as service:
        try:
            _until(lambda: ended.wanted(spool.root))
            end(spool, "one")
            _until(lambda: len(site.came) == 1)
            # A hook that comes later and hangs, delays nobody else, and ends with the service.
            hook(tmp_path / "hooks", f"touch {tmp_path}/runs; sleep 300")
            end(spool, "two")
            _until(lambda: (tmp_path / "runs").exists() and len(site.came) == 2)
            end(spool, "three")
            _until(lambda: len(site.came) == 3)
            began = time.monotonic()
            assert home.img("notify").code == 1
            assert time.monotonic() - began < 20
            service.send_signal(number)
            out, err = service.communicate(timeout=30)
            assert (service.returncode, err) == (0, b"")
            assert out.count(b"delivered") == 3
        finally:
            service.kill()


def _until(true):  # type: ignore[no-untyped-def]
    end_of_it = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end_of_it
        time.sleep(0.05)


def test_wrong_use_is_refused(home: Home, spool: Spool, tmp_path: Path) -> None:
    for options, says in ((("--wait", "soon"), "not a duration"), (("nothing",), "there is no job")):
        done = home.img("notify", *options)
        assert done.code == 2
        assert says in done.err
    (tmp_path / "imager.conf").write_text("[mail]\nserver = x\n")
    assert "[mail] sender" in home.img("notify").err
