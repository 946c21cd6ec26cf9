# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/notify/deliver.py."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from imgcore.errors import SpoolError
from imgcore.job import Status
from imgcore.lock import Lock
from imgcore.notify import deliver, ended
from imgcore.notify.channel import NotDelivered
from imgcore.notify.deliver import Deliverer, delivering
from imgcore.notify.outbox import Letter, Outbox
from imgcore.spool import Spool
from tests.support.letters import end
from tests.support.records import damage


@dataclass
class Told:
    """A channel that keeps what it is to deliver; what `does` raises is raised."""

    name: str = "told"
    receivers: Sequence[str] = ("",)
    does: Callable[[Letter], object] = lambda letter: None
    came: list[Letter] = field(default_factory=list)

    def whom(self, job: Mapping[str, Any]) -> Sequence[str]:
        return self.receivers

    def deliver(self, letter: Letter, log: Callable[[str], None]) -> None:
        log("trying")
        self.does(letter)
        self.came.append(letter)


def fail(error: Exception) -> Callable[[Letter], object]:
    def does(letter: Letter) -> None:
        raise error

    return does


def run(spool: Spool, *channels: Told, seconds: float = 0) -> list[str]:
    said: list[str] = []
    Deliverer(spool, channels, said.append).run(seconds)
    return said


def box(spool: Spool) -> Outbox:
    return Outbox(ended.place(spool.root))


def test_everybody_is_told_of_every_end_once(spool: Spool) -> None:
    ended.begin(spool.root)
    end(spool, "one")
    end(spool, "two", Status.ERROR, error="no")
    both, nobody = Told("both", ("a", "b")), Told("nobody", ())
    said = run(spool, both, nobody)
    assert sorted((each.image_id, each.whom, each.job["status"]) for each in both.came) == [
        ("one", "a", "DONE"), ("one", "b", "DONE"), ("two", "a", "ERROR"), ("two", "b", "ERROR"),
    ]  # fmt: skip
    assert nobody.came == []
    assert sorted(said)[0] == "one (DONE) by both a: delivered"
    assert run(spool, both) == []
    assert len(both.came) == 4
    assert (ended.noted(spool.root), box(spool).waiting()) == ([], [])
    log = (spool.root / "notices/log").read_text()
    assert "one both trying" in log
    assert "one (DONE) by both a: delivered" in log


def test_what_fails_waits_for_another_attempt_and_holds_up_no_other(spool: Spool) -> None:
    ended.begin(spool.root)
    end(spool)
    bad = Told("bad", does=fail(NotDelivered("it is away")))
    broken = Told("broken", does=fail(KeyError("a fault of ours")))
    refused = Told("refused", does=fail(NotDelivered("no such user", final=True)))
    good = Told("good")
    run(spool, bad, broken, refused, good)
    assert len(good.came) == 1
    waiting = {each.channel: (each.attempts, each.reason) for each in box(spool).waiting()}
    assert waiting == {"bad": (1, "it is away"), "broken": (1, "KeyError: 'a fault of ours'")}
    assert [letter.reason for _, letter in box(spool).failed() if letter] == ["no such user"]
    bad.does = broken.does = lambda letter: None
    assert run(spool, bad, broken) == []
    for path in (spool.root / "notices/waiting").glob("*/*"):
        os.utime(path)
    assert len(run(spool, bad, broken)) == 2
    assert (len(bad.came), len(broken.came), box(spool).waiting()) == (1, 1, [])


def test_a_channel_that_hangs_delays_nobody_but_itself(spool: Spool) -> None:
    ended.begin(spool.root)
    hangs, good = threading.Event(), Told("good")
    stuck = Told("stuck", does=lambda letter: hangs.wait(60))
    end(spool, "one")
    worker = threading.Thread(target=run, args=(spool, stuck, good), kwargs={"seconds": 60})
    worker.start()
    try:
        _until(lambda: len(good.came) == 1)
        end(spool, "two")
        _until(lambda: len(good.came) == 2)
        assert stuck.came == []
    finally:
        hangs.set()
        worker.join(60)
    assert len(stuck.came) == 2
    assert not worker.is_alive()


