# SPDX-License-Identifier: GPL-2.0-or-later
"""One validator for every field that comes from outside: names become paths, arguments and pages.

Each takes whatever a message held, returns it as clean text, or raises InputError that names the field, shows
the value escaped and cut, and says what would be right. What passes here can stand as one path component
(`prefix`: some of them), can never be read as another option, and has no control characters.
A leaf: standard library only.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from pathlib import Path

from imgcore.credentials import masked
from imgcore.errors import InputError

__all__ = [
    "ARCHITECTURES",
    "IMAGE_TYPES",
    "arch",
    "extra_opts",
    "group",
    "image_id",
    "image_type",
    "inside",
    "name",
    "package",
    "prefix",
    "project",
    "repository_url",
    "shown",
    "string_list",
    "tag",
    "tokenmap",
    "user",
    "word",
]

ARCHITECTURES = (
    "x86_64", "i386", "i486", "i586", "i686", "armv7hl", "armv7tnhl", "armv7l", "armv6hl", "armv5tel", "armv8l",
    "aarch64", "riscv64", "ppc64le", "s390x", "mipsel",
)  # fmt: skip
IMAGE_TYPES = ("fs", "loop", "raw", "livecd", "liveusb")

_SHOWN = 60
_NAME_LENGTH = 100
_ID_LENGTH = 150
_PREFIX_PARTS = 5
_URL_LENGTH = 2000
_TOKEN_LENGTH = 2000

_COMPONENT = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+@-]*")
_COMPONENT_REMEDY = "use letters, digits and . _ + - @, beginning with a letter, a digit, _ or +"
_USER = re.compile(r"[\w+][\w .+@-]*")
_PACKAGE = re.compile(r"[A-Za-z0-9_*][A-Za-z0-9._+:~^*?-]*")
_GROUP = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9 ._+:-]*[A-Za-z0-9._+:-])?")
_PROJECT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:+-]*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._:+-]*")
_TOKEN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Quotes, backslash, angle brackets and space have no place in a URL (RFC 3986) and every place in an attack.
_URL = re.compile(r"""[!#-&(-;=?-\[\]_a-z{-~^]+""")
_HOST = re.compile(r"[A-Za-z0-9@\[]")
_OPTION_VALUE = re.compile(r"[A-Za-z0-9@._+][A-Za-z0-9@._+,:=~-]*")

_COMPRESSION = frozenset({"gz", "bz2", "xz", "zst"})
#: Options that take a value: what each may be (None: any clean value).
_VALUED: dict[str, frozenset[str] | None] = {
    "--pack-to": None,
    "--release": None,
    "--record-pkgs": frozenset({"name", "content", "license", "vcs"}),
    "--compress-image": _COMPRESSION,
    "--compress-disk-image": _COMPRESSION,
}
_FLAGS = ("--copy-kernel", "--generate-bmap", "--shrink")
#: Options that would take the job out of its place, with the reason that a person gets.
_REFUSED = {
    "-o": "where the image goes is decided by the service",
    "--outdir": "where the image goes is decided by the service",
    "--logfile": "the log is kept by the service",
    "-c": "the configuration is the service's",
    "--config": "the configuration is the service's",
    "-k": "the cache is the service's",
    "--cachedir": "the cache is the service's",
    "--cache": "the cache is the service's",
    "-A": "the architecture has a field of its own, arch",
    "--arch": "the architecture has a field of its own, arch",
    "--format": "the type has a field of its own, image_type",
    "-f": "the type has a field of its own, image_type",
    "--tokenmap": "tokens have a field of their own, tokenmap",
    "--local-pkgs-path": "packages come from repositories only",
    "--runtime": "where the tool runs is decided by the service",
    "--pkgmgr": "the package manager is chosen by the service",
    "-v": "the log is as verbose as the service needs it",
    "--verbose": "the log is as verbose as the service needs it",
    "-d": "the log is as verbose as the service needs it",
    "--debug": "the log is as verbose as the service needs it",
}


def shown(value: object) -> str:
    """`value` as an error may show it: one line, escaped, cut to 60 characters."""
    # Slices first: the text of a hostile value may be a hundred megabytes.
    if isinstance(value, str):
        value = masked(value[:_URL_LENGTH])
    text = repr(value[: _SHOWN + 1]) if isinstance(value, str | bytes) else repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _refuse(field: str, value: object, what: str, remedy: str = "") -> InputError:
    return InputError(f"field {field}: {shown(value)} is not {what}", remedy)


def _text(field: str, value: object, limit: int) -> str:
    if not isinstance(value, str):
        raise _refuse(field, value, "text")
    if not value:
        raise _refuse(field, value, "a value", f"{field} must not be empty")
    if len(value) > limit:
        raise InputError(
            f"field {field}: {shown(value)} is not short enough, it has {len(value)} characters",
            f"use at most {limit} characters",
        )
    return value


def _matching(field: str, value: object, limit: int, form: re.Pattern[str], what: str, remedy: str) -> str:
    text = _text(field, value, limit)
    if form.fullmatch(text) is None:
        raise _refuse(field, text, what, remedy)
    return text


def image_id(value: object) -> str:
    """The id of a job: one path component of up to 150 characters."""
    return _matching("image_id", value, _ID_LENGTH, _COMPONENT, "an image id", _COMPONENT_REMEDY)


def name(value: object) -> str:
    """The name of an image: one path component of up to 100 characters."""
    return _matching("name", value, _NAME_LENGTH, _COMPONENT, "an image name", _COMPONENT_REMEDY)


def prefix(value: object) -> str:
    """Where below base_dir an image goes: up to five path components joined by `/`."""
    text = _text("prefix", value, _PREFIX_PARTS * (_NAME_LENGTH + 1))
    parts = text.split("/")
    if len(parts) > _PREFIX_PARTS:
        raise _refuse("prefix", text, "a prefix", f"use at most {_PREFIX_PARTS} components")
    for part in parts:
        if len(part) > _NAME_LENGTH or _COMPONENT.fullmatch(part) is None:
            raise _refuse(
                "prefix", text, "a prefix", "use names joined by single slashes, for example requests or releases/1.0"
            )
    return text


def word(field: str, value: object) -> str:
    """A name that becomes nothing but text of a record: one path component of up to 100 characters."""
    return _matching(field, value, _NAME_LENGTH, _COMPONENT, f"a {field}", _COMPONENT_REMEDY)


def arch(value: object) -> str:
    """An architecture that packages are built for."""
    return _one_of("arch", value, ARCHITECTURES, "a known architecture")


def image_type(value: object) -> str:
    """A type of image."""
    return _one_of("image_type", value, IMAGE_TYPES, "a known image type")


def _one_of(field: str, value: object, known: Sequence[str], what: str) -> str:
    text = _text(field, value, _NAME_LENGTH)
    if text not in known:
        raise _refuse(field, text, what, f"choose one of {', '.join(known)}")
    return text


def user(value: object) -> str:
    """Who asks: a user name or a mail address."""
    return _matching(
        "user", value, _NAME_LENGTH, _USER, "a user name or mail address", "use letters, digits, spaces and . _ + - @"
    )


def package(value: object) -> str:
    """A package as `%packages` would have it: a name, a pattern, or name-version.arch."""
    return _matching(
        "packages", value, 200, _PACKAGE, "a package name",
        "use letters, digits and . _ + : ~ ^ * ? -, not beginning with -",
    )  # fmt: skip


def group(value: object) -> str:
    """A package group's id or name, without the `@`."""
    return _matching(
        "groups", value, _NAME_LENGTH, _GROUP, "the name of a package group",
        "use letters, digits, inner spaces and . _ + : -, without the @",
    )  # fmt: skip


def project(field: str, value: object) -> str:
    """A build service's project or repository, which becomes directories of a URL: `A:B_c`."""
    text = _matching(
        field, value, 200, _PROJECT, "a name of a build service", "use letters, digits and . _ : + -, for example A:B"
    )
    if any(part.strip(".") == "" for part in text.split(":")):
        raise _refuse(field, text, "a name of a build service", "between two colons there must be more than dots")
    return text


def tag(value: object) -> str:
    """A mark that people put on a job."""
    return _matching("tags", value, 50, _TAG, "a tag", "use letters, digits and . _ : + -, not beginning with -")


def tokenmap(value: object) -> dict[str, str]:
    """Tokens and what they become: `K:V,K:V` (a value may hold `:`), or a mapping. None and empty text: none."""
    pairs: list[tuple[object, object]] = []
    if value is None:
        return {}
    if isinstance(value, str):
        for piece in value.split(","):
            if not piece.strip():
                continue
            key, colon, content = piece.partition(":")
            if not colon:
                raise _refuse("tokenmap", piece, "a token with its value", "write KEY:VALUE,KEY:VALUE")
            pairs.append((key.strip(), content))
    elif isinstance(value, Mapping):
        pairs.extend(value.items())
    else:
        raise _refuse("tokenmap", value, "a map of tokens", "write KEY:VALUE,KEY:VALUE")
    return dict(_token(key, content) for key, content in pairs)


def _token(key: object, content: object) -> tuple[str, str]:
    if not isinstance(key, str) or len(key) > _NAME_LENGTH or _TOKEN_KEY.fullmatch(key) is None:
        raise _refuse("tokenmap", key, "a token's name", "use letters, digits and _, not beginning with a digit")
    if not isinstance(content, str) or len(content) > _TOKEN_LENGTH:
        raise _refuse(
            "tokenmap", content, f"a value of up to {_TOKEN_LENGTH} characters for token {key}", "give a shorter one"
        )
    if "," in content or not content.isprintable():
        raise _refuse(
            "tokenmap",
            content,
            f"a value for token {key}",
            "values cannot hold commas, line breaks or control characters",
        )
    return key, content


def extra_opts(value: object) -> tuple[str, ...]:
    """Further options for the tool, each one of a known list as `--option=value` or `--flag`.

    Takes a list, JSON text of one, or text with spaces between the options.
    """
    if isinstance(value, str) and not value.lstrip().startswith("["):
        words: tuple[str, ...] = tuple(value.split())
    else:
        words = string_list("extra_opts", value)
    return tuple(_option(word) for word in words)


def _option(word: str) -> str:
    key, equals, content = word.partition("=")
    reason = _REFUSED.get(key) or _REFUSED.get(word[:2] if not word.startswith("--") else "")
    if reason:
        raise InputError(f"field extra_opts: {shown(word)} is not allowed: {reason}", "leave it out")
    known = ", ".join([*_FLAGS, *(f"{each}=" for each in _VALUED)])
    if key in _FLAGS and not equals:
        return word
    if key not in _VALUED:
        raise _refuse("extra_opts", word, "an option that a job may give", f"possible: {known}")
    if not equals:
        raise _refuse("extra_opts", word, "an option with its value", f"write {key}=VALUE as one word")
    choices = _VALUED[key]
    if len(content) > _NAME_LENGTH or _OPTION_VALUE.fullmatch(content) is None or ".." in content:
        raise _refuse(
            "extra_opts", word, "an option with a value that can be used",
            "use letters, digits and @ . _ + , : = ~ -; no /, no .., not beginning with -",
        )  # fmt: skip
    if choices is not None and not choices.issuperset(content.split(",")):
        raise _refuse("extra_opts", word, f"a value of {key}", f"choose one of {', '.join(sorted(choices))}")
    return word


def repository_url(value: object) -> str:
    """Where packages are: an http, https, ftp or file URL."""
    text = _text("extra_repos", value, _URL_LENGTH)
    remedy = "for example https://download.example.org/repo or file:///srv/repo"
    scheme, separator, rest = text.partition("://")
    if scheme not in ("http", "https", "ftp", "file") or not separator:
        raise _refuse("extra_repos", text, "a repository URL (http, https, ftp or file)", remedy)
    if not rest or _URL.fullmatch(rest) is None:
        raise _refuse("extra_repos", text, "a URL without spaces, quotes and control characters", remedy)
    if scheme != "file":
        if _HOST.match(rest) is None:
            raise _refuse("extra_repos", text, "a URL with a host", remedy)
    elif not rest.startswith(("/", "@")) or ".." in urllib.parse.unquote(rest).split("/"):
        raise _refuse("extra_repos", text, "a file URL with an absolute path without ..", remedy)
    return text


def string_list(field: str, value: object, *, one_line: bool = True) -> tuple[str, ...]:
    """A list of one-line texts (or any texts), or JSON text of one. None and empty text: an empty list."""
    if value is None or value == "":
        return ()
    given = value
    if isinstance(value, str):
        try:
            given = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise _refuse(field, value, "a list", 'write a list, for example ["one", "two"]') from error
    if not isinstance(given, list | tuple):
        raise _refuse(field, value, "a list", 'write a list, for example ["one", "two"]')
    for each in given:
        if not isinstance(each, str) or not each or (one_line and not each.isprintable()):
            raise _refuse(field, each, "a text of one line", "every item must be printable text")
    return tuple(given)


def inside(root: Path, relative: str, field: str) -> Path:
    """The real path of `relative` below `root`; it cannot lead out of it, not through symbolic links either."""
    remedy = "give a path below it, without .."
    if not isinstance(relative, str) or not relative or "\0" in relative:
        raise _refuse(field, relative, "a path", remedy)
    asked = Path(relative)
    if asked.is_absolute() or ".." in asked.parts:
        raise _refuse(field, relative, f"a path inside {root}", remedy)
    try:
        real_root = root.resolve()
        real = (real_root / asked).resolve()
    except (OSError, RuntimeError) as error:
        raise _refuse(field, relative, "a path that can be followed", remedy) from error
    if not real.is_relative_to(real_root):
        raise _refuse(field, relative, f"a path inside {root}: a symbolic link leads out of it", remedy)
    return real
