#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the built-in creator takes, against the least that is needed and against doing it by hand, in one run.

    python bench/creator.py [--rounds N] [--full] [--json]

`img build` runs the creator in a sandbox; here the bare program runs, as the contenders do: in a namespace and a
tmpfs of its own (bench/arena.py), with an empty cache, from start to the last byte of the image.

  creator  /usr/bin/python3 with a plan: repositories, dependencies, installation, configuration, image, manifest
  by hand  dnf -y --installroot=… install …, then mke2fs -d (raw: sfdisk, then mke2fs -d at the partition)
  floor    rpm2cpio | cpio of the same packages, then the same mke2fs (no dependencies, scriptlets, database)

For `raw` the creator also makes a block map; neither it nor the others install a boot loader, and the kickstart has
no scripts. The example as it is, with both, is told besides. Then:

  growth   50, 200 and 800 packages, and where the time goes by the phases that the creator tells
  again    200 packages from a server on this machine: a first build, and a second that has its cache

Ends with 1 if the creator takes more than 4 x the floor or 1.3 x by hand.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arena
import many
from contest import Target, medians, rounds, table

from imgcore import kickstart
from imgcore.creator.plan import to_json

EXAMPLE = arena.CHECKOUT / "examples" / "tiny" / "tiny.ks"
REPOSITORY = arena.CHECKOUT / "build" / "tiny" / "repository"
CACHED = arena.CHECKOUT / "build" / "bench"
FLOOR_LIMIT, BY_HAND_LIMIT = 4.0, 1.3
EPOCH = 1_700_000_000
#: How many packages, and in how many rounds unless all are wanted.
SIZES = {50: 3, 200: 3, 800: 3}
#: The creator as a program, as the sandbox starts it.
CREATOR = f"""
import sys
sys.path.insert(0, {str(arena.CHECKOUT)!r})
from imgcore.creator.main import main
sys.exit(main(["{{top}}"]))
"""


@dataclass(frozen=True)
class Subject:
    """Packages that become an image."""

    name: str
    repositories: Mapping[str, str]
    asked: tuple[str, ...]
    excluded: tuple[str, ...]
    size: int

    def kickstart(self) -> str:
        """What the creator is told."""
        lines = [f"repo --name={name} --baseurl={url}" for name, url in self.repositories.items()]
        lines += [f"part / --size={self.size} --fstype=ext4 --ondisk=sda --active", "bootloader --location=none"]
        lines += ["%packages", *self.asked, *(f"-{each}" for each in self.excluded), "%end"]
        return "\n".join(lines) + "\n"


def tiny() -> Subject:
    """What the example's kickstart asks for."""
    packages = EXAMPLE.read_text().partition("%packages\n")[2].partition("%end")[0].split()
    asked = tuple(each for each in packages if not each.startswith("-"))
    excluded = tuple(each.removeprefix("-") for each in packages if each.startswith("-"))
    return Subject("example", {"tiny": REPOSITORY.as_uri()}, asked, excluded, 96)


