# SPDX-License-Identifier: GPL-2.0-or-later
"""`python -m docs.reference`: writes tables of docs/configuration.md and docs/formats.md anew; a test compares them.

Which options there are, what their values are and their defaults is taken from the code, what they mean from the
comments of the files in conf/: an option that one of the two does not have is an error. The record's fields are those
of its schema.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from imgcore import config, job
from imgcore.cli.config.show import written
from SkyNET import configuration

__all__ = ["CONFIGURATION", "PAGES", "page"]

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATION = ROOT / "docs/configuration.md"

_SECTION = re.compile(r"#?\[([^\]]+)\]$")
_OPTION = re.compile(r"#?([a-z_0-9]+) =(.*)$")
_KINDS: dict[Callable[..., object], str] = {
    config._path: "absolute path",
    config._path_or_none: "absolute path",
    config._directories: "absolute paths, with blanks between",
    config._words: "words, with blanks between",
    config._lower_words: "words, with blanks between",
    config._command: "command line",
    config._count: "whole number",
    config._slots: "whole number, or `auto`",
    config._yes: "`yes` or `no`",
    config._url: "http or https URL",
    config._repository: "URL of repositories",
    config._base: "name",
    config.parse_size: "size in bytes, K, M, G or T",
    config.parse_duration: "time in s, m, h, d or w",
    str: "text",
}
_MANDATORY = "mandatory"
#: What is left to a participant's own file, or to its name.
_BESIDE = {
    ("boss", "amqp_pwd"): "mandatory, or `amqp_pwd_file`",
    ("boss", "amqp_pwd_file"): "",
    ("boss", "amqp_tls"): "no",
    ("skynet", "include_dir"): "",
    ("skynet", "service_dir"): "",
    ("participant", "queue"): "the name",
    ("participant", "regexp"): "the name",
    ("participant", "slots"): "as the participant says",
    ("participant", "journal"): "`/var/lib/skynet/NAME`",
}


@dataclass(frozen=True)
class Explained:
    """An option as a file in conf/ has it; `section` says first what the section is, if anything does."""

    value: str
    meaning: str
    of_section: str = ""


def explained(file: Path) -> dict[tuple[str, str], Explained]:
    """Every option of a file, with the comment that stands above it."""
    found: dict[tuple[str, str], Explained] = {}
    section = about = ""
    comment: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if header := _SECTION.match(line):
            section, about, comment = header[1], " ".join(comment), []
        elif option := _OPTION.match(line):
            found[section, option[1]] = Explained(option[2].strip(), " ".join(comment), about)
            comment = []
        elif line.startswith("# "):
            comment.append(line[2:])
        else:
            comment = []
    return found


def page(path: Path) -> str:
    """The whole page, with its tables as they are now."""
    begin, end = "<!-- made by: python -m docs.reference -->\n", "<!-- end -->"
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    made = "".join(f"{line}\n" for line in PAGES[path]())
    return f"{before}{begin}{made}{end}{rest.partition(end)[2]}"


def _configuration() -> Iterator[str]:
    yield from _imager()
    yield from _skynet()
    yield from _door()


def _record() -> Iterator[str]:
    schema = job.schema()
    mandatory = set(schema["required"])
    yield from ("| field | value | what it is |", "|---|---|---|")
    for name, field in schema["properties"].items():
        kind = field.get("type") or ("text" if "enum" in field or "$ref" in field else "")
        kinds = {"string": "text", "integer": "whole number", "boolean": "true or false", "array": "list"}
        said = _cell(field["description"]) + (" Always there." if name in mandatory else "")
        yield f"| `{name}` | {kinds.get(kind, kind)} | {said} |"


def _imager() -> Iterator[str]:
    yield from ("## imager.conf", "")
    told = explained(ROOT / "conf/imager.conf")
    for section, options in config._OPTIONS.items():
        yield from _head(section)
        for option, kind in options.items():
            default = written(option, config._default(section, option)).replace(str(Path.home()), "~")
            yield _row(option, _kind(kind), f"`{default}`" if default else "", told[section, option].meaning)
        yield ""
    for section, options in config._NAMED.items():
        example = next(name for name, _ in told if name.startswith(f"{section} "))
        about = told[example, next(iter(options))].of_section
        yield from (f"### [{section} NAME]", "", about, "", *_columns())
        for number, (option, kind) in enumerate(options.items()):
            it = told[example, option]
            yield _row(option, _kind(kind), "" if number else _MANDATORY, f"{it.meaning} Example: `{it.value}`")
        yield ""


def _skynet() -> Iterator[str]:
    yield from ("## skynet.conf, and a file for each participant", "")
    shared = explained(ROOT / "conf/skynet/skynet.conf")
    own = explained(ROOT / "conf/skynet/build_image.conf")
    defaults = _skynet_defaults()
    for section, options in configuration.OPTIONS.items():
        yield from (f"### [{section}]", "", "| option | default | meaning |", "|---|---|---|")
        for option in options:
            meaning = (own if section == "participant" else shared)[section, option].meaning
            if not meaning:
                raise ValueError(f"{option} is explained nowhere")
            yield f"| `{option}` | {defaults[section, option]} | {_cell(meaning)} |"
        if section == "participant":
            yield f"| `engine` | `yes` | {_cell(own['participant', 'engine'].meaning)} |"
        yield ""


def _skynet_defaults() -> dict[tuple[str, str], str]:
    """What SkyNET makes of files that have no more than they must."""
    with TemporaryDirectory() as place:
        code = Path(place, "x.py")
        code.touch()
        (Path(place) / "skynet.conf").write_text(
            "[boss]\namqp_host = h\namqp_user = u\namqp_pwd = p\namqp_vhost = v\n"
        )
        (Path(place) / "own.conf").write_text(f"[participant]\nname = x\ncode = {code}\njournal = /j\n")
        settings = configuration.load(Path(place) / "own.conf", Path(place))
    known: dict[tuple[str, str], str] = {
        ("boss", "amqp_heartbeat"): f"`{settings.broker.heartbeat}`",
        ("skynet", "log_level"): f"`{settings.log_level}`",
        ("skynet", "stop_timeout"): f"`{settings.stop_timeout:g}`",
        ("skynet", "message_limit"): f"`{settings.message_limit}`",
        ("participant", "priorities"): "`yes`" if settings.priorities else "`no`",
        ("boss", "amqp_tls"): "`yes`" if settings.broker.tls else "`no`",
        ("boss", "amqp_ca"): str(settings.broker.ca or ""),
        ("boss", "amqp_cert"): str(settings.broker.certificate or ""),
        ("boss", "amqp_key"): str(settings.broker.key or ""),
    }
    every = [(section, option) for section, options in configuration.OPTIONS.items() for option in options]
    return {each: known.get(each, _BESIDE.get(each, _MANDATORY)) for each in every}


def _door() -> Iterator[str]:
    yield from ("## sandbox.conf", "")
    told = explained(ROOT / "conf/sandbox.conf")
    yield from ("| section | option | value | default | meaning |", "|---|---|---|---|---|")
    meaning = told["roots", "cache"].meaning
    yield f"| `[roots]` | `cache`, `readable` | absolute paths, one a line | | {_cell(meaning)} |"
    disk = told["limits", "disk"]
    yield f"| `[limits]` | `disk` | bytes | `{disk.value}` | {_cell(disk.meaning)} |"
    yield f"| `[tools]` | a tool's name | command line | | {_cell(told['tools', 'mic'].meaning)} |"


def _head(section: str) -> tuple[str, ...]:
    return (f"### [{section}]", "", *_columns())


def _columns() -> tuple[str, str]:
    return "| option | value | default | meaning |", "|---|---|---|---|"


def _row(option: str, kind: str, default: str, meaning: str) -> str:
    if not meaning:
        raise ValueError(f"{option} is explained nowhere")
    return f"| `{option}` | {kind} | {default} | {_cell(meaning)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _kind(kind: Callable[..., object]) -> str:
    allowed = inspect.getclosurevars(kind).nonlocals.get("allowed") if inspect.isfunction(kind) else None
    return ", ".join(f"`{each}`" for each in allowed) if allowed else _KINDS[kind]


#: What makes each page's tables.
PAGES: dict[Path, Callable[[], Iterator[str]]] = {CONFIGURATION: _configuration, ROOT / "docs/formats.md": _record}

if __name__ == "__main__":
    for each in PAGES:
        each.write_text(page(each), encoding="utf-8")
