# SPDX-License-Identifier: GPL-2.0-or-later
"""mic, and its forerunner mic2 (mic-image-creator): command lines, and the proof that each leaves.

mic ends with 0 in many failures (unknown commands and image types, failing scripts). What proves an image is
its last line `Finished.` together with the files that the image type promises. Observed on mic 1.0.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from imgcore import kickstart
from imgcore.errors import BuildError, InputError
from imgcore.executor import Outcome
from imgcore.tool import Artifact, Order, Output, Package, Prepared, Result
from imgcore.tool.diagnosis import diagnose
from imgcore.tool.shown import Shown

__all__ = ["Mic", "Mic2"]

_IN, _OUT, _BUILD = "/run/imager/in", "/run/imager/out", "/run/imager/build"
#: Endings that mic packs; any other silently becomes an uncompressed tar in it, so it is refused here.
_PACKED = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".zip")
_MADE = {
    "loop": ("{name}.img",),
    "raw": ("{name}-*.raw",),
    "livecd": ("{name}.iso",),
    "liveusb": ("{name}.usbimg",),
}
_IGNORED = re.compile(
    r"^(?:Warning|Error)\b.*?(?:unknown command|no such option|unrecognized|ignored?)", re.IGNORECASE
)
_NEVR = re.compile(r"^(?P<name>\S+)-(?P<version>[^-\s]+)-(?P<release>[^-\s]+)\.(?P<arch>\w+)$")
#: A line of the list of packages; older ones have the name alone.
_LISTED = re.compile(
    r"^(?P<name>\S+)\.(?P<arch>\w+)\s+(?:(?P<epoch>\d+):)?(?P<version>[^-\s]+)-(?P<release>[^-\s]+)$"
)
_REPO = re.compile(r"^[ \t]*repo[ \t].*$", re.MULTILINE)
_URL = re.compile(r"https?://[^\s\"']+")
_FILE = re.compile(r"file:/[^\s\"']+")
_INSTALLED = re.compile(r"Installing: (\S+)")


class Mic:
    """The tool `mic`, or another one that is called in the same way."""

    def __init__(self, name: str = "mic") -> None:
        self.name = name

    def prepare(self, order: Order) -> Prepared:
        """See `Tool.prepare`."""
        pack_to = self._pack_to(order)
        arguments = [
            "create", order.image_type, f"{_IN}/{order.name}.ks", f"--arch={order.arch}", f"--outdir={_OUT}",
            # Two runs that share a cache directory can fail, so it is the job's own.
            f"--cachedir={_BUILD}/cache", "--record-pkgs=name", f"--logfile={_BUILD}/mic.log", "-v",
        ]  # fmt: skip
        if order.tokens:
            arguments.append("--tokenmap=" + ",".join(f"{key}:{value}" for key, value in order.tokens.items()))
        if order.image_type == "fs" and not pack_to:
            arguments.append(f"--pack-to={order.name}.tar.gz")
        return _prepared(order, arguments)

    def judge(self, order: Order, outcome: Outcome, output: Output) -> Result:
        """See `Tool.judge`."""
        last = next((line.strip() for line in reversed(output.tail) if line.strip()), "")
        if outcome.status or outcome.signal or not last.endswith("Finished."):
            raise diagnose(outcome, output.tail, self.name)
        return _result(order, output, self._pack_to(order), self.name)

    @staticmethod
    def _pack_to(order: Order) -> str:
        for option in order.extra_opts:
            if option.startswith("--pack-to="):
                name = option.removeprefix("--pack-to=").replace("@NAME@", order.name)
                if not name.endswith(_PACKED) or "/" in name:
                    raise InputError(
                        f"field extra_opts: --pack-to {name!r} is no archive that the tool makes",
                        f"a file name that ends with one of {' '.join(_PACKED)}",
                    )
                return name
        return ""


class Mic2:
    """The tool `mic2`: mic-image-creator, with its own option names and no last line to rely on."""

    name = "mic2"

    def prepare(self, order: Order) -> Prepared:
        """See `Tool.prepare`."""
        arguments = [
            f"--format={order.image_type}", f"--config={_IN}/{order.name}.ks", f"--arch={order.arch}",
            f"--outdir={_OUT}", f"--cache={_BUILD}/cache",
        ]  # fmt: skip
        if order.tokens:
            arguments.append("--tokenmap=" + ",".join(f"{key}:{value}" for key, value in order.tokens.items()))
        return _prepared(order, arguments)

    def judge(self, order: Order, outcome: Outcome, output: Output) -> Result:
        """See `Tool.judge`."""
        failed = any(line.lstrip().startswith("Error") for line in output.tail[-5:])
        if outcome.status or outcome.signal or failed:
            raise diagnose(outcome, output.tail, self.name)
        return _result(order, output, "", self.name)


def _prepared(order: Order, arguments: list[str]) -> Prepared:
    environment = {"SOURCE_DATE_EPOCH": str(order.source_date_epoch)} if order.source_date_epoch else {}
    shown = Shown()
    inputs = {f"{order.name}.ks": _with_own_repositories(order, shown)}
    as_built = kickstart.redact(order.kickstart.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return Prepared(
        (*arguments, *order.extra_opts), inputs, as_built, environment, tuple(shown.directories), _urls(order)
    )


def _with_own_repositories(order: Order, shown: Shown) -> bytes:
    """The kickstart with the repositories of this machine where the sandbox shows them: a machine has no others."""

    def inside(url: re.Match[str]) -> str:
        found = url[0]
        for key, value in order.tokens.items():
            found = found.replace(f"@{key}@", value)
        moved = shown.inside(found, whole=True)
        return url[0] if moved == found else moved

    text = order.kickstart.decode("utf-8", "surrogateescape")
    return _REPO.sub(lambda line: _FILE.sub(inside, line[0]), text).encode("utf-8", "surrogateescape")


def _urls(order: Order) -> tuple[str, ...]:
    """The URLs of the repo lines, for which nobody but mic knows for sure how it reads them."""
    text = order.kickstart.decode("utf-8", "surrogateescape")
    for key, value in order.tokens.items():
        text = text.replace(f"@{key}@", value)
    return tuple(dict.fromkeys(_URL.findall("\n".join(_REPO.findall(text)))))


def _result(order: Order, output: Output, pack_to: str, tool: str) -> Result:
    promised = (pack_to,) if pack_to else _MADE.get(order.image_type, (f"{order.name}.tar*", f"{order.name}.img"))
    patterns = tuple(each.format(name=_literal(order.name)) for each in promised)
    made = [name for name, size in output.files.items() if size and any(fnmatchcase(name, each) for each in patterns)]
    if not made:
        raise BuildError(
            f"{tool} said that it finished, but did not leave {' or '.join(promised).format(name=order.name)}",
            "see the log",
            "no-proof",
        )
    artifacts = tuple(Artifact(name, _kind(name, made, order.name)) for name in sorted(output.files))
    warnings = tuple(line.strip() for line in output.tail if _IGNORED.search(line))
    return Result(artifacts, tuple(_packages(order, output)), warnings)


def _literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _kind(name: str, made: list[str], image: str) -> str:
    if name in made:
        return "archive" if name.endswith(_PACKED) else "image"
    for start, kind in (
        (f"{image}-vmlinuz", "kernel"),
        (f"{image}-initrd", "initrd"),
        (f"{image}.packages", "packages"),
    ):
        if name.startswith(start):
            return kind
    return "file"


def _packages(order: Order, output: Output) -> Iterator[Package]:
    told: dict[str, re.Match[str]] = {}
    for line in output.tail:
        for word in _INSTALLED.findall(line):
            match = _NEVR.match(word)
            if match is not None:
                told[match["name"]] = match
    if f"{order.name}.packages" not in output.files:
        yield from (_package(told[name]) for name in sorted(told))
        return
    # What is told while it installs is cut to the width of a line, so the list has the last word.
    text = output.read(f"{order.name}.packages", 2**22).decode("utf-8", "replace")
    for line in sorted({line.strip() for line in text.splitlines() if line.strip()}):
        listed = _LISTED.match(line)
        if listed is not None:
            yield _package(listed)
        else:
            name = line.split()[0]
            yield _package(told[name]) if name in told else Package(name)


def _package(match: re.Match[str]) -> Package:
    found = match.groupdict()
    return Package(found["name"], found.get("epoch") or "", found["version"], found["release"], found["arch"])
