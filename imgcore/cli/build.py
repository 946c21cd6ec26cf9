# SPDX-License-Identifier: GPL-2.0-or-later
"""`img build`: one kickstart, one image, here and now, by the participants' own handlers."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import click

from imgcore.cli import image, options
from imgcore.cli.terminal import note, shown
from imgcore.config import Config
from imgcore.errors import ImagerError, InputError
from imgcore.job import Job, Status, to_json
from imgcore.notify import ended
from imgcore.spool import Spool
from participants import build_image

__all__ = ["command"]

_EXIT = {Status.DONE: 0, Status.CANCELLED: 130}


@click.command("build")
@click.argument("ks", metavar="KS", type=options.path)
@image.request
@click.option("--outdir", type=options.path, help="Where images are put  [default: base_dir as configured]")
@options.spool
@click.option("--executor", type=click.Choice(["auto", "direct", "sudo", "vm"]), help="Where the tool runs.")
@click.option(
    "--vm-base", type=options.text, metavar="NAME", help="In a virtual machine of this base image (`img vm list`)."
)
@click.option(
    "--keep-vm-on-failure", is_flag=True, help="Keep a virtual machine whose build failed, for `img vm shell JOB`."
)
@click.option("--tool", type=options.text, help="What makes the image: builtin, mic, mic2 or a configured one.")
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
        executor=given["executor"] or ("vm" if given["vm_base"] else None),
        tool=given["tool"],
    )
    config = _on_base(config, given["vm_base"])
    if given["keep_vm_on_failure"]:
        if config.executor != "vm":
            raise InputError("--keep-vm-on-failure is for the executor vm", "add --executor vm")
        config = dataclasses.replace(config, vm=dataclasses.replace(config.vm, keep_on_failure=True))
    builder = build_image.ParticipantHandler()
    builder.config = config
    # All that can be refused is refused before the spool hears of the job.
    asked = image.asked_for(config, ks, given)
    made = image.augmented(config, asked)
    builder.check(made)
    _expect(config, given["email"])
    image_id = image.recorded(config, asked, made)
    with _Interrupts(builder), shown(quiet=quiet, verbose=verbose) as observer:
        builder.observer = observer
        builder.handle_wi(made)
    job = Spool(config.spool).read(image_id)
    _notify(job, config, given["config_file"])
    if json_wanted:
        click.echo(to_json(job).decode(), nl=False)
    elif not quiet:
        _tell(job, config)
    if job.status is Status.ERROR:
        raise ImagerError(f"{job.image_id}: {job.error}", job.error_remedy)
    return _EXIT.get(job.status, 1)


def _on_base(config: Config, name: str | None) -> Config:
    """The configuration with that base image, if it is there and can be used. Raises InputError, SpoolError."""
    if name:
        if config.executor != "vm":
            raise InputError(f"--vm-base is for the executor vm, not {config.executor}", "leave out --executor")
        config = dataclasses.replace(config, vm=dataclasses.replace(config.vm, base=name))
    if config.executor == "vm" and config.vm.base:
        from imgcore.executor.vm import bases

        bases.read(config.vm.bases, config.vm.base)
    return config


def _tell(job: Job, config: Config) -> None:
    if job.status is not Status.DONE:
        note(f"{job.status}: log in {Spool(config.spool).log(job.image_id)}")
        return
    for artifact in job.artifacts:
        click.echo(f"{artifact['size']:>12,}  {Path(job.directory, artifact['name'])}")
    seconds = job.resources.get("wall_seconds", 0.0)
    note(f"{job.image_id}: {job.package_count} packages, {seconds:.1f} s")


def _expect(config: Config, emails: Sequence[str]) -> None:
    """Have the end of the job noted if anybody is to be told of it. Raises InputError, SpoolError."""
    # Only now, as with `_notify`: not for `--help`.
    from imgcore.notify.channels import channels

    if any(each.whom({"emails": emails}) for each in channels(config.notify)):
        ended.begin(config.spool)


def _notify(job: Job, config: Config, config_file: Path | None) -> None:
    """Have those told who want to be; whatever becomes of that is nothing to this build."""
    from imgcore.notify import background, desktop

    if config.notify.desktop:
        desktop.tell(job)
    if ended.wanted(config.spool):
        try:
            background.start(config.spool, config_file)
        except ImagerError as error:
            note(f"note: {error}")


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
