# SPDX-License-Identifier: GPL-2.0-or-later
"""Delivering after `img build`, in a process that it leaves behind.

It tries for some minutes, then leaves the rest to the next one, or to `img notify`.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

from imgcore import config
from imgcore.errors import ImagerError, SpoolError
from imgcore.notify import ended
from imgcore.notify.channels import channels
from imgcore.notify.deliver import Deliverer, delivering
from imgcore.spool import Spool

__all__ = ["start"]

_PACKAGES = Path(__file__).resolve().parents[2]
_SECONDS = 600


def start(root: Path, config_file: Path | None) -> None:
    """Deliver what waits in the spool at `root`, as that configuration says, without waiting. Raises SpoolError."""
    environment = dict(os.environ)
    if named := environment.get("IMAGER_CONFIG"):
        environment["IMAGER_CONFIG"] = str(Path(named).absolute())
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    log = ended.place(root) / "log"
    try:
        with log.open("ab") as errors:
            subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, root, config_file.absolute() if config_file else ""],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd="/",
                env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,
            )
    except OSError as error:
        raise SpoolError(f"{log} cannot be written: {error.strerror}", "`img notify` delivers what waits") from error


def main() -> int:
    """Deliver."""
    root, named = sys.argv[1:3]
    try:
        settings = dataclasses.replace(config.load(Path(named) if named else None), spool=Path(root))
        with delivering(settings.spool) as mine:
            if mine:
                spool = Spool(settings.spool, create=False)
                Deliverer(spool, channels(settings.notify), lambda line: None).run(_SECONDS)
    except ImagerError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
