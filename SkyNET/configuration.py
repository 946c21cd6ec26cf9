# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads what configures a participant, in this order, the last one wins:

`skynet.conf`, every `*.conf` of its `include_dir` in alphabetic order, the participant's own file, `NAME.conf`.

The first and the last lie in the configuration directory (/etc/skynet), as do `skynet.env` and `NAME.env`, whose
variables are set before the participant's code is loaded. What is missing or wrong is one sentence that names
option, section and the files that were read.
"""

from __future__ import annotations

import configparser
import contextlib
import importlib.util
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from RuoteAMQP.connection import Broker, BrokerError

__all__ = ["DIRECTORY", "OPTIONS", "ConfigurationError", "Files", "Settings", "broker_of", "exposed", "load", "read"]

DIRECTORY = Path("/etc/skynet")
_PASSWORD = re.compile(r"^amqp_pwd\s*[=:]", re.MULTILINE)
#: What can be set; participants may have options and sections of their own.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "boss": (
        *("amqp_host", "amqp_user", "amqp_pwd", "amqp_pwd_file", "amqp_vhost"),
        *("amqp_tls", "amqp_ca", "amqp_cert", "amqp_key", "amqp_heartbeat"),
    ),
    "skynet": ("include_dir", "service_dir", "log_level", "stop_timeout", "message_limit"),
    "participant": ("name", "code", "queue", "regexp", "slots", "priorities", "journal"),
}
_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")


class ConfigurationError(ValueError):
    """Nothing can be started like this; the text is one sentence. Of an option: which, and `why` it is wrong."""

    def __init__(self, text: str, section: str = "", option: str = "", why: str = "") -> None:
        super().__init__(text)
        self.section, self.option, self.why = section, option, why


@dataclass
class Files:
    """The options, and which files they came from."""

    parser: configparser.ConfigParser
    seen: list[Path] = field(default_factory=list)
    absent: list[Path] = field(default_factory=list)

    def text(self, section: str, option: str, default: str | None = None) -> str:
        """An option. Raises ConfigurationError when it is missing and has no default."""
        # Passwords have percent signs.
        raw = option.startswith("amqp_")
        try:
            value = self.parser.get(section, option, raw=raw, fallback="").strip()
        except configparser.Error as error:
            raise self.wrong(section, option, " ".join(str(error).split())) from error
        if value:
            return value
        if default is None:
            text = f"option {option} of section [{section}] is missing ({self.told()})"
            raise ConfigurationError(text, section, option, "is missing")
        return default

    def number(self, section: str, option: str, default: float, low: float, high: float) -> float:
        """An option that is a number between two."""
        text = self.text(section, option, str(default))
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise self.wrong(section, option, f"{text!r} is no number from {low:g} to {high:g}")
        return number

    def wrong(self, section: str, option: str, why: str) -> ConfigurationError:
        """The error for an option that is there but cannot be used."""
        return ConfigurationError(
            f"option {option} of section [{section}]: {why} ({self.told()})", section, option, why
        )

    def told(self) -> str:
        """Which files were read, and which were not there."""
        told = "read: " + (", ".join(map(str, self.seen)) or "nothing")
        return told + (f"; not there: {', '.join(map(str, self.absent))}" if self.absent else "")

    def add(self, path: Path, *, needed: bool = False) -> None:
        """Read a file on top of what there is."""
        try:
            with path.open(encoding="utf-8") as lines:
                self.parser.read_file(lines, str(path))
        except (FileNotFoundError, NotADirectoryError):
            if needed:
                raise ConfigurationError(f"{path} is not there") from None
            self.absent.append(path)
        except configparser.Error as error:
            raise ConfigurationError(f"{path}: {' '.join(str(error).split())}") from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path} cannot be read: {error}") from error
        else:
            self.seen.append(path)


@dataclass(frozen=True)
class Settings:
    """What a participant's process needs to know."""

    name: str
    queue: str
    regexp: str
    code: Path
    broker: Broker
    log_level: str
    stop_timeout: float
    message_limit: int
    #: How many workitems at once; 0: as the handler says.
    slots: int
    #: Where what was accepted and what is to be sent is kept.
    journal: Path
    #: Whether the queue is ours alone and has priorities.
    priorities: bool
    parser: configparser.ConfigParser
    files: tuple[Path, ...]


def read(directory: Path = DIRECTORY, own: Sequence[Path] = ()) -> Files:
    """Read `skynet.conf`, its included files, and `own`, which must be there."""
    # Not strict: an option that stands twice was accepted always.
    files = Files(configparser.ConfigParser(strict=False))
    files.add(directory / "skynet.conf")
    include = files.text("skynet", "include_dir", "")
    if include:
        for path in sorted(Path(include).glob("*.conf")):
            files.add(path)
    for path in own:
        files.add(path, needed=True)
    return files


