# SPDX-License-Identifier: GPL-2.0-or-later
"""The channels that are configured."""

from __future__ import annotations

from imgcore.notify.channel import Channel
from imgcore.notify.hooks import Hooks
from imgcore.notify.mail import Mail
from imgcore.notify.settings import NotifySettings
from imgcore.notify.webhook import Webhook

__all__ = ["channels"]


def channels(settings: NotifySettings) -> list[Channel]:
    """Every channel by which somebody could be told. Raises InputError for settings that do not fit together."""
    found: list[Channel] = [Webhook(title, each) for title, each in sorted(settings.webhooks.items())]
    if settings.mail.server:
        found.append(Mail(settings.mail, settings.pages))
    return [*found, Hooks(settings.hooks, settings.hook_time)]
