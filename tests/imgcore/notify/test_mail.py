# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/notify/mail.py against a real mail server, with TLS and a login."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgcore.errors import InputError
from imgcore.job import Status
from imgcore.notify import mail
from imgcore.notify.channel import NotDelivered
from imgcore.notify.mail import Mail
from imgcore.notify.settings import MailSettings
from imgcore.spool import Spool
from tests.support import certificates, html, mailbox
from tests.support.letters import letter, secret
from tests.support.mailbox import Mailbox
from tests.support.report_spool import HOSTILE

PAYLOAD = "x\r\nBcc: victim@example.org\r\n\r\nevil \x1b[2J\u202e \udc80"


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox.serve() as made:
        yield made


def settings(box: Mailbox, **more: object) -> MailSettings:
    plain = MailSettings(server=box.server, sender="imager@example.org", security="none")
    return dataclasses.replace(plain, **more)  # type: ignore[arg-type]


def ignore(line: str) -> None:
    raise AssertionError(f"nothing is said on the way: {line}")


def test_a_mail_says_what_came_of_the_job_and_where_it_is(spool: Spool, box: Mailbox) -> None:
    artifacts = [{"name": "tiny.img", "kind": "image", "size": 3 << 20, "sha256": "0"}]
    sent = letter(
        spool, artifacts=artifacts, image_url="https://images/tiny.img", resources={"wall_seconds": 75.0},
        warnings=("a package is old",),
    )  # fmt: skip
    Mail(settings(box), "https://status.example.org/imager/").deliver(sent, ignore)
    ((sender, receivers, made),) = box.mails
    assert (sender, receivers) == ("imager@example.org", ["a@example.org"])
    assert (made["Subject"], made["To"]) == ("tiny for x86_64: DONE", "a@example.org")
    assert made["From"] == "Imager <imager@example.org>"
    assert made["Auto-Submitted"] == "auto-generated"
    text = mailbox.text(made)
    for each in (
        "The image tiny is there.", "https://images/tiny.img", "3.0 MiB  tiny.img", "1 min 15 s", "a package is old",
        "https://status.example.org/imager/jobs/tiny-1/index.html",
    ):  # fmt: skip
        assert each in text


def test_a_failure_says_why_and_what_to_do(spool: Spool, box: Mailbox) -> None:
    sent = letter(spool, status=Status.ERROR, error="package busybocks is nowhere", error_remedy="busybox?")
    Mail(settings(box)).deliver(sent, ignore)
    made = box.mails[0][2]
    assert made["Subject"] == "tiny for x86_64: ERROR"
    assert "package busybocks is nowhere" in mailbox.text(made)
    assert "What to do: busybox?" in mailbox.text(made)


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.TESTED])
def test_every_end_has_its_words(spool: Spool, status: Status) -> None:
    sent = letter(spool)
    told = dataclasses.replace(sent, job={**sent.job, "status": str(status), "error": "by me"})
    assert str(status) in mail.message(told, "imager@example.org")["Subject"]


def test_another_attempt_has_the_same_message_id(spool: Spool) -> None:
    sent = letter(spool)
    first, second = (mail.message(sent, "imager@example.org")["Message-ID"] for _ in range(2))
    other = mail.message(dataclasses.replace(sent, whom="b@example.org"), "imager@example.org")["Message-ID"]
    assert first == second != other
    assert first.endswith("@example.org>")


def test_nothing_of_a_job_becomes_a_header_or_another_line(spool: Spool, box: Mailbox) -> None:
    fields = {"name", "error", "error_remedy", "image_url", "user", "arch", "image_type", "requested_at", "image_id"}
    sent = letter(spool, status=Status.ERROR, error="x")
    hostile = {**sent.job, **dict.fromkeys(fields, PAYLOAD), "warnings": [PAYLOAD]}
    Mail(settings(box)).deliver(dataclasses.replace(sent, job=hostile), ignore)
    ((_, receivers, made),) = box.mails
    assert receivers == ["a@example.org"]
    assert {name.lower() for name in made} == {
        "from", "to", "subject", "date", "message-id", "auto-submitted", "content-type", "mime-version",
    }  # fmt: skip
    text = mailbox.text(made)
    assert not [line for line in text.splitlines() if line.startswith("Bcc")]
    assert not any(each in text for each in "\x1b\u202e")
    assert all(byte < 128 for byte in box.raw[0])


