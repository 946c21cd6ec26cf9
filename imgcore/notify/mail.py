# SPDX-License-Identifier: GPL-2.0-or-later
"""Mail to those whom the job's request names, one each, so that none sees the others.

By SMTP with TLS (verified) and, where there is a user, authentication, which is never sent in the clear. The text is
a Jinja2 template's, whose first line is `Subject: …`; beside ours stands the same as HTML, which asks nobody for
anything. What comes from a job is one line of printable text wherever it stands, and no header but To and Subject has
anything of it.
"""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from imgcore.amounts import duration, size
from imgcore.buildlog import printable
from imgcore.errors import InputError
from imgcore.names import shown
from imgcore.notify.channel import NotDelivered, secret
from imgcore.notify.outbox import Letter
from imgcore.notify.settings import MailSettings

if TYPE_CHECKING:
    import smtplib
    from email.message import EmailMessage

__all__ = ["Mail", "message"]

_SECONDS = 60
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
#: Of RFC 5321's addresses those that no header and no server reads in another way.
_ADDRESS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,63}@(?:[A-Za-z0-9][A-Za-z0-9-]*\.)*[A-Za-z0-9][A-Za-z0-9-]*")
_SERVER = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
#: What may be followed by a click: no script, and no password.
_LINK = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[^\s\"'<>\\]*)?")
_HERE = Path(__file__).parent
_HALF = re.compile("[\ud800-\udfff]")
_PERMANENT = range(500, 600)
_LONGEST = 2000
_LONGEST_SUBJECT = 200


class Mail:
    """Sends as the settings say; `pages` is where the status pages are. Raises InputError where they do not fit."""

    name = "mail"

    def __init__(self, settings: MailSettings, pages: str = "") -> None:
        self._settings = settings
        self._pages = pages
        found = _SERVER.fullmatch(settings.server)
        if found is None:
            raise InputError(f"[mail] server: {shown(settings.server)} is not HOST or HOST:PORT", "correct the line")
        if not _ADDRESS.fullmatch(settings.sender):
            raise InputError(f"[mail] sender: {shown(settings.sender)} is not a mail address", "set it")
        if settings.user and (settings.password_file is None or settings.security == "none"):
            raise InputError("[mail] user needs password_file, and TLS", "set them, or leave out user")
        self._host = found["host"].strip("[]")
        self._port = int(found["port"] or _PORTS[settings.security])

    def whom(self, job: Mapping[str, Any]) -> Sequence[str]:
        """See `Channel.whom`: those whom the request names, and nobody else."""
        return list(dict.fromkeys(job["emails"]))

    def deliver(self, letter: Letter, log: Callable[[str], None]) -> None:
        """See `Channel.deliver`."""
        import smtplib

        if not _ADDRESS.fullmatch(letter.whom):
            raise NotDelivered("it is not a mail address", final=True)
        domain = letter.whom.rpartition("@")[2].lower()
        if self._settings.domains and domain not in self._settings.domains:
            raise NotDelivered(f"[mail] domains does not have {domain}", final=True)
        made = message(letter, self._settings.sender, self._settings.template, self._pages)
        try:
            with self._connected() as server:
                server.send_message(made, self._settings.sender, [letter.whom])
        except smtplib.SMTPRecipientsRefused as error:
            code, said = error.recipients[letter.whom]
            raise _refused(code, said) from error
        except smtplib.SMTPDataError as error:
            raise _refused(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPResponseException as error:
            # Of the login or the sender: that is for whoever has set this up, and can be mended.
            raise NotDelivered(f"the mail server says {error.smtp_code} {_one_line(error.smtp_error)}") from error
        except (OSError, smtplib.SMTPException) as error:
            raise NotDelivered(f"the mail server cannot be used: {_one_line(error)}") from error

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        """The server, logged in. Every connection ends after a time, however little and slowly the server says."""
        import smtplib
        import ssl

        context = ssl.create_default_context()
        security, user = self._settings.security, self._settings.user
        password = secret(self._settings.password_file).decode() if self._settings.password_file and user else ""
        watched: list[socket.socket] = []
        over = threading.Event()
        answered = False

        class Connection(smtplib.SMTP):
            def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
                made = socket.create_connection((host, port), timeout)
                # A socket of its own for the same connection: TLS takes the other one over.
                watched.append(made.dup())
                return context.wrap_socket(made, server_hostname=host) if security == "tls" else made

        def end() -> None:
            over.set()
            for each in watched:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(_SECONDS, end)
        timer.daemon = True
        timer.start()
        try:
            with contextlib.closing(Connection(self._host, self._port, socket.gethostname(), _SECONDS)) as server:
                if security == "starttls":
                    server.starttls(context=context)
                if user:
                    server.login(user, password)
                yield server
                # What looks like a whole answer may be what came of it until then.
                answered = not over.is_set()
                with contextlib.suppress(OSError, smtplib.SMTPException):
                    server.quit()
        except (OSError, smtplib.SMTPException):
            if not over.is_set():
                raise
        finally:
            timer.cancel()
            for each in watched:
                each.close()
        if not answered:
            raise NotDelivered(f"the mail server does not answer within {_SECONDS} s")


def message(letter: Letter, sender: str, template: Path | None = None, pages: str = "") -> EmailMessage:
    """The mail. Raises NotDelivered where the template cannot be used."""
    from email.headerregistry import Address
    from email.message import EmailMessage
    from email.policy import SMTP
    from email.utils import format_datetime, localtime

    job = letter.job
    page = f"{pages.rstrip('/')}/jobs/{quote(letter.image_id)}/index.html" if pages else ""
    values = {"job": job, "page": page}
    head, _, text = _rendered(template or _HERE / "mail.txt.j2", values).partition("\n")
    subject = head.removeprefix("Subject:").strip()[:_LONGEST_SUBJECT]
    # Seven bits: not every server takes eight.
    made = EmailMessage(SMTP.clone(cte_type="7bit"))
    made["From"] = Address("Imager", addr_spec=sender)
    made["To"] = letter.whom
    made["Subject"] = subject
    made["Date"] = format_datetime(localtime())
    made["Message-ID"] = f"<{letter.unique}@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(text.strip("\n") + "\n")
    if template is None:
        html = _rendered(_HERE / "mail.html.j2", {**values, "subject": subject}, escape=True)
        made.add_alternative(html, subtype="html")
    return made


def _rendered(path: Path, values: Mapping[str, object], *, escape: bool = False) -> str:
    import jinja2

    try:
        return str(_environment(escape=escape).from_string(path.read_text(encoding="utf-8")).render(values))
    except (OSError, ValueError) as error:
        raise NotDelivered(f"the template {path} cannot be read: {_one_line(error)}") from error
    except jinja2.TemplateError as error:
        raise NotDelivered(f"the template {path} cannot be used: {_one_line(error)}") from error


@functools.cache
def _environment(*, escape: bool) -> Any:
    import jinja2

    made = jinja2.Environment(
        # Plain text has nothing to escape.
        autoescape=escape,  # noqa: S701
        undefined=jinja2.StrictUndefined,
        finalize=_one_line,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(duration=duration, size=size, link=_LINK.fullmatch)
    return made


def _one_line(value: object) -> str:
    """A value as one line that shows what it is."""
    if hasattr(value, "__html__"):
        return value  # type: ignore[return-value] # what a macro of ours has made, of such lines
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = _HALF.sub("\ufffd", printable(" ".join(text.split())))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _refused(code: int, said: bytes | str) -> NotDelivered:
    return NotDelivered(f"the mail server refuses it: {code} {_one_line(said)}", final=code in _PERMANENT)
