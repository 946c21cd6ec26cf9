# SPDX-License-Identifier: GPL-2.0-or-later
"""A mail server on this machine, with or without TLS and a login, that keeps what it gets or refuses it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

__all__ = ["Mailbox", "html", "serve", "text"]


@dataclass
class Mailbox:
    """What came: sender, receivers, mail. `refuses` is what is answered to a receiver instead of yes."""

    port: int
    mails: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    logins: list[tuple[str, str, bool]] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)

    @property
    def server(self) -> str:
        """Where it is, as the configuration has it."""
        return f"127.0.0.1:{self.port}"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        made = message_from_bytes(envelope.content, policy=policy.default)
        self.raw.append(envelope.content)
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, made))  # type: ignore[arg-type]
        return "250 OK"


def text(made: EmailMessage) -> str:
    """The plain text of a mail."""
    return _body(made, "plain")


def html(made: EmailMessage) -> str:
    """The HTML of a mail."""
    return _body(made, "html")


def _body(made: EmailMessage, kind: str) -> str:
    part = made.get_body((kind,))  # type: ignore[arg-type]
    assert part is not None
    return str(part.get_content())


@contextmanager
def serve(*, certificates: Path | None = None, security: str = "none", account: str = "") -> Iterator[Mailbox]:
    """A server for the length of a `with`; `account` is the `user:password` that it wants."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    box = Mailbox(port)
    how: dict[str, Any] = {}
    if certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        how = {"ssl_context": context} if security == "tls" else {"tls_context": context, "require_starttls": True}
    if account:

        def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
            given = f"{data.login.decode()}:{data.password.decode()}"
            box.logins.append((data.login.decode(), data.password.decode(), session.ssl is not None))
            return AuthResult(success=given == account, handled=False)

        how |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": security == "starttls"}
    controller = Controller(box, hostname="127.0.0.1", port=port, ready_timeout=20, **how)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