def load(own: Path, directory: Path = DIRECTORY, changes: Mapping[str, Mapping[str, str]] | None = None) -> Settings:
    """Everything for the participant whose file is `own`; sets the environment. Raises ConfigurationError.

    `changes` are sections with options that win over all files.
    """
    files = read(directory, [own])
    files.parser.read_dict(changes or {})
    name = files.text("participant", "name")
    if "/" in name or name.startswith("."):
        raise files.wrong("participant", "name", f"{name!r} cannot be a file's name")
    files.add(directory / f"{name}.conf")
    files.parser.read_dict(changes or {})
    for path in (directory / "skynet.env", directory / f"{name}.env"):
        os.environ.update(environment(path))
    level = files.text("skynet", "log_level", "INFO").upper()
    if level not in _LEVELS:
        raise files.wrong("skynet", "log_level", f"{level!r} is none of {', '.join(_LEVELS)}")
    return Settings(
        name=name,
        queue=files.text("participant", "queue", name),
        regexp=files.text("participant", "regexp", name),
        code=_code(files, own),
        broker=broker_of(files, client=name),
        log_level=level,
        stop_timeout=files.number("skynet", "stop_timeout", 30, 0, 86400),
        message_limit=int(files.number("skynet", "message_limit", 16 << 20, 1024, 128 << 20)),
        slots=int(files.number("participant", "slots", 0, 0, 10000)),
        journal=Path(files.text("participant", "journal", "") or _state(name)),
        priorities=_truth(files.text("participant", "priorities", "no")),
        parser=files.parser,
        files=tuple(files.seen),
    )


def exposed(settings: Settings) -> list[Path]:
    """The files with a password for the broker that everybody can read."""
    found = []
    for path in settings.files:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if path.stat().st_mode & stat.S_IROTH and _PASSWORD.search(path.read_text(encoding="utf-8")):
                found.append(path)
    return found


def _state(name: str) -> Path:
    """Where the state of a participant is, unless it is configured: systemd's directory, the system's, the user's."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given) / name
    if os.geteuid() == 0:
        return Path("/var/lib/skynet") / name
    own = os.environ.get("XDG_STATE_HOME", "")
    try:
        return (Path(own) if own.startswith("/") else Path.home() / ".local/state") / "skynet" / name
    except RuntimeError as error:
        raise ConfigurationError(
            "option journal of section [participant] is missing, and this user has no home"
        ) from error


def _truth(text: str) -> bool:
    return text.lower() in ("yes", "true", "on", "1")


def _code(files: Files, own: Path) -> Path:
    code = Path(files.text("participant", "code"))
    found = next((path for path in (code, own.parent / code, _module(code)) if path.is_file()), None)
    if found is None:
        raise files.wrong("participant", "code", f"{code} is not there")
    if found.suffix != ".py":
        raise files.wrong("participant", "code", f"{code} is no .py file")
    return found.absolute()


def _module(code: Path) -> Path:
    """Where a relative path lies among Python's modules, however these were installed."""
    try:
        spec = importlib.util.find_spec(".".join(code.with_suffix("").parts))
    except (ImportError, ValueError):
        spec = None
    return Path(spec.origin if spec and spec.origin else code)


def broker_of(files: Files, client: str = "skynet") -> Broker:
    """The broker of section [boss]."""
    host, user = files.text("boss", "amqp_host"), files.text("boss", "amqp_user")
    password_file = files.text("boss", "amqp_pwd_file", "")
    password = _secret(files, Path(password_file)) if password_file else files.text("boss", "amqp_pwd")

    def path(option: str) -> Path | None:
        text = files.text("boss", option, "")
        return Path(text) if text else None

    options = {
        "user": user,
        "password": password,
        "vhost": files.text("boss", "amqp_vhost"),
        "heartbeat": int(files.number("boss", "amqp_heartbeat", 30, 0, 3600)),
        "tls": _truth(files.text("boss", "amqp_tls", "no")),
        "ca": path("amqp_ca"),
        "certificate": path("amqp_cert"),
        "key": path("amqp_key"),
        "client": client,
    }
    try:
        broker = Broker.at(host, **options)
        broker.check()
    except ValueError as error:
        raise files.wrong("boss", "amqp_host", str(error)) from error
    except BrokerError as error:
        raise ConfigurationError(f"{error} ({files.told()})") from error
    return broker


def _secret(files: Files, path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as content:
            if os.fstat(content.fileno()).st_mode & stat.S_IRWXO:
                raise files.wrong("boss", "amqp_pwd_file", f"{path} is open to everybody; chmod o= {path}")
            return content.read().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise files.wrong("boss", "amqp_pwd_file", f"{path} cannot be read: {error}") from error


def environment(path: Path) -> dict[str, str]:
    """The variables of a file of NAME=VALUE lines; empty when it is not there."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text[0] in "#;":
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise ConfigurationError(f"{path}, line {number}: not of the form NAME=VALUE")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[name.strip()] = value
    return found
