# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be set about notices; conf/imager.conf explains each. A leaf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

__all__ = ["MailSettings", "NotifySettings", "WebhookSettings"]


@dataclass(frozen=True)
class MailSettings:
    """Who takes mail, and what it is like."""

    #: HOST or HOST:PORT; empty: no mail is sent.
    server: str = ""
    #: starttls, tls or none.
    security: str = "starttls"
    user: str = ""
    password_file: Path | None = None
    sender: str = ""
    #: Domains that mail may go to; empty: any.
    domains: tuple[str, ...] = ()
    #: None: the one that ships.
    template: Path | None = None


@dataclass(frozen=True)
class WebhookSettings:
    """Who is told by HTTP. What is sent is signed with what the file holds; None: it is not."""

    url: str
    secret_file: Path | None = None


@dataclass(frozen=True)
class NotifySettings:
    """Who is told that a job has ended."""

    #: Where `img report` is served, for links to a job's page; empty: no links.
    pages: str = ""
    #: Whether `img build` shows a notification on the desktop.
    desktop: bool = True
    hooks: Path = Path("/etc/imager/hooks.d")
    #: Seconds that a hook may take.
    hook_time: float = 30.0
    mail: MailSettings = field(default_factory=MailSettings)
    webhooks: Mapping[str, WebhookSettings] = field(default_factory=lambda: MappingProxyType({}))
