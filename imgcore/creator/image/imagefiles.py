# SPDX-License-Identifier: GPL-2.0-or-later
"""The image files of a loop or raw build: sizes, disks, what goes into which file, all at a time.

A loop build has a file for each mount point, a raw build one for each disk, with a block map. Everything that
does not depend on something else runs in threads; the work itself is done by commands.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from dataclasses import dataclass
from pathlib import Path

from imgcore.creator.image import bmap, compress, content, disk, efi, filesystem, grub
from imgcore.creator.image.bootloader import Choice, early_configuration
from imgcore.creator.image.content import Amount
from imgcore.creator.plan import Partition, Plan
from imgcore.progress import Progress

__all__ = ["make"]

_MIB = 1 << 20
_Ranges = list[tuple[int, int]]
_Task = tuple[str, Callable[[], _Ranges]]
_NOTHING = Amount(0, 0)


def make(
    plan: Plan, tree: Path, scratch: Path, out: Path, choice: Choice | None, announce: Callable[[Progress], None]
) -> tuple[list[str], dict[str, str]]:
    """Make the images in `out`; return their names, the main one first, and their block maps by name."""
    mountpoints = [part.mountpoint for part in plan.partitions if part.mountpoint.startswith("/")]
    stage = scratch / "shares"
    stage.mkdir()
    with ThreadPoolExecutor(compress.threads()) as pool:
        cores = _start_cores(pool, plan, tree, scratch, choice)
        if any(path.startswith("/usr") for path in mountpoints):
            wait(cores.values())  # GRUB's modules are about to leave the tree
        with content.shared_out(tree, mountpoints, stage) as shares:
            amounts = {path: content.measure(share, plan.source_date_epoch) for path, share in shares.items()}
            programs = {
                grub.EFI_PROGRAMS[name]: core.result().image for name, core in cores.items() if name != "i386-pc"
            }
            with efi.installed(shares, choice, programs):
                if choice and choice.esp:
                    path = choice.esp.mountpoint
                    amounts[path] = content.measure(shares[path], plan.source_date_epoch)
                files = _Files(plan, scratch, out, shares, amounts)
                if plan.image_type == "loop":
                    _run(pool, list(files.loop()), announce)
                    return files.names, {}
                disks = files.disks()
                used = _run(pool, [task for each in disks for task in files.partitions(each)], announce)
        if choice and "i386-pc" in cores:
            _install_bios(files, disks, choice, cores["i386-pc"].result())
        return files.names, _maps(files, disks, used)


class _Files:
    """The image files and what is to be done to fill them; `names` grows as they are made."""

    def __init__(
        self, plan: Plan, scratch: Path, out: Path, shares: Mapping[str, Path], amounts: Mapping[str, Amount]
    ) -> None:
        self.names: list[str] = []
        self._plan = plan
        self._scratch = scratch
        self._out = out
        self._shares = shares
        self._amounts = amounts

    def loop(self) -> Iterator[_Task]:
        """What makes a loop build's files; the root's comes first in `names`."""
        for part in sorted(self._plan.partitions, key=lambda part: part.mountpoint):
            if part.mountpoint not in self._shares:
                continue  # swap has no place in it
            which = "" if part.mountpoint == "/" else part.mountpoint.replace("/", "-")
            size = self._size(part)
            file = self._empty(f"{self._plan.name}{which}.img", size)
            yield self._task(part, filesystem.Place(file, 0, size))

    def disks(self) -> list[disk.Disk]:
        """Lay out every disk and write its table into its file."""
        laid_out = []
        for name in dict.fromkeys(part.disk for part in self._plan.partitions):
            parts = [part for part in self._plan.partitions if part.disk == name]
            each = disk.lay_out(self._plan, name, parts, [self._size(part) for part in parts])
            disk.write(self._plan, each, self._empty(self.file(each).name, each.sectors * disk.SECTOR))
            laid_out.append(each)
        return laid_out

    def partitions(self, each: disk.Disk) -> Iterator[_Task]:
        """What fills the partitions of a disk."""
        for slot in each.slots:
            offset, size = slot.start * disk.SECTOR, slot.sectors * disk.SECTOR
            yield self._task(slot.part, filesystem.Place(self.file(each), offset, size))

    def file(self, each: disk.Disk) -> Path:
        """The image file of a disk."""
        return self._out / f"{self._plan.name}-{each.name}.raw"

    def _task(self, part: Partition, place: filesystem.Place) -> _Task:
        what = f"{part.mountpoint} ({filesystem.kind(part)}, {place.size // _MIB} MiB)"
        share = self._shares.get(part.mountpoint)
        amount = self._amounts.get(part.mountpoint, _NOTHING)
        folder = self._scratch / f"{place.file.name}@{place.offset}"
        folder.mkdir()
        return what, lambda: filesystem.make(self._plan, part, place, share, amount, folder)

    def _size(self, part: Partition) -> int:
        if part.size:
            return part.size * _MIB
        return filesystem.automatic_size(part, self._amounts.get(part.mountpoint, _NOTHING))

    def _empty(self, name: str, size: int) -> Path:
        file = self._out / name
        file.touch()
        os.truncate(file, size)
        self.names.append(name)
        return file


@dataclass(frozen=True)
class _Core:
    """GRUB for one platform; `record` is the MBR's code for the BIOS."""

    image: bytes
    record: bytes


def _start_cores(
    pool: ThreadPoolExecutor, plan: Plan, tree: Path, scratch: Path, choice: Choice | None
) -> dict[str, Future[_Core]]:
    if choice is None:
        return {}
    early = early_configuration(plan, choice)
    kind, table, epoch = filesystem.kind(choice.boot), plan.boot_loader.table, plan.source_date_epoch

    def make_core(platform: str) -> _Core:
        folder = grub.modules(tree, platform)
        record = (folder / "boot.img").read_bytes() if platform == "i386-pc" else b""
        return _Core(grub.core(folder, platform, table, kind, choice.prefix, early, scratch, epoch), record)

    return {platform: pool.submit(make_core, platform) for platform in choice.platforms}


def _run(pool: ThreadPoolExecutor, tasks: Sequence[_Task], announce: Callable[[Progress], None]) -> list[_Ranges]:
    """Run `tasks`, telling of each that is done; return their results in order."""
    announce(Progress("image", 0, len(tasks), ", ".join(what for what, _ in tasks)))
    running = {pool.submit(task): what for what, task in tasks}
    try:
        for done, future in enumerate(as_completed(running), 1):
            future.result()
            announce(Progress("image", done, len(tasks), running[future]))
    except BaseException:
        # What has begun must end before the tree is put together again.
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    return [future.result() for future in running]


def _install_bios(files: _Files, disks: Sequence[disk.Disk], choice: Choice, core: _Core) -> None:
    target = next(each for each in disks if each.name == choice.boot.disk)
    if choice.biosboot:
        slot = next(slot for slot in target.slots if slot.part is choice.biosboot)
        at, room = slot.start, slot.sectors
    else:
        at, room = 1, target.slots[0].start - 1
    grub.install_bios(files.file(target), core.image, core.record, at, room)


def _maps(files: _Files, disks: Sequence[disk.Disk], used: Sequence[_Ranges]) -> dict[str, str]:
    slots = [(each, slot.start * disk.SECTOR) for each in disks for slot in each.slots]
    maps = {}
    for each in disks:
        ranges = [
            (offset + start, offset + end)
            for (owner, offset), found in zip(slots, used, strict=True)
            if owner is each
            for start, end in found
        ]
        maps[files.file(each).name] = bmap.render(files.file(each), ranges)
    return maps
