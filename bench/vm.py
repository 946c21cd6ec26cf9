#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a virtual machine costs, against a bare boot of the same kernel with the same accelerator.

    python bench/vm.py [--rounds N] [--example] [--json]

The bare boot is QEMU alone with the kernel, the same modules and an init that says a word and turns the machine off.
`first command` is the launcher, libvirt included, to the first line of a tool in the sandbox in the machine, and is
held against `bare word`. What comes after its last line, until the worker knows how it ended and has its files, is
held against what comes after the bare word. The machine's own end goes on while the worker delivers, and is told
beside it. Then what a machine takes of memory beside its own: proportional set sizes (proc(5), smaps) of QEMU without
the guest's memory, of the launcher, and of libvirtd, which all machines share. `--example` also builds the example
image in a machine and directly, with where the time goes. Ends with 1 where one of the two takes more than 1.2 times
as long in the median and in its fastest run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from arena import Run
from contest import Target, medians, table

from imgcore.executor import frames
from imgcore.executor.local import vm
from imgcore.executor.vm import initramfs
from imgcore.executor.vm.accelerators import WORKS, Memory
from imgcore.vmsettings import VmSettings

TOP = Path(__file__).resolve().parents[1]
NAMES = (
    *("bare word", "bare word to the end"),
    *("first command", "last line to the result", "result to the end", "all of it"),
)
TARGETS = (Target("first command", "bare word", 1.2), Target("last line to the result", "bare word to the end", 1.2))
_INIT = b"""#!/imager/busybox sh
b=/imager/busybox
$b mount -t proc proc /proc; $b mount -t devtmpfs devtmpfs /dev
while read -r module; do $b insmod "/modules/$module"; done </modules/list
echo word >/dev/console
$b poweroff -f
"""
_MEMORY = 768 << 20
_ARGUMENTS = "console=ttyS0 quiet panic=1 mitigations=off random.trust_cpu=on"


class Bench:
    """Boots in a place of its own."""

    def __init__(self, place: Path) -> None:
        self.kernel = initramfs.find_kernel()
        self.cache = place
        self._archive = place / "bare"
        # The same modules, and nothing that only a build needs.
        built = initramfs.Archive()
        for name in ("proc", "dev"):
            built.directory(name)
        built.file("init", _INIT, 0o755)
        built.file("imager/busybox", initramfs.busybox(), 0o755)
        built.modules(self.kernel, initramfs.MODULES)
        self._archive.write_bytes(built.finish())
        self.accelerator = "kvm" if self._kvm_works() else "tcg"

    def _kvm_works(self) -> bool:
        self.machine("true")  # tries it, and remembers
        return Memory(self.cache, self.kernel).verdict() == WORKS

    def bare(self) -> tuple[float, float]:
        """Seconds to the word, and to the end."""
        began = time.monotonic()
        command = ["qemu-system-x86_64", "-accel", self.accelerator, "-machine", "pc", "-m", "2048", "-smp", "2"]
        command += [
            "-nodefaults",
            "-no-reboot",
            "-display",
            "none",
            "-serial",
            "stdio",
            "-device",
            "virtio-serial-pci",
        ]
        command += ["-kernel", str(self.kernel.image), "-initrd", str(self._archive), "-append", _ARGUMENTS]
        command += ["-cpu", "host"] if self.accelerator == "kvm" else []
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            assert process.stdout
            word = next(time.monotonic() - began for line in process.stdout if b"word" in line)
            process.stdout.read()
        return word, time.monotonic() - began

    def _launcher(self, command: str) -> list[str]:
        tool = ["--tool=shell", "--command=/bin/sh", "--command=-c", f"--command={command}"]
        return [*vm({}, VmSettings()).start, f"--cache={self.cache}", *tool]

    def memory(self) -> dict[str, int]:
        """Bytes that a machine takes beside its own memory, by who has them."""
        words = [*self._launcher("echo word; sleep 60"), f"--memory={_MEMORY}"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin and process.stdout
            process.stdin.write(frames.pack_inputs({}))
            process.stdin.flush()
            next(content for kind, content in frames.read(process.stdout) if content == b"word")  # type: ignore[arg-type]
            found = {
                "QEMU": _pss(_running(f"guest=imager-{process.pid}-"), without=_MEMORY),
                "launcher": _pss(process.pid),
                "libvirtd": _pss(_running("libvirtd")),
            }
            process.stdin.close()
            process.stdout.read()
        return found

    def machine(self, command: str) -> tuple[float, float, float, float]:
        """Seconds to the first and the last line of `command`, to the result, and to the end of everything."""
        words = self._launcher(command)
        began = time.monotonic()
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ}) as process:
            assert process.stdin and process.stdout
            process.stdin.write(frames.pack_inputs({}))
            process.stdin.flush()
            first = last = result = 0.0
            for kind, content in frames.read(process.stdout):  # type: ignore[arg-type]
                if kind == frames.LINES and b"[imager" not in content:
                    last = time.monotonic() - began
                    first = first or last
                if kind == frames.END:
                    result = time.monotonic() - began
        return first, last, result, time.monotonic() - began


