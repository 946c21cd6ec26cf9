# SPDX-License-Identifier: GPL-2.0-or-later
"""A webhook: the record as JSON by POST, signed as standardwebhooks.com has it, so that receivers find libraries.

`webhook-id` is the same however often it is sent; `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over
id, `webhook-timestamp` and body, with dots between. Any answer from 200 to 299 is taken as delivered; none is
followed elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgcore import __version__
from imgcore.notify.channel import NotDelivered, secret
from imgcore.notify.outbox import Letter
from imgcore.notify.settings import WebhookSettings

__all__ = ["Webhook", "signature"]

_SECONDS = 30
_MOST_BYTES = 1 << 20
_GONE = 410
_SERIALIZED = b"whsec_"


@dataclass(frozen=True)
class Webhook:
    """The webhook of that name in the configuration."""

    title: str
    settings: WebhookSettings

    @property
    def name(self) -> str:
        """See `Channel.name`."""
        return f"webhook-{self.title}"

    def whom(self, job: Mapping[str, Any]) -> Sequence[str]:
        """See `Channel.whom`: whoever is behind the URL, of every job."""
        return ("",)

    def deliver(self, letter: Letter, log: Callable[[str], None]) -> None:
        """See `Channel.deliver`."""
        from urllib.request import Request

        from imgcore.fetch import NotFetched, fetch

        body = json.dumps(letter.job).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"Imager/{__version__}",
            "webhook-id": letter.unique,
            "webhook-timestamp": str(int(time.time())),
        }
        if self.settings.secret_file:
            key = secret(self.settings.secret_file)
            headers["webhook-signature"] = signature(key, headers["webhook-id"], headers["webhook-timestamp"], body)
        request = Request(self.settings.url, body, headers, method="POST")  # noqa: S310 - fetch sees to it
        try:
            fetch(request, seconds=_SECONDS, most=_MOST_BYTES, follow=False)
        except NotFetched as error:
            raise NotDelivered(str(error), final=error.status == _GONE) from error


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """The header's value. A key that begins with `whsec_` is base64 behind that. Raises NotDelivered."""
    if key.startswith(_SERIALIZED):
        try:
            key = base64.b64decode(key.removeprefix(_SERIALIZED), validate=True)
        except binascii.Error as error:
            raise NotDelivered("what is behind whsec_ in the secret's file is not base64") from error
    digest = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode('ascii')}"
