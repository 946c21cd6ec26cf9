#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Behaves as mic 1.0.2 was observed to: command line, output, files, and its habit of ending with 0.

The kickstart says how the run goes: a line `# fail: KIND` makes it fail in that way.
"""

import pathlib
import sys
import time

_ERRORS = {
    "repository": "Error <repo>[11/24 07:00:00] : URLGrabber error: http://127.0.0.1:9/repodata/repomd.xml",
    "package": "Error <creator>[11/24 07:00:00] : Unable to find package: nosuch",
    "conflict": "Error <creator>[11/24 07:00:00] : found 2 resolver problem, abort!",
    "no-repo": "Error <creator>[11/24 07:00:00] : no valid repos found in ks file",
    "script": "Error <creator>[11/24 07:00:00] : Failed to execute %pre script with '/bin/bash'",
    "metadata": "Error <repo>[11/24 07:00:00] : Valid metadata not found",
    "disk": "Error <creator>[11/24 07:00:00] : cp: error writing '/x': No space left on device",
}


def leave_what_mic_leaves() -> None:
    """A loop device of a node of its own, mounted, a udev rule, a lock, a bind mount, a process on its own."""
    import subprocess

    image = "/run/imager/build/part.img"
    subprocess.run(["mke2fs", "-q", "-F", image, "8m"], check=True)
    subprocess.run(["mknod", "/dev/loop90", "b", "7", "90"], check=True)
    subprocess.run(["losetup", "/dev/loop90", image], check=True)
    pathlib.Path("/run/imager/build/mnt").mkdir()
    subprocess.run(["mount", "/dev/loop90", "/run/imager/build/mnt"], check=True)
    subprocess.run(["mount", "--bind", "/proc", "/run/imager/build/root/proc"], check=True)
    rules = pathlib.Path("/etc/udev/rules.d")
    rules.mkdir(parents=True, exist_ok=True)
    (rules / "80-imager-test.rules").write_text("x")
    pathlib.Path("/var/lock/imager-test.lock").touch()
    subprocess.Popen(["setsid", "sleep", "1000"])


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] != ["create"] or len(arguments) < 3:
        print("Error <usage>[11/24 07:00:00] : usage", file=sys.stderr)
        return 1
    image_type, kickstart = arguments[1:3]
    options = dict(each.removeprefix("--").partition("=")[::2] for each in arguments[3:] if each.startswith("--"))
    text = pathlib.Path(kickstart).read_text(encoding="utf-8")
    name = pathlib.Path(kickstart).stem
    out = pathlib.Path(options["outdir"])
    failure = next((line.split(": ")[1] for line in text.splitlines() if line.startswith("# fail: ")), "")
    print("Info[11/24 07:00:00] : Retrieving repository metadata", flush=True)
    if failure in ("hang", "stray"):
        leave_what_mic_leaves()
    if failure == "hang":
        time.sleep(600)
    if failure in _ERRORS:
        print(_ERRORS[failure], file=sys.stderr)
        return 1
    print("Info[11/24 07:00:00] : 2 packages to be installed")
    for number, package in enumerate(("filesystem-1.0-1.noa", "hello-2.1-3.x86_64"), 1):
        print(f"Installing: {package} +++++   [{number}/2]\r", end="", flush=True)
    print()
    if failure == "ignored":
        print("Warning[11/24 07:00:00] : unknown command bogus, ignored", file=sys.stderr)
    if failure == "zero":
        print("Error <creator>[11/24 07:00:00] : unknown image type", file=sys.stderr)
        return 0
    if failure != "no file":
        made = options.get("pack-to") or {"loop": f"{name}.img", "raw": f"{name}-sda.raw"}.get(
            image_type, f"{name}.img"
        )
        (out / made.replace("@NAME@", name)).write_bytes(b"image of " + image_type.encode())
    (out / f"{name}.packages").write_text("filesystem.noarch 1.0-1\nhello.x86_64 2.1-3")
    (out / f"{name}.ks").write_text(text)
    (out / f"{name}.arguments").write_text("\n".join(arguments))
    print("Info[11/24 07:00:00] : Finished.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