def test_the_same_is_there_as_html_with_links_and_asks_nobody_for_anything(spool: Spool, box: Mailbox) -> None:
    artifacts = [{"name": "tiny.img", "kind": "image", "size": 3 << 20, "sha256": "0"}]
    sent = letter(
        spool, artifacts=artifacts, image_url="https://images/tiny.img", files_url="file:///images/tiny/",
        logfile_url="https://ann:hush@images/tiny.log", resources={"wall_seconds": 75.0}, warnings=("a & b",),
    )  # fmt: skip
    Mail(settings(box), "https://status.example.org/imager").deliver(sent, ignore)
    made = box.mails[0][2]
    assert made.get_content_type() == "multipart/alternative"
    # The last is what a reader that can shows.
    assert [part.get_content_type() for part in made.iter_parts()] == ["text/plain", "text/html"]
    page = html.parse_text(mailbox.html(made))
    assert page.links == ["https://images/tiny.img", "https://status.example.org/imager/jobs/tiny-1/index.html"]
    for each in ("The image tiny is there", "tiny.img, 3.0 MiB", "1 min 15 s", "a & b", "file:///images/tiny/"):
        assert each in " ".join(page.text.split())
    assert {each.tag for each in page.elements} <= {
        "html", "head", "meta", "title", "body", "h1", "table", "tr", "th", "td", "a", "ul", "li", "p", "small",
    }  # fmt: skip
    assert {name for each in page.elements for name in each.attributes} <= {
        "lang", "charset", "style", "cellpadding", "align", "scope", "href",
    }  # fmt: skip
    assert "url(" not in mailbox.html(made)


@pytest.mark.parametrize("status", [Status.ERROR, Status.CANCELLED, Status.TESTED, Status.DONE])
@pytest.mark.parametrize("payload", HOSTILE)
def test_nothing_of_a_job_becomes_markup(spool: Spool, status: Status, payload: str) -> None:
    sent = letter(spool)
    fields = {"name", "error", "error_remedy", "image_url", "files_url", "logfile_url", "user", "arch", "image_type"}
    hostile = {**sent.job, **dict.fromkeys(fields, payload), "warnings": [payload], "event": {"reason": payload}}
    hostile["artifacts"] = [{"name": payload, "size": 1}]

    def tags(job: dict[str, Any]) -> list[tuple[str, set[str]]]:
        told = dataclasses.replace(sent, job={**job, "status": str(status)})
        page = html.parse_text(mailbox.html(mail.message(told, "imager@example.org")))
        return [(each.tag, set(each.attributes)) for each in page.elements]

    harmless = {key: "x" if value == payload else value for key, value in hostile.items()}
    harmless |= {"warnings": ["x"], "event": {"reason": "x"}, "artifacts": [{"name": "x", "size": 1}]}
    assert tags(hostile) == tags(harmless)


@pytest.mark.parametrize(
    "whom",
    [
        "a b@example.org", "a@example.org,b@example.org", "a", "-a@example.org", "a@", "@b", "a@b@c", "<a@b>",
        "a@example.org\n", "ä@example.org", "a@-b", "a@b..c", "a" * 100 + "@b",
    ],
)  # fmt: skip
def test_what_is_no_address_gets_no_mail(spool: Spool, box: Mailbox, whom: str) -> None:
    with pytest.raises(NotDelivered, match="not a mail address") as caught:
        Mail(settings(box)).deliver(letter(spool, whom=whom), ignore)
    assert caught.value.final
    assert box.mails == []


def test_mail_goes_to_whom_the_request_names_once_each_and_to_the_domains_that_it_may(
    spool: Spool, box: Mailbox
) -> None:
    sent = letter(spool, emails=("a@example.org", "b@example.org", "a@example.org"))
    channel = Mail(settings(box, domains=("example.org",)))
    assert list(channel.whom(sent.job)) == ["a@example.org", "b@example.org"]
    assert list(channel.whom({**sent.job, "emails": []})) == []
    with pytest.raises(NotDelivered, match=r"does not have evil\.com") as caught:
        channel.deliver(dataclasses.replace(sent, whom="a@evil.com"), ignore)
    assert caught.value.final
    channel.deliver(dataclasses.replace(sent, whom="a@EXAMPLE.org"), ignore)
    assert len(box.mails) == 1


