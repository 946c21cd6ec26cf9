# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves SkyNET/logs.py."""

import logging

import pytest

from RuoteAMQP import Workitem
from SkyNET import logs


def set_up(level: str) -> logging.Logger:
    logs.set_up("WARNING")
    logs.set_up(level)
    return logging.getLogger("name")


def test_a_line_says_which_process_and_image_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    logger = set_up("INFO")
    item = Workitem('{"fei": {"wfid": "w-1"}, "fields": {}}')
    logger.info("none")
    logs.about(item)
    logger.info("process")
    item.set_field("image.image_id", "7-1\x1b[2J\nforged")
    logger.info("both")
    logs.about(None)
    lines = [line.split(" INFO ", 1)[1] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["name: none", "name: [w-1] process", "name: [w-1 7-1?[2J?forged] both"]


def test_what_a_message_quotes_makes_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("INFO").info("cancels %s", "x\n2026-11-24 00:00:00 ERROR forged")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("cancels x?2026-11-24 00:00:00 ERROR forged")


def test_pika_is_quiet_but_for_debugging(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("INFO")
    logging.getLogger("pika.adapters").error("ten lines")
    assert capsys.readouterr().err == ""
    logs.set_up("DEBUG")
    logging.getLogger("pika.adapters").error("ten lines")
    assert "ten lines" in capsys.readouterr().err


def test_a_summary_is_one_line() -> None:
    item = Workitem('{"participant_name": "p", "fields": {"project": "a\\nb", "params": {"ref": "p", "x": "1\\n2"}}}')
    assert logs.summary(item) == "workitem !! for p project='a\\nb' x='1\\n2'"
