# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/notify/webhook.py against a real receiver."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path

import pytest

from imgcore.notify.channel import NotDelivered
from imgcore.notify.settings import WebhookSettings
from imgcore.notify.webhook import Webhook, signature
from imgcore.spool import Spool
from tests.support import certificates
from tests.support.letters import another, letter, secret
from tests.support.receiver import receive


def hook(url: str, key: Path | None = None) -> Webhook:
    return Webhook("site", WebhookSettings(url, key))


def ignore(line: str) -> None:
    raise AssertionError(f"nothing is said on the way: {line}")


def test_the_record_comes_signed_over_id_time_and_body(spool: Spool, tmp_path: Path) -> None:
    sent = letter(spool, "webhook-site", "", package_count=7)
    with receive() as site:
        hook(site.url, secret(tmp_path, "between us")).deliver(sent, ignore)
        hook(site.url, secret(tmp_path, "between us")).deliver(sent, ignore)
        hook(site.url).deliver(sent, ignore)
    (headers, body), (again, _), (unsigned, _) = site.came
    assert json.loads(body) == sent.job
    assert json.loads(body)["package_count"] == 7
    assert headers["content-type"] == "application/json"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(b"between us", content, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert again["webhook-id"] == headers["webhook-id"]
    assert "webhook-signature" not in unsigned


def test_the_signature_is_the_one_of_the_standard() -> None:
    # The example of the specification's libraries.
    key = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    message = ("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert signature(key, *message) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    with pytest.raises(NotDelivered, match="base64"):
        signature(b"whsec_?", *message)


@pytest.mark.parametrize(("status", "final"), [(500, False), (404, False), (302, False), (307, False), (410, True)])
def test_another_answer_is_no_delivery_and_leads_nowhere(spool: Spool, status: int, final: bool) -> None:
    sent = letter(spool, "webhook-site", "")
    with receive() as site:
        site.answers = [status]
        with pytest.raises(NotDelivered, match=f"answered {status}") as caught:
            hook(site.url).deliver(sent, ignore)
    assert caught.value.final is final
    assert len(site.came) == 1


def test_nobody_there_is_told_without_the_url(spool: Spool) -> None:
    with pytest.raises(NotDelivered, match="refused") as caught:
        hook("http://127.0.0.1:1/token").deliver(letter(spool, "webhook-site", ""), ignore)
    assert "token" not in str(caught.value)


def test_a_certificate_is_verified(spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates.make(tmp_path)
    sent = letter(spool, "webhook-site", "")
    with receive(tmp_path) as site:
        with pytest.raises(NotDelivered, match=r"(?i)certificate"):
            hook(site.url).deliver(sent, ignore)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        hook(site.url).deliver(sent, ignore)
    assert len(site.came) == 1


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [("key", 0o640, "chmod 600"), ("key", 0o604, "chmod 600"), ("", 0o600, "one line"), ("a\nb", 0o600, "one line")],
)
def test_a_secret_that_others_can_read_or_that_is_none_is_not_used(
    spool: Spool, tmp_path: Path, text: str, mode: int, says: str
) -> None:
    with receive() as site:
        with pytest.raises(NotDelivered, match=says):
            hook(site.url, secret(tmp_path, text, mode)).deliver(letter(spool, "webhook-site", ""), ignore)
        assert site.came == []
    with pytest.raises(NotDelivered, match="cannot be read"):
        hook(site.url, tmp_path / "gone").deliver(another(spool, "webhook-site", ""), ignore)
