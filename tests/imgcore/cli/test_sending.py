# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/cli/submit.py, retry.py and cancel.py: what is told and recorded when not all of it can be done.

The farm is a list here; tests/e2e/test_queue_mode.py has a real one.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

import click
import pytest

from imgcore.cli import cancel, farm, retry, submit
from imgcore.errors import ImagerError, InputError
from imgcore.job import Status
from imgcore.spool import Spool
from RuoteAMQP import Workitem
from tests.support.records import a_job

KICKSTART = "repo --name=a --baseurl=http://a\npart / --size=100 --fstype=ext4\n%packages\nbase\n%end\n"


class Listed:
    """A farm that does what it is told so many times, and no more."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.sent: list[Workitem] = []
        self.most = 99

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def send(self, made: Workitem) -> None:
        self.sent.append(made)
        self._do(made.fields.image.image_id)

    def cancel(self, image_id: str, who: str, reason: str) -> None:
        self._do(image_id)

    def _do(self, image_id: str) -> None:
        if len(self.done) == self.most:
            raise ImagerError("the broker is gone")
        self.done.append(image_id)


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> Listed:
    made = Listed()
    monkeypatch.setattr(farm, "find", lambda address, password_file: None)
    monkeypatch.setattr(farm, "Farm", lambda broker: made)
    return made


def failed(spool: Spool, image_id: str, kickstart: str = KICKSTART) -> str:
    """A job that ended in ERROR."""
    spool.create(a_job(image_id, priority="high"), kickstart=kickstart.encode())
    with spool.start(image_id) as claim:
        claim.finish(Status.ERROR)
    return image_id


def img(command: click.Command, spool: Spool, *arguments: str) -> object:
    """The exit code."""
    return command.main([*arguments, "--spool", str(spool.root)], standalone_mode=False)


@pytest.mark.parametrize("options", ["", "--wait", "--json", "--json --wait"])
@pytest.mark.parametrize("name", ["submit", "retry"])
def test_what_was_sent_is_told_although_a_later_one_cannot_be(
    name: str, options: str, spool: Spool, tmp_path: Path, queue: Listed,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    queue.most = 1
    command, given = retry.command, [failed(spool, "a-1"), failed(spool, "b-1")]
    if name == "submit":
        command, given = submit.command, [str(tmp_path / each) for each in ("a.ks", "b.ks")]
        for each in given:
            Path(each).write_text(KICKSTART)
    with pytest.raises(ImagerError, match="broker is gone"):
        img(command, spool, *given, *options.split())
    told = capsys.readouterr().out
    assert queue.done == ([json.loads(told)["image_id"]] if "--json" in options else told.split())
    assert len(queue.done) == 1


@pytest.mark.parametrize("why", ["kickstart", "state"])
def test_of_several_none_is_tried_again_where_one_cannot_be(why: str, spool: Spool, queue: Listed) -> None:
    failed(spool, "a-1")
    if why == "kickstart":
        failed(spool, "b-1", "part / --fstipe=ext4\n")
    else:
        spool.create(a_job("b-1"), kickstart=KICKSTART.encode())
    with pytest.raises(InputError):
        img(retry.command, spool, "a-1", "b-1")
    assert (spool.ids(), queue.done) == (["a-1", "b-1"], [])


@pytest.mark.parametrize(("option", "priority"), [((), "high"), (("--priority=normal",), "")])
def test_what_is_sent_of_a_retry_is_the_new_job(
    option: tuple[str, ...], priority: str, spool: Spool, queue: Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(spool, "a-1")
    assert img(retry.command, spool, "a-1", *option) == 0
    (new,) = capsys.readouterr().out.split()
    assert (spool.read(new).retry_of, spool.read(new).priority) == ("a-1", priority)
    assert (queue.done, [each.fields.image.priority for each in queue.sent]) == ([new], [priority])


def test_a_retry_can_have_another_time_limit_and_other_tokens(
    spool: Spool, queue: Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    spool.create(a_job("a-1", tokenmap={"A": "1", "B": "2"}, timeout=60.0), kickstart=KICKSTART.encode())
    with spool.start("a-1") as claim:
        claim.finish(Status.ERROR)
    assert img(retry.command, spool, "a-1", "--timeout=90m", "--tokenmap=B:3,C:4") == 0
    assert img(retry.command, spool, "a-1") == 0
    for new, sent, timeout, tokens in zip(
        capsys.readouterr().out.split(), queue.sent, (5400.0, 60.0),
        ({"A": "1", "B": "3", "C": "4"}, {"A": "1", "B": "2"}), strict=True,
    ):  # fmt: skip
        assert (spool.read(new).timeout, spool.read(new).tokenmap) == (timeout, tokens)
        # What a worker is told is what is recorded.
        image = sent.fields.image
        assert (image.image_id, image.timeout, dict(image.tokenmap.as_dict())) == (new, timeout, tokens)


def test_a_retry_without_any_broker_says_what_can_be_built_here(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYNET_CONFIG_DIR", str(tmp_path))
    failed(spool, "a-1")
    with pytest.raises(farm.NoBroker) as raised:
        img(retry.command, spool, "a-1")
    assert f"`img build {spool.directory('a-1')}/kickstart.ks …`" in raised.value.remedy
    assert "[boss]" in raised.value.remedy
    assert spool.ids() == ["a-1"]


@pytest.mark.parametrize("option", ["--timeout=soon", "--timeout=0", "--tokenmap=A B:1"])
def test_a_retry_with_an_option_that_is_wrong_records_nothing(option: str, spool: Spool, queue: Listed) -> None:
    failed(spool, "a-1")
    with pytest.raises(InputError):
        img(retry.command, spool, "a-1", option)
    assert (spool.ids(), queue.done) == (["a-1"], [])


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets an editor that does so to the text; what it leaves behind is below `tmp_path`/kept."""
    (tmp_path / "kept").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "kept"))
    monkeypatch.delenv("VISUAL", raising=False)

    def use(code: str) -> None:
        program = tmp_path / "an editor.py"
        program.write_text(f"import sys\nfrom pathlib import Path\npath = Path(sys.argv[-1])\n{code}\n")
        monkeypatch.setenv("EDITOR", shlex.join([sys.executable, str(program), "--wait"]))

    return use