def _until(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not come to be")


def test_an_end_that_did_not_come_to_be_is_forgotten(spool: Spool) -> None:
    ended.begin(spool.root)
    end(spool)
    told = Told()
    ended.note(spool.root, "tiny-1", 7)
    ended.note(spool.root, "gone", 3)
    run(spool, told)
    assert [each.seq for each in told.came] == [3]
    assert ended.noted(spool.root) == []


def test_a_job_whose_record_is_damaged_is_told_of_when_it_is_mended(spool: Spool) -> None:
    ended.begin(spool.root)
    end(spool)
    whole = (spool.directory("tiny-1") / "job.json").read_bytes()
    damage(spool, "tiny-1")
    told = Told()
    assert run(spool, told) == []
    assert ended.noted(spool.root) == [("tiny-1", 3)]
    damage(spool, "tiny-1", whole)
    run(spool, told)
    assert len(told.came) == 1


def test_a_job_that_was_removed_is_told_of_all_the_same(spool: Spool) -> None:
    ended.begin(spool.root)
    end(spool)
    later = Told(does=fail(NotDelivered("later")))
    run(spool, later)
    assert spool.take_out("tiny-1", lambda job: True)
    box(spool).try_again()
    later.does = lambda letter: None
    run(spool, later)
    assert [each.job["name"] for each in later.came] == ["tiny"]


def test_a_file_that_is_no_letter_is_set_aside_and_the_rest_goes_on(spool: Spool) -> None:
    ended.begin(spool.root)
    end(spool)
    path = spool.root / "notices/waiting/told/x"
    path.parent.mkdir(parents=True)
    path.write_text("nothing")
    told = Told()
    said = run(spool, told)
    assert len(told.came) == 1
    assert any(line.startswith("x cannot be read") for line in said)
    assert [letter for _, letter in box(spool).failed()] == [None]


def test_a_spool_that_cannot_be_written_is_an_error_and_nothing_is_lost(spool: Spool) -> None:
    ended.begin(spool.root)
    end(spool)
    (spool.root / "notices/waiting").write_text("in the way")
    with pytest.raises(SpoolError):
        run(spool, Told())
    (spool.root / "notices/waiting").unlink()
    told = Told()
    run(spool, told)
    assert len(told.came) == 1


def test_the_log_does_not_grow_for_ever(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "_LOG_BYTES", 200)
    ended.begin(spool.root)
    for number in range(20):
        end(spool, f"tiny-{number}")
    run(spool, Told())
    kept = list((spool.root / "notices").glob("log*"))
    assert {path.name for path in kept} <= {"log", "log.1"}
    assert sum(path.stat().st_size for path in kept) < 1000


def test_one_at_a_time_delivers_and_another_leaves_what_that_one_sees_to(spool: Spool) -> None:
    with delivering(spool.root) as mine:
        assert mine
        with delivering(spool.root) as another:
            assert not another
    with delivering(spool.root) as again:
        assert again


def test_who_comes_second_sees_to_what_the_first_has_not_seen(spool: Spool) -> None:
    ended.begin(spool.root)
    end(spool)
    first = Lock(spool.root / "notices/lock")
    assert first.acquire(wait=False)
    timer = threading.Timer(1, first.close)
    timer.start()
    with delivering(spool.root) as mine:
        assert mine
    timer.join()


def test_a_kill_at_any_moment_loses_nothing(spool: Spool, tmp_path: Path) -> None:
    import random
    import subprocess
    import sys
    import time

    ended.begin(spool.root)
    for number in range(12):
        end(spool, f"tiny-{number}")
    place = tmp_path / "told"
    place.mkdir()
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "from imgcore.spool import Spool\nfrom imgcore.notify.deliver import Deliverer\n"
        "class Channel:\n"
        "    name = 'told'\n"
        "    def whom(self, job): return ['a', 'b']\n"
        "    def deliver(self, letter, log):\n"
        "        time.sleep(0.02)\n"
        "        with (Path(sys.argv[2]) / (letter.image_id + letter.whom)).open('a') as file: file.write('x')\n"
        "print('ready', flush=True)\n"
        "Deliverer(Spool(Path(sys.argv[1])), [Channel()], lambda line: None).run(0)\n"
    )
    chance, rounds = random.Random(7), 0
    while ended.noted(spool.root) or box(spool).waiting():
        rounds += 1
        with subprocess.Popen(
            [sys.executable, "-c", script, spool.root, place],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        ) as process:
            assert process.stdout and process.stdout.readline()
            time.sleep(chance.uniform(0, 0.15))
            process.kill()
        assert rounds < 200
    assert rounds > 2
    assert len(list(place.iterdir())) == 24
    # Each kill can have one told again.
    assert sum(path.stat().st_size for path in place.iterdir()) <= 24 + rounds


def test_a_log_that_cannot_be_written_changes_nothing(spool: Spool) -> None:
    ended.begin(spool.root)
    (spool.root / "notices/log").mkdir()
    end(spool)
    told = Told()
    assert run(spool, told) == ["tiny-1 (DONE) by told: delivered"]
    assert len(told.came) == 1


def test_who_listens_no_more_is_an_error_of_the_whole(spool: Spool) -> None:
    ended.begin(spool.root)
    end(spool)

    def gone(line: str) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Deliverer(spool, [Told()], gone).run(0)
    assert box(spool).waiting() == []


def test_what_waits_for_a_channel_that_is_not_configured_any_more_fails_with_that_reason(spool: Spool) -> None:
    ended.begin(spool.root)
    box(spool).put(Letter("tiny-1", 3, "webhook-old", "", {}))
    assert run(spool, Told()) == ["tiny-1 by webhook-old: no such channel any more; given up"]
    ((_, letter),) = box(spool).failed()
    assert letter and letter.reason == "no such channel any more"
