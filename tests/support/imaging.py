# SPDX-License-Identifier: GPL-2.0-or-later
"""Trees to make images of, plans that ask for them, and tools that look into what was made."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from imgcore.creator import image
from imgcore.creator.plan import BootLoader, Partition, Plan, Workplace
from imgcore.progress import Progress

EPOCH = 1_700_000_000
#: Whom files are given to: an ordinary user can give them to nobody else.
OWNER = (1000, 1001) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
#: Nor set capabilities.
ATTRIBUTE = "security.capability" if os.geteuid() == 0 else "user.note"
#: VFS_CAP_REVISION_2, effective, CAP_NET_RAW.
CAPABILITY = bytes.fromhex("0100000200200000" + "00000000" * 3)


def plan(image_type: str = "raw", partitions: tuple[Partition, ...] = (), **changes: Any) -> Plan:
    """A plan for x86_64 whose kickstart is demo.ks."""
    changes.setdefault("boot_loader", BootLoader(location="none"))
    return Plan("demo", "x86_64", image_type, EPOCH, kickstart="demo.ks", partitions=partitions, **changes)


def workplace(folder: Path) -> Workplace:
    """A build's directories below `folder`, with an empty tree."""
    place = Workplace(
        **{name: folder / name for name in ("inputs", "out", "build", "root", "cache", "tmp", "home")},
        tree=folder / "build" / "root",
    )
    for each in (place.out, place.tree):
        each.mkdir(parents=True)
    return place


def fill(tree: Path, *, backwards: bool = False, owner: tuple[int, int] = OWNER) -> None:
    """A small root tree with one of everything. `backwards` makes it in another order, with other times."""
    files = {
        "etc/hostname": b"demo\n",
        "bin/program": b"\x7fELF" + bytes(range(256)) * 700,
        "usr/share/doc/text": b"word " * 3000,
        "home/user/note": b"at home\n",
        "boot/vmlinuz-6.1.0": b"not really a kernel" * 100,
        "boot/initramfs-6.1.0.img": b"not really a disk" * 100,
    }
    names = sorted(files, reverse=backwards)
    for name in names:
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[name])
    for name in ("proc", "var/empty"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "bin/program").chmod(0o4755)
    os.link(tree / "bin/program", tree / "usr/alias")
    (tree / "etc/link").symlink_to("../usr/share/doc/text")
    os.chown(tree / "home/user", *owner)
    os.chown(tree / "home/user/note", *owner)
    (tree / "home/user").chmod(0o700)
    with (tree / "sparse").open("wb") as file:
        file.truncate(5_000_000)
        file.seek(3_000_000)
        file.write(b"in the middle")
    os.setxattr(tree / "bin/program", ATTRIBUTE, CAPABILITY)
    for name in ("etc/hostname", "etc"):
        # Older than the plan: a time that must survive.
        os.utime(tree / name, (EPOCH - 1000, EPOCH - 1000))


def make(the_plan: Plan, place: Workplace) -> dict[str, str]:
    """Prepare and make; return the kinds by name. Asserts that what is announced is what lies there."""
    image.prepare(the_plan, place.tree)
    heard: list[Progress] = []
    made = image.make(the_plan, place, heard.append)
    assert sorted(each.name for each in made) == sorted(path.name for path in place.out.iterdir())
    assert heard and all(each.phase == "image" for each in heard)
    assert not (place.build / "image").exists()
    return {each.name: each.kind for each in made}


def output(*command: str | Path, errors: bool = True) -> str:
    """What a command says, on standard error too or not. It must end with 0."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
        timeout=120,
    )
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 0, f"{command}: {done.returncode}: {text}"
    return text if errors else done.stdout.decode()


def table(disk: Path) -> dict[str, Any]:
    """The partition table as sfdisk reads it."""
    return json.loads(output("sfdisk", "--json", disk, errors=False))["partitiontable"]


def cut(disk: Path, number: int, target: Path) -> Path:
    """Copy the partition with that `number` out of `disk`."""
    entry = next(each for each in table(disk)["partitions"] if each["node"].endswith(f"raw{number}"))
    with disk.open("rb") as source:
        source.seek(entry["start"] * 512)
        target.write_bytes(source.read(entry["size"] * 512))
    return target


def debugfs(file: Path, request: str) -> str:
    """The answer of debugfs to `request`."""
    return output("debugfs", "-R", request, file)


def boot(disk: Path, until: str, *firmware: str, seconds: float = 60) -> str:
    """Boot `disk` in QEMU until the serial console says `until`; return what it said. Fails after `seconds`."""
    serial = disk.with_suffix(".serial")
    command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "256", "-display", "none", "-monitor", "none"]
    command += ["-no-reboot", "-nic", "none", "-serial", f"file:{serial}", "-snapshot"]
    command += ["-drive", f"file={disk},format=raw,if=virtio", *firmware]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as machine:
        try:
            end = time.monotonic() + seconds
            said = ""
            while time.monotonic() < end and until not in said:
                time.sleep(0.1)
                said = serial.read_text("utf-8", "replace") if serial.exists() else ""
                if machine.poll() is not None:
                    said = serial.read_text("utf-8", "replace")
                    break
        finally:
            machine.kill()
    assert until in said, said
    return said
