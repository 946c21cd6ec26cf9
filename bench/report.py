# SPDX-License-Identifier: GPL-2.0-or-later
"""The status site: made whole, and after one change, against the bare cost of reading and writing as much.

    .venv/bin/python bench/report.py [--jobs 1000,10000] [--json]

The floor reads every record and writes as many bytes to as many files. What a change costs is measured in the process
that stays (`img report --watch`) and in one that is started anew; each memory is the most that a process had. What
stays is watched for half a minute after its first look at everything. It removes what it made.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from imgcore import job as jobs
from imgcore.job import Job, Status
from imgcore.report import Report, write
from imgcore.report.site import listed
from imgcore.spool import Spool

_KICKSTART = b"lang en_US.UTF-8\nrootpw --plaintext secret\npart / --size=500\n%packages\n@core\nbusybox\n%end\n"
_LOG = b"".join(b"2025-11-24T11:00:%02d.120Z install package-%d\n" % (number % 60, number) for number in range(60))
_ONE = "one change, in the process that stays"
#: What else the machine does only adds: by this the bar is met or missed.
_FASTEST = "the same, the fastest of seven"
_CPU = "the same, processor time"
#: How much more a change may cost in the dearest spool than in the cheapest: a first page has room for so much only.
_FLAT = 2.0
#: As much for memory.
_FLAT_MEMORY = 1.5
_MEMORY = ("memory of a whole build, MiB", "memory of one change, MiB", "memory of --watch, MiB")
_ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Measure, print, and judge."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--jobs", default="1000,10000", help="sizes of spools, with commas")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    found = {}
    for count in map(int, given.jobs.split(",")):
        with tempfile.TemporaryDirectory(prefix="imager-bench-report-") as place:
            found[count] = measure(Path(place), count)
        if not given.json:
            print(told(count, found[count]), flush=True)
    if given.json:
        print(json.dumps(found))
    late = [count for count, each in found.items() if each[_FASTEST] > 0.3]
    for count in late:
        print(f"MISSED: one change takes more than 0.3 s with {count} jobs", file=sys.stderr)
    cpu = [each[_CPU] for each in found.values()]
    grows = max(cpu) > _FLAT * min(cpu)
    if grows:
        print(f"MISSED: one change costs {max(cpu) / min(cpu):.1f} times as much in another spool", file=sys.stderr)
    ratios = {what: max(each[what] for each in found.values()) / min(each[what] for each in found.values())
              for what in _MEMORY}  # fmt: skip
    for what, ratio in ratios.items():
        print(f"{what.split(',')[0]}, the largest spool against the smallest: {ratio:.2f} x", file=sys.stderr)
    stale = [count for count, each in found.items() if each["--watch, until a change is on the page"] > 2]
    for count in stale:
        print(f"MISSED: a change is on the page later than after 2 s with {count} jobs", file=sys.stderr)
    fat = max(ratios.values()) > _FLAT_MEMORY
    if fat:
        print(f"MISSED: memory is not within {_FLAT_MEMORY} x", file=sys.stderr)
    return bool(late or stale) or grows or fat


def measure(place: Path, count: int) -> dict[str, float]:
    """Seconds of each thing to do with a spool of `count` jobs, and MiB of memory."""
    spool = Spool(place / "spool")
    fill(spool, count)
    site = place / "site"
    results: dict[str, float] = {}
    results["whole"], results[_MEMORY[0]] = apart("whole", spool, site)
    results["floor"] = seconds(lambda: floor(spool, site, place / "floor"))
    shutil.rmtree(place / "floor")
    results["nothing changed, started anew"] = median(seconds(lambda: write(spool, site)) for _ in range(3))

    report = Report(spool, site)
    report.update()
    ids = sorted(spool.ids())
    changes, cpu = [], []
    for number in range(7):
        image_id = ids[number * count // 7]
        with spool.edit(image_id) as edit:
            edit.update(tags=(f"t{number}",))
        before = time.process_time()
        changes.append(seconds(lambda image_id=image_id: report.update({image_id})))  # type: ignore[misc]
        cpu.append(time.process_time() - before)
    results[_ONE], results[_FASTEST] = median(changes), min(changes)
    results[_CPU] = median(cpu)
    _, results[_MEMORY[1]] = apart("change", spool, site)
    results |= watched(spool, site, ids[-1])
    results["KiB of the index"] = (site / "index.html").stat().st_size / 1024
    return results


def seconds(do: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    do()
    return time.perf_counter() - start


def fill(spool: Spool, count: int) -> None:
    """Jobs of a year and of twenty names, most of them good; without the spool's syncs, which are not at issue."""
    start = datetime(2025, 1, 1, tzinfo=UTC)
    for number in range(count):
        begun = start + timedelta(seconds=number * 31_000_000 / count)
        status = Status.ERROR if number % 7 == 3 else Status.DONE
        name = f"device-{number % 20}"
        job = Job(image_id=f"{name}-{number:06}", name=name, arch="aarch64", image_type="raw")
        stamps = {
            "requested_at": jobs.timestamp(begun),
            "started_at": jobs.timestamp(begun + timedelta(seconds=4)),
            "finished_at": jobs.timestamp(begun + timedelta(seconds=100 + number % 60)),
        }
        job = jobs.amend(job, {
            **stamps, "status": status, "user": "maija", "tags": ("nightly",), "executor": "direct",
            "error": "package strace is in none of the repositories" if status is Status.ERROR else "",
            "error_cause": "package-missing" if status is Status.ERROR else "",
            "worker": {"name": f"w-{number % 3}", "host": "farm"}, "package_count": 200 + number % 9,
            "phases": tuple({"phase": phase, "seconds": 12.5} for phase in ("resolve", "install", "image")),
            "artifacts": ({"name": f"{name}.raw", "kind": "image", "size": 10**9 + number, "sha256": "ab" * 32},),
        })  # fmt: skip
        directory = spool.directory(job.image_id)
        directory.mkdir()
        (directory / "job.json").write_bytes(jobs.to_json(job))
        (directory / "kickstart.ks").write_bytes(_KICKSTART)
        (directory / "build.log").write_bytes(_LOG)
        (directory / "events.jsonl").write_bytes(b"")
    spool.rebuild_index()


