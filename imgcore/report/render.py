# SPDX-License-Identifier: GPL-2.0-or-later
"""The template engine: everything that comes from outside is made visible, then escaped, with no exception.

`finalize` sees each value before it is escaped; a template marks nothing as safe. The fingerprint of code and
templates is part of every job page's, so that pages are written anew after an upgrade.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup

from imgcore.report import text

__all__ = ["SCRIPT", "STYLE", "asset", "code_fingerprint", "render"]

STYLE = "imager.css"
SCRIPT = "imager.js"
_HERE = Path(__file__).parent


def _finalize(value: object) -> object:
    if isinstance(value, Markup):
        return value
    if value is None:
        return ""
    return text.visible(value if isinstance(value, str) else str(value))


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )


@functools.cache
def asset(name: str) -> bytes:
    """The style sheet or the script of all pages."""
    return (_HERE / name).read_bytes()


@functools.cache
def _address(name: str) -> str:
    """How a page asks for an asset: by its content, so that no old one is kept by a browser."""
    return f"{name}?{hashlib.sha256(asset(name)).hexdigest()[:12]}"


@functools.cache
def code_fingerprint() -> str:
    """Changes with anything that pages are made by."""
    digest = hashlib.sha256()
    for path in sorted([*_HERE.iterdir(), *_HERE.parent.glob("*.py")]):
        if path.suffix in (".py", ".j2", ".css", ".js"):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def render(
    template: str, values: Mapping[str, object], *, root: str, fingerprint: str = "", refresh: int = 0
) -> bytes:
    """A page; `root` is the way from it to the index's directory: empty, `../` or `../../`.

    `refresh` is after how many seconds it loads itself anew (0: never).
    """
    made = (
        _environment()
        .get_template(template)
        .render(
            root=root,
            fingerprint=fingerprint,
            refresh=refresh,
            style=root + _address(STYLE),
            script=root + _address(SCRIPT),
            **values,
        )
    )
    return made.encode("utf-8")
