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
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from imgcore.errors import InputError
from imgcore.names import shown

__all__ = ["Config", "default_spool", "load", "parse_duration", "parse_size"]

_SIZE = re.compile(r"^([0-9]+(?:\.[0-9]+)?) ?([KMGT]?)(?:i?B)?$", re.IGNORECASE)
_DURATION = re.compile(r"^([0-9]+(?:\.[0-9]+)?) ?([smhd]?)$", re.IGNORECASE)
#: Far more than a configuration has; whatever is larger is some other file.
_MOST_BYTES = 1 << 20


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise InputError("HOME is not set, and this user has no home directory", "set HOME") from error


def _data_home() -> Path:
    given = os.environ.get("XDG_DATA_HOME", "")
    return Path(given if given.startswith("/") else _home() / ".local/share") / "imager"


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
        raise ValueError(f"{shown(text)} is not a size such as 512M or 8G")
    return int(float(match[1]) * 1024 ** " KMGT".index((match[2] or " ").upper()))


def parse_duration(text: str) -> float:
    """Seconds that a text such as `90`, `30m` or `4h` means. Raises ValueError."""
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError(f"{shown(text)} is not a duration such as 90s, 30m or 4h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2].lower()]


def _one_of(*allowed: str) -> Callable[[str], str]:
    def choice(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{shown(text)} is not one of {', '.join(allowed)}")
        return text

    return choice


def _path(text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{shown(text)} begins with the home of a user that there is not") from error
    if not path.is_absolute():
        raise ValueError(f"{shown(text)} is not an absolute path")
    return path


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError(f"{shown(text)} is not a whole number such as 8192")
    return int(text)


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
        "processes": _count,
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
        files = (Path("/etc/imager/imager.conf"), _home() / ".config/imager/imager.conf")
    config = Config()
    for path in (*files, *([extra] if extra is not None else [])):
        text = _text(path, needed=path is extra)
        if text is not None:
            config = _apply(config, path, text)
    if os.environ.get("IMAGER_SPOOL"):
        config = replace(config, spool=default_spool())
    if config.tool != "builtin" and config.tool not in config.commands:
        raise InputError(
            f"tool {shown(config.tool)} is not known", f"choose one of builtin, {', '.join(sorted(config.commands))}"
        )
    return config


def _text(path: Path, *, needed: bool) -> str | None:
    """What the file holds; None where it is not there and need not be."""
    try:
        # Not blocking: the name could be a pipe that nobody writes to.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            kind = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(kind) and not stat.S_ISFIFO(kind):
                raise _unreadable(path, "it is not a file")
            os.set_blocking(file.fileno(), True)
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise _unreadable(path, f"it has more than {_MOST_BYTES >> 20} MiB")
        return content.decode("utf-8")
    except OSError as error:
        if not needed and isinstance(error, FileNotFoundError | NotADirectoryError):
            return None
        raise _unreadable(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, "it is not UTF-8 text") from error


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(f"configuration {path} cannot be read: {reason}", "correct or remove the file")


def _apply(config: Config, path: Path, content: str) -> Config:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(content, source=str(path))
    except configparser.Error as error:
        raise _unreadable(path, _reason(error)) from error
    changes: dict[str, object] = {}
    commands = dict(config.commands)
    for section in parser.sections():
        if section.startswith("tool "):
            commands[section.removeprefix("tool ").strip()] = _command(path, section, parser[section])
            continue
        options = _OPTIONS.get(section)
        if options is None:
            raise InputError(f"{path}: section [{shown(section)[1:-1]}] is not known", _nearest(section, _OPTIONS))
        for option, text in parser[section].items():
            if option not in options:
                raise InputError(f"{path}: [{section}] {shown(option)[1:-1]} is not known", _nearest(option, options))
            try:
                changes[_FIELDS.get(option, option)] = options[option](text)
            except ValueError as error:
                raise InputError(f"{path}: [{section}] {option}: {error}", "correct or remove the line") from error
    return replace(config, commands=MappingProxyType(commands), **changes)  # type: ignore[arg-type]


def _command(path: Path, section: str, options: Mapping[str, str]) -> tuple[str, ...]:
    unknown = sorted(set(options) - {"command"})
    if unknown or not options.get("command"):
        raise InputError(f"{path}: [{section}] has one option, command", "for example: command = /usr/bin/mic")
    try:
        return tuple(shlex.split(options["command"]))
    except ValueError as error:
        raise InputError(f"{path}: [{section}] command: {error}", "correct the line's quotes") from error


def _reason(error: configparser.Error) -> str:
    """What is wrong with the file's form, in one short sentence."""
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f"line {error.lineno}, {shown(error.line.strip())}, stands before the first [section]"
    if isinstance(error, configparser.ParsingError):
        number, line = error.errors[0]
        return f"line {number}, {line[:60]}, is neither a [section] nor an option"
    if isinstance(error, configparser.DuplicateOptionError):
        return f"line {error.lineno}: {shown(error.option)} is there already in [{error.section}]"
    if isinstance(error, configparser.DuplicateSectionError):
        return f"line {error.lineno}: [{error.section}] is there already"
    return " ".join(str(error).split())[:200]


def _nearest(word: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