# What it warns of, a login without STARTTLS, is within TLS.
@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_the_server_is_verified_and_gets_the_login_by_tls_only(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    certificates.make(tmp_path)
    sent = letter(spool)
    with mailbox.serve(certificates=tmp_path, security=security, account="me:pass word") as box:
        login = {"user": "me", "password_file": secret(tmp_path, "pass word"), "security": security}
        with pytest.raises(NotDelivered, match=r"(?i)certificate"):
            Mail(settings(box, **login)).deliver(sent, ignore)
        assert box.logins == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        Mail(settings(box, **login)).deliver(sent, ignore)
        assert len(box.mails) == 1
        secret(tmp_path, "another word")
        with pytest.raises(NotDelivered, match="535") as caught:
            Mail(settings(box, **login)).deliver(sent, ignore)
        assert not caught.value.final
        assert "another word" not in str(caught.value)
        # aiosmtpd does not know of the TLS around a whole connection.
        assert {(user, by_tls or security == "tls") for user, _, by_tls in box.logins} == {("me", True)}
        (tmp_path / "secret").chmod(0o644)
        with pytest.raises(NotDelivered, match="chmod 600"):
            Mail(settings(box, **login)).deliver(sent, ignore)


def test_a_server_without_tls_gets_nothing_where_tls_is_wanted(spool: Spool, box: Mailbox) -> None:
    with pytest.raises(NotDelivered, match="STARTTLS"):
        Mail(settings(box, security="starttls")).deliver(letter(spool), ignore)
    assert box.mails == []


@pytest.mark.parametrize(("answer", "final"), [("550 no such user", True), ("451 later", False)])
def test_a_refusal_is_final_where_the_server_says_so(spool: Spool, box: Mailbox, answer: str, final: bool) -> None:
    box.refuses["a@example.org"] = answer
    with pytest.raises(NotDelivered, match=answer) as caught:
        Mail(settings(box)).deliver(letter(spool), ignore)
    assert caught.value.final is final


def test_a_server_that_is_away_or_says_little_and_slowly_is_left(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = letter(spool)
    with pytest.raises(NotDelivered, match="refused"):
        Mail(settings(Mailbox(1))).deliver(sent, ignore)
    monkeypatch.setattr(mail, "_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection = server.accept()[0]
            with connection:
                try:
                    for _ in range(300):
                        connection.sendall(b"2")
                        time.sleep(0.1)
                except OSError:
                    return

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(NotDelivered, match="not answer within 1 s"):
            Mail(settings(Mailbox(server.getsockname()[1]))).deliver(sent, ignore)
        assert time.monotonic() - began < 15


def test_the_text_can_be_another_template(spool: Spool, tmp_path: Path) -> None:
    sent = letter(spool)
    own = tmp_path / "own.j2"
    own.write_text("Subject: {{ job.name }}!\n\nIt took {{ 90 | duration }}.\n")
    made = mail.message(sent, "imager@example.org", own)
    assert (made["Subject"], made.get_content()) == ("tiny!", "It took 1 min 30 s.\n")
    own.write_text("Subject: für dich\n\nfür dich\n")
    made = mail.message(sent, "imager@example.org", own)
    assert (made["Subject"], made.get_content(), bytes(made).isascii()) == ("für dich", "für dich\n", True)
    for text, says in (("{{", "cannot be used"), ("{{ job.nothing }}", "nothing")):
        own.write_text(text)
        with pytest.raises(NotDelivered, match=says):
            mail.message(sent, "imager@example.org", own)
    own.unlink()
    with pytest.raises(NotDelivered, match="cannot be read"):
        mail.message(sent, "imager@example.org", own)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"server": "a b"}, r"\[mail\] server"),
        ({"server": "h:port"}, r"\[mail\] server"),
        ({"sender": ""}, r"\[mail\] sender"),
        ({"sender": "Me <a@b>"}, r"\[mail\] sender"),
        ({"user": "me"}, "password_file"),
        ({"user": "me", "password_file": Path("/x"), "security": "none"}, "TLS"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_sent(fields: dict[str, object], says: str) -> None:
    plain = MailSettings(server="mail.example.org", sender="imager@example.org")
    with pytest.raises(InputError, match=says):
        Mail(dataclasses.replace(plain, **fields))  # type: ignore[arg-type]
    Mail(plain)
