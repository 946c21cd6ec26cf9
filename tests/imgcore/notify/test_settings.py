# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/notify/settings.py and channels.py: what the configuration says of notices, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgcore import config
from imgcore.errors import InputError
from imgcore.notify.channels import channels
from imgcore.notify.settings import MailSettings, NotifySettings, WebhookSettings

ALL = """
[notify]
desktop = no
hooks = /h
hook_time = 2m
pages = https://status.example.org/
[mail]
server = mail.example.org
security = tls
user = me
password_file = /p
sender = imager@example.org
domains = Example.org example.com
template = /t
[webhook site]
url = https://hooks.example.org/x?y=z
secret_file = /s
[webhook bare]
url = http://127.0.0.1:8000/
"""


def loaded(place: Path, text: str) -> config.Config:
    path = place / "imager.conf"
    path.write_text(text)
    return config.load(path, files=[])


def test_everything_can_be_set_and_has_a_channel(tmp_path: Path) -> None:
    got = loaded(tmp_path, ALL).notify
    mail = MailSettings(
        "mail.example.org", "tls", "me", Path("/p"), "imager@example.org", ("example.org", "example.com"), Path("/t")
    )
    hooks = {
        "site": WebhookSettings("https://hooks.example.org/x?y=z", Path("/s")),
        "bare": WebhookSettings("http://127.0.0.1:8000/"),
    }
    assert got == NotifySettings("https://status.example.org/", False, Path("/h"), 120.0, mail, hooks)
    assert [each.name for each in channels(got)] == ["webhook-bare", "webhook-site", "mail", "hook"]


def test_by_default_only_hooks_that_are_there_are_told(tmp_path: Path) -> None:
    got = loaded(tmp_path, "").notify
    assert got == NotifySettings()
    assert [each.name for each in channels(got)] == ["hook"]


def test_a_later_file_changes_what_it_names(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.write_text(ALL)
    second = tmp_path / "second"
    second.write_text("[mail]\nserver = other\n[webhook bare]\nurl = http://b/\n[notify]\nhook_time = 1s\n")
    got = config.load(second, files=[first]).notify
    assert (got.mail.server, got.mail.user, got.hook_time, got.pages) == (
        "other", "me", 1.0, "https://status.example.org/",
    )  # fmt: skip
    assert {name: each.url for name, each in got.webhooks.items()} == {
        "site": "https://hooks.example.org/x?y=z", "bare": "http://b/",
    }  # fmt: skip


def test_the_process_of_a_build_is_not_told_of_it(tmp_path: Path) -> None:
    text = config.to_json(loaded(tmp_path, ALL))
    assert "example.org" not in text
    assert config.from_json(text).notify == NotifySettings()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[webhook x]\n", "url is mandatory"),
        ("[webhook x]\nurl = ftp://h/\n", "not an http or https URL"),
        ("[webhook x]\nurl = https://u:hunter2@h/\n", "without a user"),
        ("[webhook x]\nurl = https://token@h/\n", "without a user"),
        ("[webhook x]\nurl = http://h/\nsecret_file = s\n", "absolute"),
        ("[webhook ../x]\nurl = http://h/\n", "webhook"),
        ("[mail]\nsecurity = ssl\n", "starttls, tls, none"),
        ("[notify]\ndesktop = maybe\n", "yes, no"),
        ("[notify]\npages = javascript:x\n", "not an http or https URL"),
        ("[notify]\nhook_time = soon\n", "not a duration"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        loaded(tmp_path, text)
    assert "imager.conf" in str(caught.value)
    assert "hunter2" not in str(caught.value)
