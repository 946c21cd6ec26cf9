# SPDX-License-Identifier: GPL-2.0-or-later
"""A boot loader's program in the EFI system partition's share of the tree, for the length of a `with`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from imgcore.creator.image.bootloader import Choice

__all__ = ["installed"]


@contextmanager
def installed(shares: Mapping[str, Path], choice: Choice | None, programs: Mapping[str, bytes]) -> Iterator[None]:
    """Put `programs` (content by path) into the share of the choice's ESP; take them out again afterwards.

    A program of a package in the same place gives way: it would look for a menu that only its own installer
    writes. It is back in the tree afterwards.
    """
    with ExitStack() as undo:
        if choice and choice.esp:
            for path, program in programs.items():
                _put(shares[choice.esp.mountpoint], path, program, undo)
        yield


def _put(share: Path, path: str, program: bytes, undo: ExitStack) -> None:
    *folders, name = path.split("/")
    here = share
    for folder in folders:
        # FAT sees no difference between EFI/Boot and EFI/BOOT.
        here = here / _present(here, folder)
        if not here.is_dir():
            here.mkdir()
            here.chmod(0o755)
            undo.callback(here.rmdir)
    target = here / _present(here, name)
    if target.exists():
        before, times = target.read_bytes(), target.stat()
        undo.callback(os.utime, target, ns=(times.st_atime_ns, times.st_mtime_ns))
        undo.callback(target.write_bytes, before)
    else:
        undo.callback(target.unlink)
    target.write_bytes(program)


def _present(folder: Path, name: str) -> str:
    there = sorted(each.name for each in folder.iterdir())
    return next((each for each in there if each.lower() == name.lower()), name)