def floor(spool: Spool, site: Path, target: Path) -> None:
    """Read what the site is made from, and write as many files of the same sizes."""
    for image_id in spool.ids():
        directory = spool.directory(image_id)
        jobs.from_json((directory / "job.json").read_bytes())
        for name in ("kickstart.ks", "build.log", "events.jsonl"):
            (directory / name).read_bytes()
    for path in site.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(site)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(b"x" * path.stat().st_size)


def apart(what: str, spool: Spool, site: Path) -> tuple[float, float]:
    """The seconds that it takes to bring the site up to date, and the MiB that a process of its own has at most."""
    code = "import sys; from bench.report import run; run(*sys.argv[1:])"
    argv = [sys.executable, "-c", code, what, str(spool.root), str(site)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, cwd=_ROOT)
    took, memory = map(float, done.stdout.split())
    return took, memory


def run(what: str, place: str, site: str) -> None:
    """Bring the site up to date, and once more after a `change`; print seconds and MiB."""
    spool = Spool(Path(place))
    report = Report(spool, Path(site))
    took = seconds(report.update)
    if what == "change":
        image_id = next(listed(spool))
        with spool.edit(image_id) as edit:
            edit.update(tags=("changed",))
        took = seconds(lambda: report.update({image_id}))
    print(took, most(os.getpid()))


def watched(spool: Spool, site: Path, image_id: str) -> dict[str, float]:
    """What `img report --watch` costs: until it is there, until a change is on the page, at rest."""
    code = "from imgcore.cli import main; main()"
    argv = [sys.executable, "-c", code, "report", "--watch", "--spool", str(spool.root), "--outdir", str(site)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=_ROOT) as running:
        try:
            assert running.stdout is not None
            results = {"--watch, until it is there": seconds(running.stdout.readline)}
            # What it looks at first, everything, is no rest.
            until(lambda: idle(running.pid))
            found = []
            for number in range(5):
                with spool.edit(image_id) as edit:
                    edit.update(tags=(f"seen-{number}",))
                page, sought = site / "jobs" / image_id / "index.html", f"seen-{number}"
                found.append(seconds(lambda page=page, sought=sought: until(lambda: sought in page.read_text())))  # type: ignore[misc]
            results["--watch, until a change is on the page"] = max(found)
            before = processor(running.pid)
            time.sleep(30)
            results["--watch, processor time in 30 s at rest"] = processor(running.pid) - before
            results[_MEMORY[2]] = most(running.pid)
        finally:
            running.send_signal(signal.SIGTERM)
    return results


def most(pid: int) -> float:
    """The MiB that the process has had at most; getrusage(2) counts what its parent had before it too."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def until(happened: Callable[[], bool]) -> None:
    """Wait for it, not for ever."""
    end = time.monotonic() + 600
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def idle(pid: int) -> bool:
    """Whether the process has taken next to no processor time for a second."""
    before = processor(pid)
    time.sleep(1)
    return processor(pid) - before < 0.02


def processor(pid: int) -> float:
    """The seconds of processor time that the process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def told(count: int, each: dict[str, float]) -> str:
    """What was found, a line each."""
    lines = [f"{count:,} jobs"]
    for what, value in each.items():
        lines.append(f"  {what:40} {value:8.3f}" + (" s" if "iB" not in what else ""))
    lines.append(
        f"  whole against floor: {each['whole'] / each['floor']:.1f} x, {each['whole'] / count * 1000:.2f} ms a job"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