def synthetic(count: int) -> Subject:
    """`count` made-up packages and the two that they stand on."""
    urls = {"many": many.repository(CACHED, count).as_uri(), "tiny": REPOSITORY.as_uri()}
    return Subject(f"{count} packages", urls, ("tiny-filesystem", "@all"), (), 64 + count // 4)


def creator(
    subject: Subject, image_type: str, *, cache: str = "", text: str = "", keep: Mapping[str, str] | None = None
) -> arena.Order:
    """The built-in creator with the subject's kickstart, or with `text`."""
    tokens = {"REPO": str(REPOSITORY), "RELEASE": "1.0", "GREETING": "hello"}
    read = kickstart.read((text or subject.kickstart()).encode(), "bench.ks", tokens=tokens)
    plan, _ = kickstart.plan(
        read, name="bench", arch="x86_64", image_type=image_type, tokens=tokens, source_date_epoch=EPOCH
    )
    argv = ["/usr/bin/python3", "-I", "-c", CREATOR]
    return arena.Order(argv, {"in/plan.json": to_json(plan)}, cache=cache, keep=keep or {})


def by_hand(subject: Subject, image_type: str) -> arena.Order:
    """What a person would type."""
    dnf = ["-y", "--quiet", "--releasever=1", "--setopt=reposdir=/dev/null", "--setopt=keepcache=1"]
    dnf += ["--setopt=install_weak_deps=0", "--nogpgcheck"]
    dnf += [f"--repofrompath={name},{url}" for name, url in subject.repositories.items()]
    dnf += [f"--exclude={each}" for each in subject.excluded]
    command = (
        f'dnf --installroot="$1/root" --setopt=cachedir="$1/cache" {shlex.join([*dnf, "install", *subject.asked])}'
    )
    return _script(f"{command}\n{_image(subject, image_type)}")


def floor(subject: Subject, image_type: str, rpms: list[Path]) -> arena.Order:
    """The bytes of the packages in a file system, and nothing else."""
    unpack = 'cd "$1/build/root"\n'
    unpack += "".join(f"rpm2cpio {shlex.quote(str(each))} | cpio -idm --quiet\n" for each in rpms)
    return _script(unpack + _image(subject, image_type))


def _image(subject: Subject, image_type: str) -> str:
    size, kib = f"{subject.size}M", subject.size << 10
    fill = 'mke2fs -q -F -t ext4 -d "$1/build/root" -E nodiscard,lazy_itable_init=0,lazy_journal_init=0'
    if image_type == "loop":
        return f'truncate -s {size} "$1/out/bench.img"\n{fill} "$1/out/bench.img"\n'
    disk = '"$1/out/bench-sda.raw"'
    table_text = f"label: dos\nstart=2048, size={kib * 2}, type=83, bootable\n"
    # Telling the kernel of a new partition table takes sfdisk a quarter of a second, which no plain file needs.
    return (
        f"truncate -s $(({kib} + 1024))K {disk}\n"
        f"printf %s {shlex.quote(table_text)} | sfdisk --quiet --no-tell-kernel {disk}\n"
        f"{fill},offset=1048576 {disk} {kib}k\n"
    )


def _script(text: str) -> arena.Order:
    return arena.Order(["sh", "-euc", text, "sh", "{top}"])


def chosen_rpms(subject: Subject) -> list[Path]:
    """The package files that the creator chooses, as it says in its own list."""
    with tempfile.TemporaryDirectory(prefix="imager-bench-") as folder:
        listing = Path(folder, "packages")
        arena.run(creator(subject, "loop", keep={"bench.packages": str(listing)}))
        names = listing.read_text().split()
    folders = [Path(url.removeprefix("file://")) for url in subject.repositories.values()]
    return [next(each for folder in folders if (each := folder / f"{name}.rpm").exists()) for name in names]


def compare(subject: Subject, image_type: str, count: int) -> dict[str, Any]:
    """The three contenders: medians, and the phases of the creator's median run."""
    orders = {
        "creator": creator(subject, image_type),
        "by hand": by_hand(subject, image_type),
        "floor": floor(subject, image_type, chosen_rpms(subject)),
    }
    found = rounds(count, {name: _runner(order) for name, order in orders.items()})
    middle = sorted(found["creator"], key=lambda each: each.seconds)[count // 2]
    return {"contenders": medians(found), "phases": middle.phases()}


def _runner(order: arena.Order) -> Callable[[], arena.Run]:
    return lambda: arena.run(order)


def again(count: int) -> dict[str, Any]:
    """First and second builds of 200 packages from a server, in turns, each pair with a cache of its own."""
    local = synthetic(200)
    first: list[arena.Run] = []
    second: list[arena.Run] = []
    loaded = {"first": 0, "second": 0}
    CACHED.mkdir(parents=True, exist_ok=True)
    for _ in range(count):
        with tempfile.TemporaryDirectory(prefix="imager-cache-", dir=CACHED) as cache:
            Path(cache).chmod(0o755)
            for name, runs in (("first", first), ("second", second)):
                with served(local) as (urls, requests):
                    subject = Subject(local.name, urls, local.asked, local.excluded, local.size)
                    runs.append(arena.run(creator(subject, "loop", cache=cache)))
                loaded[name] = sum(".rpm " in line for line in requests)
    return {"contenders": medians({"first": first, "second": second}), "packages loaded": loaded,
            "phases": {"first": first[-1].phases(), "second": second[-1].phases()}}  # fmt: skip


@contextmanager
def served(subject: Subject) -> Iterator[tuple[dict[str, str], list[str]]]:
    """The subject's repositories on a server of this machine; its request lines, complete at the end."""
    with tempfile.TemporaryDirectory(prefix="imager-served-") as folder:
        for name, url in subject.repositories.items():
            Path(folder, name).symlink_to(url.removeprefix("file://"))
        requests: list[str] = []
        argv = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--protocol", "HTTP/1.1", "0"]
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen(
                argv, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        try:
            port = server.stdout.readline().split(" port ")[1].split()[0] if server.stdout else ""
            yield {name: f"http://127.0.0.1:{port}/{name}/" for name in subject.repositories}, requests
        finally:
            server.terminate()
            server.wait()
        requests += Path(folder, "log").read_text().splitlines()


def show_phases(phases: Mapping[str, float]) -> str:
    total = sum(phases.values())
    return ", ".join(f"{name} {seconds:.2f} s ({seconds / total:.0%})" for name, seconds in phases.items())


class Bench:
    """The measurements in their order; each is told as soon as it is done."""

    def __init__(self, rounds_of_example: int, *, full: bool, quiet: bool) -> None:
        self.results: dict[str, Any] = {}
        self.good = True
        self._rounds = rounds_of_example
        self._full = full
        self._quiet = quiet

    def run(self) -> None:
        for image_type in ("loop", "raw"):
            self._compare(tiny(), image_type, self._rounds)
        self._whole()
        for count, fewer in SIZES.items():
            self._compare(synthetic(count), "loop", self._rounds if self._full else fewer)
        self._growth()
        self._again(self._rounds if self._full else 3)

    def _compare(self, subject: Subject, image_type: str, count: int) -> None:
        found = compare(subject, image_type, count)
        self.results[f"{subject.name}, {image_type}"] = found
        self._say(f"{subject.name} to a {image_type} image ({count} rounds)\n{table(found['contenders'])}")
        for target in (Target("creator", "floor", FLOOR_LIMIT), Target("creator", "by hand", BY_HAND_LIMIT)):
            self.good = self.good and target.met(found["contenders"])
            self._say("  " + target.told(found["contenders"]))
        self._say("  phases: " + show_phases(found["phases"]))

    def _whole(self) -> None:
        order = creator(tiny(), "raw", text=EXAMPLE.read_text(encoding="utf-8"))
        self.results["example as it is, raw"] = found = medians(rounds(3, {"creator": _runner(order)}))
        self._say(f"the example as it is, with scripts and boot loader, to a raw image\n{table(found)}")

    def _growth(self) -> None:
        small, large = (self.results[f"{count} packages, loop"]["contenders"] for count in (min(SIZES), max(SIZES)))
        more = max(SIZES) - min(SIZES)
        self.results["growth"] = growth = {
            name: {key: (large[name][key] - small[name][key]) / more for key in ("seconds", "cpu_seconds")}
            for name in small
        }
        self._say("a package more (from the smallest to the largest)")
        for name, each in growth.items():
            self._say(f"  {name:8} {each['seconds'] * 1e3:6.2f} ms   CPU {each['cpu_seconds'] * 1e3:.2f} ms")

    def _again(self, count: int) -> None:
        self.results["again"] = found = again(count)
        self._say(f"200 packages from a server on this machine ({count} rounds)\n{table(found['contenders'])}")
        for name, loaded in found["packages loaded"].items():
            self._say(f"  {name}: {loaded} packages loaded; phases: {show_phases(found['phases'][name])}")

    def _say(self, text: str) -> None:
        if not self._quiet:
            print(text, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="measure the built-in creator against its floor and by hand")
    parser.add_argument("--rounds", type=int, default=7, help="of the example; the larger ones have fewer")
    parser.add_argument("--full", action="store_true", help="as many rounds of everything (some minutes)")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    arguments = parser.parse_args()
    if not (REPOSITORY / "repodata").is_dir():
        parser.error("the example's packages are not there: run `make example`")
    bench = Bench(arguments.rounds, full=arguments.full, quiet=arguments.json)
    bench.run()
    if arguments.json:
        print(json.dumps({"results": bench.results, "good": bench.good}, indent=2))
    else:
        print("good" if bench.good else "TOO SLOW")
    return 0 if bench.good else 1


if __name__ == "__main__":
    for tool in ("unshare", "rpm2cpio", "cpio", "dnf", "mke2fs", "sfdisk"):
        if shutil.which(tool, path=arena.ENVIRONMENT["PATH"]) is None:
            sys.exit(f"{tool} is not there: run `make setup`")
    sys.exit(main())