def _running(word: str) -> int:
    """The process with a word of its command line that begins so."""
    for each in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if each.name.isdecimal() and f"\0{word}".encode() in b"\0" + (each / "cmdline").read_bytes():
                return int(each.name)
    raise LookupError(word)


def _pss(pid: int, without: int = 0) -> int:
    """The proportional set size of a process in bytes, but for its mappings of so many bytes."""
    total, counted = 0, True
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, _, rest = line.partition(" ")
        if not first.endswith(":"):
            begin, _, end = first.partition("-")
            counted = int(end, 16) - int(begin, 16) != without
        elif first == "Pss:" and counted:
            total += int(rest.split()[0]) << 10
    return total


def example(place: Path) -> dict[str, object]:
    """The example's raw image in a machine and directly: seconds, and of each phase."""
    found: dict[str, object] = {}
    for executor in ("vm", "direct"):
        command = [str(Path(sys.executable).parent / "img"), "build", "examples/tiny/tiny.ks", "--type=raw", "--json"]
        command += [f"--executor={executor}", f"--spool={place}/spool", f"--outdir={place}/images"]
        done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True)
        record = json.loads(done.stdout)
        found[executor] = {
            "seconds": record["resources"]["wall_seconds"],
            **{each["phase"]: each["seconds"] for each in record["phases"]},
        }
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and tell by the exit code whether the bar is met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--example", action="store_true", help="build the example image too")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="imager-bench-") as made:
        bench = Bench(Path(made))
        seconds: dict[str, list[float]] = {name: [] for name in NAMES}
        for _ in range(given.rounds):
            word, boot = bench.bare()
            first, last, result, whole = bench.machine("echo word")
            for name, taken in zip(
                NAMES, (word, boot - word, first, result - last, whole - result, whole), strict=True
            ):
                seconds[name].append(taken)
        found = medians({name: [Run(each, 0.0, (), 0) for each in taken] for name, taken in seconds.items()})
        memory = bench.memory()
        built = example(Path(made)) if given.example else {}
    if given.json:
        print(json.dumps({"accelerator": bench.accelerator, **found, "memory": memory, "example": built}, indent=1))
    else:
        print(f"{bench.kernel.image}, {bench.accelerator}, {given.rounds} rounds, medians:")
        print(table(found))
        told = ", ".join(f"{name} {taken / 2**20:.0f} MiB" for name, taken in memory.items())
        print(f"  memory beside the machine's own: {told}")
        for executor, phases in built.items():
            print(f"  the example, {executor}: {phases}")
        for each in TARGETS:
            print(each.told(found))
    return 0 if all(each.met(found) for each in TARGETS) else 1


if __name__ == "__main__":
    sys.exit(main())
