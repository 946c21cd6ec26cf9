"""The configuration: read once from ini files, typed, every mistake named with its file and option.

`/etc/imager/imager.conf`, then `~/.config/imager/imager.conf`, then the file that is named on the command
line; the last one wins. conf/imager.conf is the commented list of everything that can be set.
"""

from __future__ import annotations

import configparser
import difflib
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from imgcore.errors import InputError

__all__ = ["Config", "default_spool", "load", "parse_duration", "parse_size"]

_SIZE = re.compile(r"^(\d+(?:\.\d+)?) ?([KMGT]?)(?:i?B)?$", re.IGNORECASE)
_DURATION = re.compile(r"^(\d+(?:\.\d+)?) ?([smhd]?)$", re.IGNORECASE)


def _data_home() -> Path:
    given = os.environ.get("XDG_DATA_HOME", "")
    return Path(given if given.startswith("/") else Path.home() / ".local/share") / "imager"


def default_spool() -> Path:
    """Where jobs are recorded unless told otherwise: $IMAGER_SPOOL, or `imager/spool` in the user's data."""
    given = os.environ.get("IMAGER_SPOOL", "")
    return Path(given).absolute() if given else _data_home() / "spool"


@dataclass(frozen=True)
class Config:
    """Everything that can be set, with its default."""

    spool: Path = field(default_factory=default_spool)
    #: Where images are put: base_dir/PREFIX/IMAGE_ID/.
    base_dir: Path = field(default_factory=lambda: _data_home() / "images")
    #: The URL that base_dir is served at; empty: file:// URLs.
    base_url: str = ""
    cache: Path = field(default_factory=lambda: _data_home() / "cache")
    report: Path = field(default_factory=lambda: _data_home() / "report")
    #: Where `build_ks` looks for kickstarts that are named, not sent; None: nowhere.
    ksstore: Path | None = None
    executor: str = "auto"
    tool: str = "builtin"
    memory_bytes: int = 0
    processes: int = 8192
    disk_bytes: int = 32 * 2**30
    #: What the working files of a job are kept in: `memory`, or `disk` (needs root).
    scratch: str = "memory"
    log_bytes: int = 2**30
    #: Seconds that a build may take.
    timeout: float = 4 * 3600
    #: The command of each tool but `builtin`.
    commands: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({"mic": ("mic",), "mic2": ("mic-image-creator",)})
    )


def parse_size(text: str) -> int:
    """Bytes that a text such as `512M` or `1.5 GiB` means (powers of 1024). Raises ValueError."""
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size such as 512M or 8G")
    return int(float(match[1]) * 1024 ** " KMGT".index((match[2] or " ").upper()))


def parse_duration(text: str) -> float:
    """Seconds that a text such as `90`, `30m` or `4h` means. Raises ValueError."""
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 90s, 30m or 4h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2].lower()]


def _one_of(*allowed: str) -> Callable[[str], str]:
    def choice(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{text!r} is not one of {', '.join(allowed)}")
        return text

    return choice


def _path(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise ValueError(f"{text!r} is not an absolute path")
    return path


_OPTIONS: dict[str, dict[str, Callable[[str], object]]] = {
    "imager": {
        "spool": _path,
        "base_dir": _path,
        "base_url": str,
        "cache": _path,
        "report": _path,
        "ksstore": _path,
        "executor": _one_of("auto", "direct", "sudo"),
        "tool": str,
    },
    "limits": {
        "memory": parse_size,
        "processes": int,
        "disk": parse_size,
        "scratch": _one_of("memory", "disk"),
        "log": parse_size,
        "timeout": parse_duration,
    },
}
_FIELDS = {"memory": "memory_bytes", "disk": "disk_bytes", "log": "log_bytes"}


def load(extra: Path | None = None, *, files: Sequence[Path] | None = None) -> Config:
    """The configuration. Raises InputError with file, section and option for whatever cannot be used.

    `extra` must exist; the standard files need not. $IMAGER_SPOOL overrides the files.
    """
    if files is None:
        files = (Path("/etc/imager/imager.conf"), Path.home() / ".config/imager/imager.conf")
    config = Config()
    for path in [*(each for each in files if each.exists()), *([extra] if extra else [])]:
        config = _apply(config, path)
    if os.environ.get("IMAGER_SPOOL"):
        config = replace(config, spool=default_spool())
    if config.tool != "builtin" and config.tool not in config.commands:
        raise InputError(
            f"tool {config.tool!r} is not known", f"choose one of builtin, {', '.join(sorted(config.commands))}"
        )
    return config


def _apply(config: Config, path: Path) -> Config:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).replace("\n", " ")
        raise InputError(f"configuration {path} cannot be read: {reason}", "correct or remove the file") from error
    changes: dict[str, object] = {}
    commands = dict(config.commands)
    for section in parser.sections():
        if section.startswith("tool "):
            commands[section.removeprefix("tool ").strip()] = _command(path, section, parser[section])
            continue
        options = _OPTIONS.get(section)
        if options is None:
            raise InputError(f"{path}: section [{section}] is not known", _nearest(section, _OPTIONS))
        for option, text in parser[section].items():
            if option not in options:
                raise InputError(f"{path}: [{section}] {option} is not known", _nearest(option, options))
            try:
                changes[_FIELDS.get(option, option)] = options[option](text)
            except ValueError as error:
                raise InputError(f"{path}: [{section}] {option}: {error}") from error
    return replace(config, commands=MappingProxyType(commands), **changes)  # type: ignore[arg-type]


def _command(path: Path, section: str, options: Mapping[str, str]) -> tuple[str, ...]:
    unknown = sorted(set(options) - {"command"})
    if unknown or not options.get("command"):
        raise InputError(f"{path}: [{section}] has one option, command", "for example: command = /usr/bin/mic")
    try:
        return tuple(shlex.split(options["command"]))
    except ValueError as error:
        raise InputError(f"{path}: [{section}] command: {error}") from error


def _nearest(word: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
