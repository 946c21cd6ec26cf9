"""`img build`: one kickstart, one image, here and now, by the participants' own handlers."""

from __future__ import annotations

import os
import platform
import pwd
import re
import signal
import stat
from pathlib import Path
from types import FrameType
from typing import Any

import click

from imgcore import kickstart, names
from imgcore.cli import options
from imgcore.cli.terminal import note, shown
from imgcore.config import Config, parse_duration
from imgcore.errors import ImagerError, InputError
from imgcore.job import Job, Status, to_json
from imgcore.spool import Spool
from participants import build_image, build_ks, request_image
from RuoteAMQP import Workitem

__all__ = ["command"]

_EXIT = {Status.DONE: 0, Status.CANCELLED: 130}
_MACHINES = {"AMD64": "x86_64", "arm64": "aarch64", "armv7l": "armv7hl"}


@click.command("build")
@click.argument("ks", metavar="KS", type=options.path)
@click.option(
    "--type",
    "image_type",
    type=options.text,
    help="fs, loop or raw  [default: as the kickstart's header says, or fs]",
)
@click.option("--arch", type=options.text, help="Architecture of the image  [default: of this machine]")
@click.option("--name", type=options.text, help="Name of the image  [default: the kickstart's base name]")
@click.option(
    "--tokenmap", default="", metavar="K:V,…", help="Values for @K@ in the kickstart and $K in its scripts."
)
@click.option("--outdir", type=options.path, help="Where images are put  [default: base_dir as configured]")
@options.spool
@click.option("--prefix", type=options.text, help="Directory below the output directory  [default: requests]")
@click.option("--executor", type=click.Choice(["auto", "direct", "sudo"]), help="Where the tool runs.")
@click.option("--tool", type=options.text, help="What makes the image: builtin, mic, mic2 or a configured one.")
@click.option("--extra-repo", multiple=True, metavar="URL", help="A repository more: URL, NAME=URL or a repo line.")
@click.option("--package", multiple=True, help="A package more.")
@click.option("--group", multiple=True, help="A package group more.")
@click.option(
    "--opt", "extra_opts", multiple=True, metavar="OPTION", help="An option of the tool, as --opt=--copy-kernel."
)
@click.option("--tag", multiple=True, help="A word to find the job by.")
@click.option(
    "--timeout",
    type=options.text,
    metavar="TIME",
    help="Give up after this long: 90s, 30m, 4h  [default: as configured]",
)
@click.option("-v", "--verbose", is_flag=True, help="Show the whole log.")
@click.option("-q", "--quiet", is_flag=True, help="Show nothing but errors.")
@options.configuration
@options.as_json
def command(ks: Path, json_wanted: bool, quiet: bool, verbose: bool, **given: Any) -> int:
    """Make an image from the kickstart KS.

    The image, its manifest, log and kickstart are put into OUTDIR/PREFIX/IMAGE_ID/, with a link
    OUTDIR/PREFIX/latest/NAME to the last good one; the record of the job goes to the spool.

    \b
    Exit codes: 0 the image is there, 1 the build failed, 2 bad input, 130 cancelled.
    """
    config = options.load(
        given["config_file"],
        spool=given["spool"],
        base_dir=given["outdir"],
        executor=given["executor"],
        tool=given["tool"],
    )
    workitem = Workitem({"fields": {"image": _image(ks, given)}})
    builder = build_image.ParticipantHandler()
    checker = build_ks.ParticipantHandler()
    recorder = request_image.ParticipantHandler()
    builder.config = checker.config = recorder.config = config
    checker.include_root = ks.parent
    built = workitem.dup()
    # All that can be refused is refused before the spool hears of the job.
    checker.handle_wi(built)
    asked, made = workitem.fields.image, built.fields.image
    builder.check(built)
    recorder.handle_wi(workitem)
    made.image_id, made.prefix = asked.image_id, asked.prefix
    with _Interrupts(builder), shown(quiet=quiet, verbose=verbose) as observer:
        builder.observer = observer
        builder.handle_wi(built)
    job = Spool(config.spool).read(workitem.fields.image.image_id)
    if json_wanted:
        click.echo(to_json(job).decode(), nl=False)
    elif not quiet:
        _tell(job, config)
    if job.status is Status.ERROR:
        raise ImagerError(f"{job.image_id}: {job.error}", job.error_remedy)
    return _EXIT.get(job.status, 1)