def kept(tmp_path: Path) -> list[str]:
    return [each.read_text() for each in (tmp_path / "kept").iterdir()]


def test_a_retry_can_have_its_kickstart_edited_and_is_another_request_then(
    spool: Spool, queue: Listed, editor: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(spool, "a-1")
    editor('assert path.suffix == ".ks"; path.write_text(path.read_text().replace("base\\n", "busybox\\n"))')
    assert img(retry.command, spool, "a-1", "--edit") == 0
    (new,) = capsys.readouterr().out.split()
    assert spool.kickstart(new) == KICKSTART.replace("base\n", "busybox\n").encode()
    assert spool.kickstart("a-1") == KICKSTART.encode()
    assert spool.read(new).retry_of == "a-1"
    assert spool.read(new).request_digest != spool.read("a-1").request_digest
    assert "with another kickstart" in spool.history(new)[0]["reason"]
    assert (queue.done, kept(tmp_path)) == ([new], [])


def test_an_edited_kickstart_that_is_refused_names_the_line_and_is_not_lost(
    spool: Spool, queue: Listed, editor: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(spool, "a-1")
    editor('path.write_text(path.read_text().replace("--fstype", "--fstipe"))')
    with pytest.raises(InputError, match=r"line 2: .*--fstipe.*--fstype"):
        img(retry.command, spool, "a-1", "--edit")
    assert (spool.ids(), queue.done) == (["a-1"], [])
    assert kept(tmp_path) == [KICKSTART.replace("--fstype", "--fstipe")]
    (path,) = (tmp_path / "kept").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert f"the edited text is in {path}" in capsys.readouterr().err


def test_what_was_edited_is_not_lost_with_the_broker_or_the_editor(
    spool: Spool, queue: Listed, editor: Callable[[str], None], tmp_path: Path
) -> None:
    failed(spool, "a-1")
    queue.most = 0
    editor('path.write_text(path.read_text() + "# better\\n")')
    with pytest.raises(ImagerError, match="the broker is gone"):
        img(retry.command, spool, "a-1", "--edit")
    editor('path.write_text("half"); sys.exit(3)')
    with pytest.raises(InputError, match="ended with status 3"):
        img(retry.command, spool, "a-1", "--edit")
    assert sorted(kept(tmp_path)) == ["half", f"{KICKSTART}# better\n"]


@pytest.mark.parametrize(
    ("code", "ids", "says"),
    [
        ("", ["a-1"], "nothing was changed"),
        ("", ["a-1", "b-1"], "--edit is for one job"),
        ("5 = 6", ["a-1"], "status 1"),
        ("path.unlink()", ["a-1"], "empty|there is none"),
    ],
)
def test_an_edit_without_a_change_sends_nothing_and_leaves_nothing(
    code: str, ids: list[str], says: str, spool: Spool, queue: Listed, editor: Callable[[str], None], tmp_path: Path
) -> None:
    for each in ids:
        failed(spool, each)
    editor(code)
    with pytest.raises(InputError, match=says):
        img(retry.command, spool, *ids, "--edit")
    assert (spool.ids(), queue.done, kept(tmp_path)) == (ids, [], [])


@pytest.mark.parametrize(("command", "says"), [("/no/such/editor", "cannot be started"), ("vi '", "cannot be read")])
def test_an_editor_that_is_not_there_is_an_error_of_one_sentence(
    command: str, says: str, spool: Spool, queue: Listed, editor: Callable[[str], None], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    failed(spool, "a-1")
    monkeypatch.setenv("VISUAL", command)
    with pytest.raises(InputError, match=says):
        img(retry.command, spool, "a-1", "--edit")
    assert (queue.done, kept(tmp_path)) == ([], [])


def test_cancelling_tells_programs_what_was_cancelled_here_and_what_the_workers_were_told(
    spool: Spool, queue: Listed, capsys: pytest.CaptureFixture[str]
) -> None:
    failed(spool, "ended-1")
    for image_id in ("here-1", "here-2"):
        spool.create(a_job(image_id), kickstart=KICKSTART.encode())
    assert img(cancel.command, spool, "here-1", "ended-1", "far-1", "here-1", "--json") == 1
    assert json.loads(capsys.readouterr().out) == {
        "cancelled": ["here-1"],
        "told": ["here-1", "far-1"],
        "refused": {"ended-1": "job ended-1 is ERROR already"},
    }
    queue.done, queue.most = [], 0
    assert img(cancel.command, spool, "here-2", "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"cancelled": ["here-2"], "told": [], "refused": {}}
    assert "no other machine was told: the broker is gone" in said.err
