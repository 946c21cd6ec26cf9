# SPDX-License-Identifier: GPL-2.0-or-later
"""A job as one file, to be looked at and built again elsewhere: a tar archive (ustar, gzip) of

    ID/job.json  ID/kickstart.ks  [ID/workitem.json]  [ID/events.jsonl]  [ID/build.log]

Reading one trusts nothing in it: only these names, plain files of a bounded size; the request is checked like any
that comes from outside. What the new record takes over is the request and what came of it; not where files are, who
built it, and by what requests and processes find it.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO

from imgcore import job as jobs
from imgcore import names, request
from imgcore.atomic import failed
from imgcore.errors import InputError, SpoolError
from imgcore.job import FINAL, Job
from imgcore.spool import Spool

__all__ = ["pack", "unpack"]

_MIB = 1 << 20
#: What an archive can hold, and how many bytes of it; in this order.
_LARGEST = {
    "job.json": 8 * _MIB, "kickstart.ks": 16 * _MIB, "workitem.json": 64 * _MIB, "events.jsonl": 64 * _MIB,
    "build.log": 4096 * _MIB,
}  # fmt: skip
_NEEDED = ("job.json", "kickstart.ks")
_KEPT = (
    "status", "tool", "executor", "requested_at", "started_at", "finished_at", "phase", "phases", "error",
    "error_cause", "error_remedy", "warnings", "artifacts", "package_count", "resources", "usage",
    "source_date_epoch",
)  # fmt: skip
_BLOCK = tarfile.BLOCKSIZE
_REMEDY = "give a file that `img export` made"


def pack(spool: Spool, image_id: str, target: BinaryIO) -> None:
    """Write an ended job to `target`. Raises InputError where it has not ended, SpoolError."""
    job = spool.read(image_id)
    if job.status not in FINAL:
        raise InputError(f"job {image_id} is {job.status}, it has not ended", "wait for its end, or cancel it")
    spool.kickstart(image_id)  # whose absence has an error of its own
    directory = spool.directory(image_id)
    with tarfile.open(fileobj=target, mode="w:gz", format=tarfile.USTAR_FORMAT) as archive:
        for name in _LARGEST:
            try:
                with (directory / name).open("rb") as file:
                    member = archive.gettarinfo(arcname=f"{image_id}/{name}", fileobj=file)
                    # Whose it is here means nothing there.
                    member.uid = member.gid = 0
                    member.uname = member.gname = ""
                    member.mode = 0o644
                    archive.addfile(member, file)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise failed(directory / name, error, "read or put into the archive") from error


def unpack(spool: Spool, source: BinaryIO, *, image_id: str = "", who: str = "") -> Job:
    """Record the job in an archive, as ended as it was; under another id, if one is given.

    Raises InputError, and then has recorded nothing; SpoolError.
    """
    with tempfile.TemporaryFile(dir=spool.root / "tmp") as log:
        contents = _contents(source, log)
        job, origin = _job(contents, image_id)
        made = spool.adopt(job, kickstart=contents["kickstart.ks"], reason=f"imported: {origin}", who=who)
        if log.tell():
            log.seek(0)
            path = spool.log(made.image_id)
            try:
                with path.open("xb") as file:
                    shutil.copyfileobj(log, file)
            except OSError as error:
                raise failed(path, error) from error
    return made


def _job(contents: dict[str, bytes], image_id: str) -> tuple[Job, str]:
    """The record to make, and the id that the archive has for it."""
    try:
        told = jobs.from_json(contents["job.json"])
    except ValueError as error:
        raise InputError(f"the archive's record is damaged: {error}", _REMEDY) from error
    if told.status not in FINAL:
        raise InputError(f"the archive's job is {told.status}", "only jobs that have ended can be imported")
    wanted = request.parse(request.image_fields(told, contents["kickstart.ks"]))
    kept = {name: getattr(told, name) for name in _KEPT}
    return dataclasses.replace(wanted.job(image_id or wanted.image_id), **kept), wanted.image_id


def _contents(source: BinaryIO, log: IO[bytes]) -> dict[str, bytes]:
    """The files of the archive by name; the log goes to `log`."""
    found: dict[str, bytes] = {}
    try:
        with gzip.open(source) as stream:
            for name, size in _members(stream, found):
                into = log if name == "build.log" else io.BytesIO()
                _copy(stream, into, size)
                found[name] = into.getvalue() if isinstance(into, io.BytesIO) else b""
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"it is no archive of a job: {error}", _REMEDY) from error
    missing = [name for name in _NEEDED if name not in found]
    if missing:
        raise InputError(f"the archive has no {missing[0]}", _REMEDY)
    return found


def _members(stream: gzip.GzipFile, found: dict[str, bytes]) -> Iterator[tuple[str, int]]:
    """Name and size of each file, whose content is to be read before the next. Raises InputError."""
    top = ""
    while any(block := stream.read(_BLOCK)):
        # Header by header: what a reader of all kinds of tar does with long names and holes has no bounds.
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeError) as error:
            raise InputError(f"it is no archive of a job: {error}", _REMEDY) from error
        directory, _, name = member.name.rpartition("/")
        top = top or directory
        if member.type != tarfile.REGTYPE or name not in _LARGEST or directory != top or name in found:
            raise InputError(f"the archive holds {names.shown(member.name)}, which no export has", _REMEDY)
        if not 0 <= member.size <= _LARGEST[name]:
            raise InputError(f"{name} in the archive has {member.size} bytes", f"at most {_LARGEST[name]} are read")
        yield name, member.size
        stream.read(-member.size % _BLOCK)


def _copy(stream: gzip.GzipFile, into: IO[bytes], size: int) -> None:
    while size:
        piece = stream.read(min(size, _MIB))
        if not piece:
            raise EOFError("it is cut off")
        try:
            into.write(piece)
        except OSError as error:
            raise SpoolError(f"the log cannot be written: {error.strerror}", "free space in the spool") from error
        size -= len(piece)