def _image(ks: Path, given: dict[str, Any]) -> dict[str, Any]:
    content = _content(ks)
    text = kickstart.decode(content, ks.name)
    if not text.strip():
        raise InputError(f"kickstart {ks} is empty", "docs/kickstart.md says what one looks like")
    header, machine = kickstart.header(text), platform.machine()
    return {
        "kickstart": text,
        "kickstart_name": ks.name,
        "name": given["name"] or _name(ks),
        "arch": given["arch"] or header.arch or _MACHINES.get(machine, machine),
        "image_type": given["image_type"] or header.image_type or "fs",
        "prefix": given["prefix"] or "requests",
        "tokenmap": given["tokenmap"],
        "extra_repos": list(given["extra_repo"]),
        "packages": list(given["package"]),
        "groups": list(given["group"]),
        "extra_opts": list(given["extra_opts"]),
        "tags": list(given["tag"]),
        "timeout": _seconds(given["timeout"]),
        "user": _user(),
        "source_date_epoch": _epoch(),
    }


def _content(ks: Path) -> bytes:
    """The kickstart's bytes; whatever is not a readable file of a sensible size is refused."""
    try:
        with ks.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISFIFO(status.st_mode):
                raise InputError(f"kickstart {ks} is not a file", "give the path of a kickstart")
            return file.read(kickstart.MOST_BYTES + 1)
    except IsADirectoryError as error:
        raise InputError(f"kickstart {ks} is a directory", "give a file in it") from error
    except FileNotFoundError as error:
        raise InputError(f"kickstart {ks} is not there", "check the path") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"kickstart {ks} cannot be read: {reason}", "check the path and its permissions") from error


def _name(ks: Path) -> str:
    try:
        return names.name(ks.stem)
    except InputError as error:
        raise InputError(
            f"the kickstart's name, {names.shown(ks.name)}, cannot be the image's too", "give one with --name"
        ) from error


def _seconds(timeout: str | None) -> float:
    if timeout is None:
        return 0.0
    try:
        seconds = parse_duration(timeout)
    except ValueError as error:
        raise InputError(f"option --timeout: {error}", "write, for example, --timeout 90m") from error
    if not seconds:
        raise InputError(f"option --timeout: {timeout} is no time to build in", "leave it out, or write 90m")
    return seconds


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _epoch() -> int:
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not text:
        return 0
    if not re.fullmatch("[0-9]{1,10}", text) or not 0 < int(text) < 2**32:
        raise InputError(
            f"SOURCE_DATE_EPOCH is {names.shown(text)}, not a number of seconds since 1970", "unset or correct it"
        )
    return int(text)


def _tell(job: Job, config: Config) -> None:
    if job.status is not Status.DONE:
        note(f"{job.status}: log in {Spool(config.spool).log(job.image_id)}")
        return
    for artifact in job.artifacts:
        click.echo(f"{artifact['size']:>12,}  {Path(job.directory, artifact['name'])}")
    seconds = job.resources.get("wall_seconds", 0.0)
    note(f"{job.image_id}: {job.package_count} packages, {seconds:.1f} s")


class _Interrupts:
    """Ctrl-C and SIGTERM cancel the build; a second one ends at once (the sandbox goes with this process)."""

    def __init__(self, builder: build_image.ParticipantHandler) -> None:
        self._builder = builder
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._cancel)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _cancel(self, number: int, frame: FrameType | None) -> None:
        if self._builder.stop.is_set():
            raise KeyboardInterrupt
        self._builder.stop.set()
