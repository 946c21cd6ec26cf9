#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Called like mic; makes an image after as many seconds as the kickstart says (`# seconds: N`)."""

import pathlib
import sys
import time


def main() -> int:
    kickstart = pathlib.Path(sys.argv[3])
    options = dict(each.removeprefix("--").partition("=")[::2] for each in sys.argv[4:] if each.startswith("--"))
    lines = kickstart.read_text(encoding="utf-8").splitlines()
    seconds = next((float(line.partition(": ")[2]) for line in lines if line.startswith("# seconds: ")), 0.0)
    end = time.monotonic() + seconds
    step = 0
    while time.monotonic() < end:
        step += 1
        print(f"[imager install {step}/1000] package {step}", flush=True)
        time.sleep(0.05)
    if "# fail" in lines:
        print("Error <creator>[11/24 07:00:00] : Unable to find package: nosuch", file=sys.stderr)
        return 1
    made = options.get("pack-to", "@NAME@.img").replace("@NAME@", kickstart.stem)
    pathlib.Path(options["outdir"], made).write_bytes(b"image")
    print("Info[11/24 07:00:00] : 1 packages to be installed")
    print("Info[11/24 07:00:00] : Finished.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
