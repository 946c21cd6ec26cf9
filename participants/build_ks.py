"""build_ks: validates a kickstart and adds to it what the process asks for.

Reads `image.kickstart`, or `image.ksfile` (relative to the configured `ksstore`), and `image.extra_repos,
packages, groups, tokenmap`; writes `image.kickstart` and, where they are unset, `image.name` and what the
kickstart's header says of `image.arch` and `image.image_type`.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path, PurePosixPath
from typing import Any

from imgcore import config, kickstart, names, request
from imgcore.errors import InputError
from RuoteAMQP import Workitem

__all__ = ["ParticipantHandler"]

_INCLUDES = re.compile(r"^\s*%(?:include|ksappend)\s", re.MULTILINE)


class ParticipantHandler:
    """The participant. `include_root`: where a kickstart that was sent may include files from (None: nowhere)."""

    def __init__(self) -> None:
        self.log: Any = logging.getLogger("build_ks")
        self.config: config.Config | None = None
        self.include_root: Path | None = None

    def handle_lifecycle_control(self, ctrl: Any) -> None:
        """Read the configuration at the start."""
        if ctrl.message == "start":
            self.config = config.load()

    def handle_wi_control(self, ctrl: Any) -> None:
        """Nothing here takes long enough to be cancelled."""

    def handle_wi(self, wid: Workitem) -> None:
        """Validate and augment. Raises InputError that names file, line and remedy."""
        image = request.image_of(wid.fields.as_dict())
        name, content, root = self._found(image)
        text = kickstart.decode(content, name)
        arch = names.arch(image["arch"]) if image.get("arch") else kickstart.header(text).arch
        tokens = kickstart.with_defaults(names.tokenmap(image.get("tokenmap")), arch=arch)
        read = kickstart.read(content, name, root=root, tokens=tokens)
        if _INCLUDES.search(text):
            # The worker has no directory to include from: the file travels whole.
            text = read.text
        repositories = names.string_list("extra_repos", image.get("extra_repos"))
        packages = [names.package(each) for each in names.string_list("packages", image.get("packages"))]
        groups = [names.group(each) for each in names.string_list("groups", image.get("groups"))]
        if repositories or packages or groups:
            text = kickstart.augment(text, extra_repos=repositories, packages=packages, groups=groups)
            kickstart.read(text.encode("utf-8", "surrogateescape"), name, tokens=tokens)
        image["kickstart"] = text
        if not image.get("name"):
            image["name"] = names.name(PurePosixPath(name).stem)
        for field, value in (("arch", read.header.arch), ("image_type", read.header.image_type)):
            if value and not image.get(field):
                image[field] = value
        wid.result = True

    def _found(self, image: dict[str, Any]) -> tuple[str, bytes, Path | None]:
        """Name, content and include directory of the kickstart that the fields mean."""
        text = image.get("kickstart")
        if isinstance(text, str) and text:
            label = str(image.get("kickstart_name") or f"{image.get('name') or 'image'}.ks")
            return label, text.encode("utf-8", "surrogateescape"), self.include_root
        if not image.get("ksfile"):
            raise InputError("field kickstart: there is none", "give image.kickstart, or image.ksfile")
        store = (self.config or config.load()).ksstore
        if store is None:
            raise InputError("field ksfile: this participant has no store", "set ksstore in imager.conf")
        path = names.inside(store, image["ksfile"], "ksfile")
        try:
            with path.open("rb") as file:
                return str(image["ksfile"]), file.read(kickstart.MOST_BYTES + 1), store
        except OSError as error:
            raise InputError(
                f"field ksfile: {image['ksfile']!r} cannot be read: {error.strerror}", "see what the store has"
            ) from error
