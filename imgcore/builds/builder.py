# SPDX-License-Identifier: GPL-2.0-or-later
"""The process of one build: it takes the job of the id that is given, builds it, and is gone.

`imgcore.builds` starts it and gives it, on standard input, what is no business of the process list; it says so on
standard output when the job is its own. SIGTERM ends the build at once: as cancelled where the record says that, and
by force if it takes long; otherwise as a crash would, which whoever waits for the job sees and mends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from imgcore import config, request
from imgcore.builds import CLAIMED
from imgcore.errors import ImagerError, SpoolError
from imgcore.executor import choose
from imgcore.job import Status
from imgcore.spool import Spool, record
from imgcore.worker import Worker

__all__ = ["main"]

#: After a cancel a sandbox ends within a moment; one that does not ends with this process.
_PATIENCE_SECONDS = 8


def main() -> int:
    """Build. The status is 0 whenever the record says how it ended."""
    image_id = sys.argv[1]
    order = json.load(sys.stdin)
    try:
        settings = config.from_json(order["config"])
        wanted = request.parse(order["request"])
        spool = Spool(settings.spool, create=False)
        stop = threading.Event()
        _obey(spool.directory(image_id), stop)
        executor = choose.executor(settings)
        with spool.start(image_id, order["worker"]) as claim:
            # Who started this process may be gone: then nobody hears.
            with contextlib.suppress(OSError):
                os.write(sys.stdout.fileno(), CLAIMED)
            Worker(settings, executor).build(claim, wanted, spool.log(image_id), stop=stop)
    except ImagerError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _obey(directory: Path, stop: threading.Event) -> None:
    def end(number: int, frame: FrameType | None) -> None:
        cancelled = False
        with contextlib.suppress(SpoolError, FileNotFoundError):
            cancelled = record.read(directory).status is Status.CANCELLED
        if not cancelled:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        stop.set()
        signal.alarm(_PATIENCE_SECONDS)

    signal.signal(signal.SIGTERM, end)


if __name__ == "__main__":
    sys.exit(main())
