# SPDX-License-Identifier: GPL-2.0-or-later
"""A tool that is called like mic and makes a file at once, but passes the gate at its start, half and end.

The kickstart says which gate, and as whom: `# gate: ADDRESS WHO`.
"""

import sys
from pathlib import Path

from faults_gate import arrive


def main() -> None:
    kickstart = Path(sys.argv[3])
    outdir = next(each.removeprefix("--outdir=") for each in sys.argv if each.startswith("--outdir="))
    address, who = kickstart.read_text().partition("# gate: ")[2].split()[:2]
    arrive(address, who, "build started")
    image = Path(outdir, f"{kickstart.stem}.img")
    image.write_bytes(b"half")
    arrive(address, who, "build half")
    image.write_bytes(b"an image")
    arrive(address, who, "build ended")
    print("Finished.")


main()
