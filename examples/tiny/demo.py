# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the example as fs, loop and raw, and say where images, logs and the status page are.

`make demo` runs this after setting up. It uses `img` as a person would; everything goes to build/demo.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
EXAMPLE = CHECKOUT / "examples" / "tiny"
PLACE = CHECKOUT / "build" / "demo"
IMG = CHECKOUT / ".venv" / "bin" / "img"
SPOOL = PLACE / "spool"
TYPES = ("fs", "loop", "raw")


def make_repository() -> str:
    """Make the packages; the repository's path as it belongs into a file:// URL."""
    with subprocess.Popen([EXAMPLE / "make-repository"], stdout=subprocess.PIPE, text=True) as process:
        path = ""
        for line in process.stdout or ():
            print(line, end="", flush=True)
            path = line.removeprefix("repository: ").strip()
    if process.returncode:
        raise SystemExit(process.returncode)
    return path


def run(*command: str | Path, output: int | None = None) -> str:
    """Run a command in sight of the person; its exit status ends the demo where it is not 0."""
    done = subprocess.run(command, stdout=output, text=True, cwd=CHECKOUT, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout or ""


def build(image_type: str, repository: str) -> dict[str, Any]:
    """Build the example as `image_type`; the job's record."""
    print(f"\nimg build examples/tiny/tiny.ks --type {image_type}", flush=True)
    record: dict[str, Any] = json.loads(
        run(
            IMG, "build", EXAMPLE / "tiny.ks", "--type", image_type, "--name", f"tiny-{image_type}", "--json",
            "--tokenmap", f"REPO:{repository},RELEASE:1.0,GREETING:hello",
            "--spool", SPOOL, "--outdir", PLACE / "images",
            output=subprocess.PIPE,
        )
    )  # fmt: skip
    return record


def images(record: dict[str, Any]) -> list[Path]:
    """The files of a job that are the image itself."""
    return [
        Path(record["directory"]) / each["name"]
        for each in record["artifacts"]
        if each["kind"] in {"image", "archive"}
    ]


def prepare() -> str:
    """See to it that this user can build the example; the path of its repository."""
    repository = make_repository()
    # Where this user cannot make a sandbox (in a chroot, under a locked-down kernel), the door can.
    if subprocess.run([IMG, "doctor", "--can-build"], check=False, stdout=subprocess.DEVNULL).returncode:
        print("\nthis user cannot build alone here: putting the door in place (make door)", flush=True)
        run("make", "door")
    return repository


def main() -> None:
    """Build, and say where everything is."""
    repository = prepare()
    records = {image_type: build(image_type, repository) for image_type in TYPES}
    run(IMG, "report", "--spool", SPOOL, "--outdir", PLACE / "report", output=subprocess.PIPE)

    print("\nimages")
    for image_type, record in records.items():
        for path in images(record):
            print(f"  {image_type:<5} {path}  ({path.stat().st_size / 1e6:.1f} MB)")
    print("logs")
    for image_type, record in records.items():
        print(f"  {image_type:<5} {SPOOL / 'jobs' / record['image_id'] / 'build.log'}")
    print("page")
    print(f"  {(PLACE / 'report' / 'index.html').as_uri()}")
    print("start it (apt: qemu-system-x86; log in as root with password tiny; Ctrl-A X ends the machine)")
    # QEMU reads a comma in a file name doubled.
    drive = f"file={str(images(records['raw'])[0]).replace(',', ',,')},format=raw,if=virtio"
    print(f"  qemu-system-x86_64 -m 256 -nographic -snapshot -drive {shlex.quote(drive)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
