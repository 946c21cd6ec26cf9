# SPDX-License-Identifier: GPL-2.0-or-later
"""A spool with a job in every state, for tests of the report: made through the spool itself, times fixed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from imgcore import errors, progress
from imgcore.job import Job, Status
from imgcore.progress import Progress
from imgcore.spool import Spool

__all__ = [
    "CAUSES",
    "HOSTILE",
    "KICKSTART",
    "NOW",
    "every_state",
    "failed",
    "finished",
    "make",
    "nightly",
    "running",
    "wide",
]

NOW = datetime(2025, 11, 24, 12, 0, 0, tzinfo=UTC)

KICKSTART = b"""# A small device image.
lang en_US.UTF-8
timezone --utc Europe/Helsinki
rootpw --plaintext letmein
user --name=guest --password=hush
part / --size=500 --ondisk=sda --fstype=ext4
bootloader --timeout=0 --append="console=ttyS0"
repo --name=base --baseurl=http://builder:tops3cret@repo.example.org/@RELEASE@/base

%packages
@core
busybox
%end

%post --erroronfail
echo built > /etc/motd
%end
"""

#: Payloads that a field may carry; what of them would be live on a page starts with `<` or breaks out of quotes.
HOSTILE = (
    "<script>document.title='owned'</script>",
    '"><img src=x onerror="document.title=\'owned\'">',
    "' onmouseover='document.title=1' x='",
    "</pre></span></bdi><h1>owned</h1>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:document.title='owned'",
    "&lt;b&gt; &amp; &#60;",
    "\u202egnp.exe\u2066 שלום עולם",
    "\x1b[31mred\x07\x00\x9b",
    "n" * 300,
    "\udcff half",
    "<!-- <style>*{display:none}</style> ]]>",
)

#: Every kind of failure (docs/formats.md), with a sentence, what to do and what the log says last.
CAUSES = {
    "repository-unreachable": (
        "repository base cannot be reached: no route to host",
        "check its URL",
        "Curl error 7",
    ),
    "repository-invalid": ("repository base has no repodata/repomd.xml", "check its URL", "404 for repomd.xml"),
    "package-missing": ("package vim is in none of the repositories", "correct its name", "No match for vim"),
    "group-missing": ("group core is in none of the repositories", "correct its name", "no group core"),
    "dependency-conflict": ("a conflicts with b", "leave out one of them", "Problem: a conflicts with b"),
    "signature": ("package a has no good signature", "import its key", "error: a: key ID 7 is not known"),
    "script-failed": ("%post ended with 3", "correct the script", "+ false"),
    "scriptlet-failed": ("the scriptlet of a failed", "see the package", "error: %post(a) scriptlet failed"),
    "disk-full": ("there was no space left", "raise [limits] disk", "cp: No space left on device"),
    "image-too-small": ("the packages do not fit into /", "raise part / --size", "error: / is full"),
    "out-of-memory": ("it needed more than 1.0 GiB of memory", "raise [limits] memory", "Cannot allocate memory"),
    "too-many-processes": ("it had more than 512 processes", "raise [limits] processes", "fork: retry"),
    "time-out": ("the build took longer than 600 s", "raise --timeout", "still at it"),
    "killed": ("signal 9 ended the tool", "see the kernel's log", "Killed"),
    "tool-missing": ("mic is not there", "install it", "mic: command not found"),
    "unsupported": ("btrfs is not supported", "take ext4", "unknown file system"),
    "boot-loader": ("the boot loader cannot be put in", "see the log", "error: no kernel"),
    "no-proof": ("the tool ended well, and there is no image", "see the log", "bye"),
    "sandbox": ("this machine does not allow user namespaces", "`make door`", "unshare: Operation not permitted"),
    "internal": ("it went wrong in a way that nobody thought of", "report it", "AssertionError"),
}


def make(spool: Spool, image_id: str, *, kickstart: bytes = KICKSTART, **fields: Any) -> Job:
    """A job IN QUEUE."""
    values: dict[str, Any] = {
        "name": image_id.split("-2025")[0],
        "arch": "x86_64",
        "image_type": "raw",
        "requested_at": "2025-11-24T11:00:00.000000Z",
        "user": "maija",
        "tool": "builtin",
        "executor": "direct",
    }
    reason = fields.pop("reason", "img build")
    return spool.create(Job(image_id=image_id, **{**values, **fields}), kickstart=kickstart, reason=reason)


def write_log(spool: Spool, image_id: str, lines: list[str]) -> None:
    """The log, each line with the time that the worker puts before it."""
    stamped = [
        f"2025-11-24T11:{index // 60 % 60:02}:{index % 60:02}.120Z {line}\n" for index, line in enumerate(lines)
    ]
    spool.log(image_id).write_text("".join(stamped), encoding="utf-8")


_PHASES = [
    ("repositories", 1.41), ("resolve", 0.62), ("download", 12.73), ("install", 48.9), ("configure", 0.3),
    ("scripts", 2.2), ("image", 21.04), ("compress", 9.5), ("deliver", 1.1),
]  # fmt: skip


def build_log(packages: int = 14) -> list[str]:
    """What the built-in creator would say."""
    lines = [progress.render(Progress("repositories", 0, 1, "base")), "base: 1,204 packages"]
    lines.append(progress.render(Progress("install", 0, packages)))
    for number in range(1, packages + 1):
        lines.append(progress.render(Progress("install", number, packages, f"package-{number}-1.0-1.x86_64")))
        lines.append(f"  Running scriptlet: package-{number}-1.0-1.x86_64")
    lines.append("warning: /etc/passwd created as /etc/passwd.rpmnew")
    lines.append(progress.render(Progress("image", 0, 1, "device.raw")))
    return lines


def finished(spool: Spool, image_id: str, files: Path, **fields: Any) -> Job:
    """A job that is DONE, with published files and a manifest."""
    changes = {
        key: fields.pop(key)
        for key in list(fields)
        if key in ("started_at", "finished_at", "warnings", "artifacts", "usage", "files_url")
    }
    job = make(spool, image_id, **fields)
    place = files / job.prefix / image_id
    place.mkdir(parents=True, exist_ok=True)
    packages = [
        {"name": f"package-{number}", "epoch": "1" if number == 3 else "0", "version": f"1.{number}", "release": "1",
         "arch": "x86_64", "repository": "base"}
        for number in range(1, 48)
    ]  # fmt: skip
    (place / f"{job.name}.manifest.json").write_text(json.dumps({"packages": packages}))
    url = place.as_uri()
    write_log(spool, image_id, build_log())
    with spool.start(image_id, "worker-1") as claim:
        claim.finish(
            Status.DONE,
            "image made",
            **{
                "started_at": "2025-11-24T11:00:04.000000Z",
                "finished_at": "2025-11-24T11:01:42.400000Z",
                "phases": tuple({"phase": name, "seconds": seconds} for name, seconds in _PHASES),
                "files_url": f"{url}/",
                "image_url": f"{url}/{job.name}-sda.raw",
                "logfile_url": f"{url}/{job.name}.log",
                "directory": str(place),
                "package_count": len(packages),
                "source_date_epoch": 1763978400,
                "artifacts": (
                    {"name": f"{job.name}-sda.raw", "kind": "image", "size": 1288490188, "sha256": "ab" * 32},
                    {"name": f"{job.name}-sda.raw.bmap", "kind": "bmap", "size": 4321, "sha256": "cd" * 32},
                    {"name": f"{job.name}.packages", "kind": "packages", "size": 977, "sha256": "ef" * 32},
                ),
                "resources": {
                    "cpu_seconds": 71.2, "wall_seconds": 97.8, "peak_memory_bytes": 412 * 2**20,
                    "peak_disk_bytes": 3 * 2**30, "peak_processes": 23,
                },
                **changes,
            },
        )  # fmt: skip
    return spool.read(image_id)


@contextmanager
def running(spool: Spool, image_id: str, **fields: Any) -> Iterator[Job]:
    """A job that is BUILDING as long as the block lasts."""
    make(spool, image_id, **fields)
    write_log(spool, image_id, build_log()[:24])
    with spool.start(image_id, "worker-2") as claim:
        claim.update(
            started_at="2025-11-24T11:58:50.000000Z",
            phase="install",
            progress=0.62,
            progress_detail="package-9-1.0-1.x86_64 (9 of 14)",
            phases=({"phase": "repositories", "seconds": 1.4}, {"phase": "download", "seconds": 22.5}),
        )
        try:
            yield claim.job
        finally:
            claim.finish(Status.CANCELLED, "end of the test")


def failed(
    spool: Spool, image_id: str, lines: list[str], *, error: str, cause: str, remedy: str, **fields: Any
) -> Job:
    """A job that ended in ERROR, with this log."""
    started = fields.pop("started_at", "2025-11-24T10:30:00.000000Z")
    ended = fields.pop("finished_at", "2025-11-24T10:30:09.730000Z")
    make(spool, image_id, **fields)
    write_log(spool, image_id, lines)
    with spool.start(image_id, "worker-1") as claim:
        claim.finish(
            Status.ERROR,
            error,
            started_at=started,
            finished_at=ended,
            error=error,
            error_cause=cause,
            error_remedy=remedy,
            phases=({"phase": "repositories", "seconds": 1.4}, {"phase": "resolve", "seconds": 8.0}),
            resources={"cpu_seconds": 7.1, "wall_seconds": 9.7, "peak_memory_bytes": 91 * 2**20, "peak_processes": 5},
        )
    return spool.read(image_id)


def wide(spool: Spool, files: Path) -> None:
    """Jobs that have much: every kind of failure, a hundred artifacts, colours, a log of five million lines."""
    for cause, (error, remedy, said) in CAUSES.items():
        failed(spool, f"{cause}-1", [*build_log()[:4], said, "sandbox ends"], error=error, cause=cause, remedy=remedy)
    artifacts = [
        {"name": f"part-{number}.img", "kind": "image", "size": 2**20 * number, "sha256": "ab" * 32}
        for number in range(100)
    ]
    usage = {
        "seconds": [float(number) for number in range(40)], "cpu_seconds": [1.3 * number for number in range(40)],
        "memory_bytes": [2**20 * (number % 17) for number in range(40)], "disk_bytes": [2**24 * n for n in range(40)],
    }  # fmt: skip
    finished(spool, "coloured-1", files, artifacts=artifacts, usage=usage, user="שלום עולם", tags=("مرحبا",))
    looks = [
        "0",
        *map(str, range(31, 38)),
        *map(str, range(90, 98)),
        "1",
        "4",
        "7",
        "41",
        "38;5;208",
        "38;2;9;200;90",
    ]
    lines = [f"coloured line \x1b[{looks[number % len(looks)]}m{number}\x1b[0m" for number in range(1, 2001)]
    write_log(spool, "coloured-1", lines)
    failed(spool, "long-1", [], error="no vim", cause="package-missing", remedy="add it")
    with spool.log("long-1").open("wb") as file:
        for number in range(500):
            file.write(b"".join(b"\x1b[32mline\x1b[0m %d of many\n" % (number * 10_000 + at) for at in range(10_000)))
        file.write(b"error: no vim\n")


def nightly(spool: Spool, files: Path) -> None:
    """Two weeks of one image, as a farm builds it, with what each build used over time; one of them failed."""
    for day in range(10, 24):
        image_id, took = f"device-202511{day}-230000", 80 + 7 * day % 23
        times = {
            "requested_at": f"2025-11-{day}T23:00:00.000000Z",
            "started_at": f"2025-11-{day}T23:00:04.000000Z",
            "finished_at": f"2025-11-{day}T23:01:{took - 60:02}.400000Z",
        }
        if day == 18:
            error, remedy, said = CAUSES["script-failed"]
            failed(spool, image_id, [*build_log(), said], error=error, cause="script-failed", remedy=remedy,
                   tags=("nightly",), **times)  # fmt: skip
            continue
        moments = range(took - 4)
        usage = {
            "seconds": [float(moment) for moment in moments],
            "cpu_seconds": [1.1 * moment + moment % 7 / 9 for moment in moments],
            "memory_bytes": [2**20 * (90 + min(3 * moment, 200) + 7 * moment % 40) for moment in moments],
            "disk_bytes": [2**25 * min(moment, 64) for moment in moments],
        }
        place = f"https://images.example.org/{image_id}/"
        finished(spool, image_id, files, usage=usage, tags=("nightly",), files_url=place, **times)


@contextmanager
def every_state(spool: Spool, files: Path) -> Iterator[None]:
    """Jobs running, queued, failed, done, tested, cancelled, damaged; in the block the running one runs."""
    finished(spool, "device-20251124-110000", files, tokenmap={"RELEASE": "5.1", "DB_PASSWORD": "s3same"},
             extra_repos=("http://repo.example.org/extra/", "http://ann:tops3cret@repo.example.org/private/"),
             packages=("strace",), groups=("tools",), extra_opts=("--generate-bmap",), tags=("nightly", "5.1"),
             warnings=("group core is in none of the repositories",), timeout=3600.0)  # fmt: skip
    finished(spool, "tv-20251123-090000", files, image_type="fs", started_at="2025-11-23T09:00:00.000000Z",
             finished_at="2025-11-23T09:04:10.000000Z")  # fmt: skip
    with spool.edit("tv-20251123-090000") as edit:
        edit.move(Status.TESTED, "boots and answers", "tester")
    told = errors.BuildError(
        "plan.kickstart, line 12: package busybocks is in none of the repositories (base, extra)",
        "did you mean busybox? correct its name in %packages, or add the repository that has it",
        "package-missing",
    )
    failed(spool, "phone-20251124-103000", [*build_log()[:3], "Last metadata expiration check: 0:00:01 ago",
           "No match for argument: busybocks", errors.render(told), "sandbox ends"],
           error=told.message, cause=told.cause, remedy=told.remedy, requested_at="2025-11-24T10:29:58.000000Z",
           kickstart=KICKSTART.replace(b"busybox", b"busybocks"))  # fmt: skip
    failed(spool, "slow-20251124-080000", build_log(400)[:700],
           error="the build took longer than its time limit of 600 s",
           cause="time-out", remedy="raise --timeout, or find out why it is slow")  # fmt: skip
    make(spool, "watch-20251124-115900", requested_at="2025-11-24T11:59:00.000000Z")
    make(
        spool, "watch-20251124-115930", requested_at="2025-11-24T11:59:30.000000Z", image_type="loop", arch="armv7hl"
    )
    make(spool, "car-20251124-100000", requested_at="2025-11-24T10:00:00.000000Z")
    with spool.edit("car-20251124-100000") as edit:
        edit.move(Status.CANCELLED, "no longer wanted", "maija", finished_at="2025-11-24T10:05:00.000000Z")
    make(spool, "broken-20251124-070000")
    (spool.directory("broken-20251124-070000") / "job.json").write_text('{"image_id": "broken-20251124-070000", ')
    make(spool, "aside-20251124-060000")
    spool.set_aside("aside-20251124-060000", "field progress must be a number between 0 and 1")
    with running(spool, "tablet-20251124-115800", requested_at="2025-11-24T11:58:00.000000Z", tags=("nightly",)):
        yield
