# SPDX-License-Identifier: GPL-2.0-or-later
"""The configuration: read once from ini files, typed, every mistake named with its file, line and option.

`/etc/imager/imager.conf`, then `~/.config/imager/imager.conf`, then the file that $IMAGER_CONFIG names, then
the one of the command line; the last one wins. conf/imager.conf is the commented list of everything that can be set.
What a newer version may know, an option that is not known, is a warning; what cannot be used is an error.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from imgcore import inifile, names
from imgcore.amounts import UNITS
from imgcore.buildservice import BuildService
from imgcore.credentials import masked, names_secret
from imgcore.errors import InputError
from imgcore.inifile import Finding, Ini, nearest
from imgcore.names import shown
from imgcore.notify.settings import NotifySettings, WebhookSettings
from imgcore.vmsettings import VmSettings

__all__ = [
    "Config",
    "Reading",
    "Setting",
    "default_spool",
    "from_json",
    "load",
    "parse_duration",
    "parse_size",
    "read",
    "to_json",
]

_SIZE = re.compile(r"^([0-9]+(?:\.[0-9]+)?) ?([KMGT]?)(?:i?B)?$", re.IGNORECASE)
_DURATION = re.compile(rf"^([0-9]+(?:\.[0-9]+)?) ?([{''.join(UNITS)}]?)$", re.IGNORECASE)
_LOG = logging.getLogger("imager.config")
#: What was warned of; each once a process.
_warned: set[str] = set()


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
    vm: VmSettings = field(default_factory=lambda: VmSettings(bases=_data_home() / "bases"))
    notify: NotifySettings = field(default_factory=NotifySettings)
    #: Seconds that a build may take.
    timeout: float = 4 * 3600
    #: How many builds a worker runs at once; 0: as many as cores and memory allow.
    slots: int = 0
    #: Bytes of memory, and of disk where a build writes, below which a worker begins nothing.
    free_memory_bytes: int = 512 * 2**20
    free_disk_bytes: int = 2**30
    #: How often a build whose process died is begun again.
    restarts: int = 1
    #: The command of each tool but `builtin`.
    commands: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: MappingProxyType({"mic": ("mic",), "mic2": ("mic-image-creator",)})
    )
    #: Build services by their name, which messages call their namespace.
    build_services: Mapping[str, BuildService] = field(default_factory=lambda: MappingProxyType({}))


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
    return float(match[1]) * UNITS[match[2].lower() or "s"]


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


def _path_or_none(text: str) -> Path | None:
    return _path(text) if text else None


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError(f"{shown(text)} is not a whole number such as 8192")
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _directories(text: str) -> tuple[str, ...]:
    found = _words(text)
    wrong = [each for each in found if not each.startswith("/") or Path(each) == Path("/")]
    if wrong:
        raise ValueError(f"{shown(wrong[0])} is not an absolute path below /")
    return found


def _url(text: str) -> str:
    with contextlib.suppress(InputError):
        if not text or (names.repository_url(text).startswith(("https://", "http://")) and masked(text) == text):
            return text
    raise ValueError(f"{shown(text)} is not an http or https URL without a user")


def _repository(text: str) -> str:
    try:
        return names.repository_url(text)
    except InputError as error:
        raise ValueError(str(error).removeprefix("field extra_repos: ")) from error


def _command(text: str) -> tuple[str, ...]:
    words = tuple(shlex.split(text))
    if not words:
        raise ValueError("is empty; for example /usr/bin/mic")
    return words


def _base(text: str) -> str:
    try:
        return names.word("base", text) if text else ""
    except InputError as error:
        raise ValueError(f"{shown(text)} is not the name of a base image") from error


def _yes(text: str) -> bool:
    return _one_of("yes", "no")(text) == "yes"


def _lower_words(text: str) -> tuple[str, ...]:
    return _words(text.lower())


def _slots(text: str) -> int:
    return 0 if text == "auto" else _count(text)


_OPTIONS: dict[str, dict[str, Callable[[str], object]]] = {
    "imager": {
        "spool": _path,
        "base_dir": _path,
        "base_url": str,
        "cache": _path,
        "report": _path,
        "ksstore": _path_or_none,
        "executor": _one_of("auto", "direct", "sudo", "vm"),
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
    "vm": {
        "memory": parse_size,
        "cores": _slots,
        "network": _one_of("none", "repos", "open"),
        "accelerator": _one_of("auto", "kvm", "tcg"),
        "libvirt": str,
        "kernel": str,
        "base": _base,
        "bases": _path,
        "keep_on_failure": _yes,
        "share": _directories,
        "hide": _words,
    },
    "worker": {
        "slots": _slots,
        "free_memory": parse_size,
        "free_disk": parse_size,
        "restarts": _count,
    },
    "notify": {"pages": _url, "desktop": _yes, "hooks": _path, "hook_time": parse_duration},
    "mail": {
        "server": str,
        "security": _one_of("starttls", "tls", "none"),
        "user": str,
        "password_file": _path_or_none,
        "sender": str,
        "domains": _lower_words,
        "template": _path_or_none,
    },
}
#: Sections that have a name of their own behind their kind; the first option is mandatory.
_NAMED: dict[str, dict[str, Callable[[str], object]]] = {
    "tool": {"command": _command},
    "build_service": {"repositories": _repository, "api": _url, "credentials": _path_or_none},
    "webhook": {"url": _url, "secret_file": _path_or_none},
}
_PATHS = tuple(name for name, kind in _OPTIONS["imager"].items() if kind in (_path, _path_or_none))
_FIELDS = {
    "memory": "memory_bytes",
    "disk": "disk_bytes",
    "log": "log_bytes",
    "free_memory": "free_memory_bytes",
    "free_disk": "free_disk_bytes",
}


@dataclass(frozen=True)
class Setting:
    """One option that is in force. `origin`: `default`, `environment`, or `file`, with the file and its line."""

    section: str
    option: str
    value: object
    origin: str = "default"
    file: Path | None = None
    line: int = 0


@dataclass(frozen=True)
class Reading:
    """A configuration, the files that it was read from, and what they and the environment set."""

    config: Config
    files: tuple[Path, ...]
    set_by: Mapping[tuple[str, str], Setting]

    def settings(self) -> list[Setting]:
        """Every option with its value, in the order of conf/imager.conf."""
        fixed = [(section, option) for section, options in _OPTIONS.items() for option in options]
        named = [each for each in self.set_by if each not in fixed]
        return [self.set_by.get(each) or Setting(*each, _default(*each)) for each in (*fixed, *named)]


def _default(section: str, option: str) -> object:
    config = Config()
    parts = {"vm": config.vm, "notify": config.notify, "mail": config.notify.mail}
    return getattr(parts.get(section, config), _FIELDS.get(option, option))


def load(extra: Path | None = None, *, files: Sequence[Path] | None = None) -> Config:
    """The configuration. Raises InputError with file, line, section and option for whatever cannot be used.

    `extra` must exist, and so must the file that $IMAGER_CONFIG names, which is read before it; the standard files
    need not. $IMAGER_SPOOL overrides the files. What is not known is one warning of the logger imager.config.
    """
    warnings: list[Finding] = []

    def found(finding: Finding) -> None:
        if finding.serious:
            raise finding.error()
        warnings.append(finding)

    config = read(extra, files=files, found=found).config
    if warnings:
        more = f"; {len(warnings) - 1} more: see `img config check`" if len(warnings) > 1 else ""
        text = f"{warnings[0].error()}{more}"
        if text not in _warned:
            _warned.add(text)
            _LOG.warning("%s", f"warning: {text}")
    return config


def read(
    extra: Path | None = None, *, files: Sequence[Path] | None = None, found: Callable[[Finding], None]
) -> Reading:
    """As `load`, but everything that is wrong is told to `found`, and what cannot be used is left out."""
    named = os.environ.get("IMAGER_CONFIG", "")
    needed = [path for path in (Path(named) if named else None, extra) if path is not None]
    if files is None:
        files = (Path("/etc/imager/imager.conf"), _home() / ".config/imager/imager.conf")
    seen: list[Path] = []
    settings: dict[tuple[str, str], Setting] = {}
    for path in (*files, *needed):
        try:
            ini = inifile.read(path, needed=path in needed)
        except InputError as error:
            found(Finding(path, error.message, error.remedy, serious=True))
            continue
        if ini is not None:
            seen.append(path)
            for section in ini.sections:
                _read_section(ini, section, settings, found)
    if os.environ.get("IMAGER_SPOOL"):
        settings["imager", "spool"] = Setting("imager", "spool", default_spool(), "environment")
    reading = Reading(_made_of(settings), tuple(seen), settings)
    config, chosen = reading.config, settings.get(("imager", "tool"))
    if chosen is not None and chosen.file and config.tool != "builtin" and config.tool not in config.commands:
        message = f"[imager] tool: {shown(config.tool)} is not known"
        remedy = f"choose one of builtin, {', '.join(sorted(config.commands))}"
        found(Finding(chosen.file, message, remedy, True, chosen.line, "imager", "tool"))
    return reading


def _read_section(
    ini: Ini, section: str, settings: dict[tuple[str, str], Setting], found: Callable[[Finding], None]
) -> None:
    kind, _, name = section.partition(" ")
    known = _NAMED.get(kind, {}) if name.strip() else _OPTIONS.get(section, {})
    if not known:
        meant = nearest(kind, [*_OPTIONS, *_NAMED])
        remedy = f"write [{section} NAME]" if section in _NAMED else meant
        found(ini.finding(" is not known", remedy, section))
        return
    given = ini.sections[section]
    if name:
        # The last file that has it has all of it.
        for option in known:
            settings.pop((section, option), None)
        mandatory = next(iter(known))
        try:
            names.word(kind, name.strip())
            if not given.get(mandatory):
                raise ValueError(f"{mandatory} is mandatory")
        except (InputError, ValueError) as error:
            found(ini.finding(f": {error}", "correct or remove the section", section, serious=True))
            return
    for option, text in given.items():
        if option not in known:
            found(ini.finding(" is not known", nearest(option, list(known)), section, option))
            continue
        try:
            value = known[option](text)
        except ValueError as error:
            # Somebody may have written the secret itself where its file is named.
            why = str(error).replace(shown(text), "what is there") if names_secret(option) else str(error)
            found(ini.finding(f": {why}", "correct or remove the line", section, option, serious=True))
        else:
            line = ini.lines.get((section, option), 0)
            settings[section, option] = Setting(section, option, value, "file", ini.path, line)


def _made_of(settings: Mapping[tuple[str, str], Setting]) -> Config:
    """The configuration that settings make, with the defaults of all others."""
    parts: dict[str, dict[str, Any]] = {"": {}, "vm": {}, "notify": {}, "mail": {}}
    named: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in _NAMED}
    for (section, option), setting in settings.items():
        kind, _, name = section.partition(" ")
        if name:
            named[kind].setdefault(name.strip(), {})[option] = setting.value
        else:
            parts[section if section in parts else ""][_FIELDS.get(option, option)] = setting.value
    whole = {kind: {name: each for name, each in found.items() if next(iter(_NAMED[kind])) in each}
             for kind, found in named.items()}  # fmt: skip
    default = Config()
    return replace(
        default,
        vm=replace(default.vm, **parts["vm"]),
        notify=replace(
            default.notify,
            **parts["notify"],
            mail=replace(default.notify.mail, **parts["mail"]),
            webhooks=MappingProxyType({name: WebhookSettings(**each) for name, each in whole["webhook"].items()}),
        ),
        commands=MappingProxyType(
            {**default.commands, **{name: each["command"] for name, each in whole["tool"].items()}}
        ),
        build_services=MappingProxyType(
            {name: BuildService(name, **each) for name, each in whole["build_service"].items()}
        ),
        **parts[""],
    )


def to_json(config: Config) -> str:
    """The configuration as text for the process of a build; `from_json` reads it.

    Without what that has no use for: it asks no build service and tells nobody.
    """
    others = ("build_services", "notify")
    values = {each.name: getattr(config, each.name) for each in fields(config) if each.name not in others}
    return json.dumps({**values, "commands": dict(config.commands), "vm": asdict(config.vm)}, default=str)


def from_json(text: str) -> Config:
    """The configuration that `to_json` made the text of."""
    told = json.loads(text)
    paths = {name: Path(told[name]) for name in _PATHS if told[name] is not None}
    commands = {name: tuple(words) for name, words in told["commands"].items()}
    machine: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in told["vm"].items()
    }
    machine["bases"] = Path(machine["bases"])
    return Config(**{**told, **paths, "commands": MappingProxyType(commands), "vm": VmSettings(**machine)})
