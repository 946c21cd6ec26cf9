# SPDX-License-Identifier: GPL-2.0-or-later
"""Job records for tests, and the JSON Schema that they must satisfy."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema

from imgcore import job
from imgcore.job import Job
from imgcore.spool import Spool

__all__ = ["KICKSTART", "a_job", "a_spool", "add", "child", "contents", "damage", "validate", "validate_spool"]

KICKSTART = b"lang en_US.UTF-8\n%packages\n%end\n"


def a_job(image_id: str = "tiny-1", **fields: Any) -> Job:
    return Job(**{"image_id": image_id, "name": "tiny", "arch": "x86_64", "image_type": "raw", **fields})


def a_spool(root: Path) -> Spool:
    return Spool(root / "spool")


def add(spool: Spool, image_id: str = "tiny-1", **fields: Any) -> Job:
    return spool.create(a_job(image_id, **fields), kickstart=KICKSTART, workitem=b'{"fields": {"a": 1}}')


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def damage(spool: Spool, image_id: str, content: bytes = b'{"image_id": "hal') -> None:
    (spool.directory(image_id) / "job.json").write_bytes(content)


def child(spool: Spool, body: str) -> subprocess.Popen[str]:
    """Another process that runs `body` with `spool`, `Status` and `time`; what it prints can be read."""
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "from imgcore.spool import Spool\nfrom imgcore.job import Status\n"
        f"spool = Spool(Path(sys.argv[1]))\n{body}\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, str(spool.root)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@functools.cache
def _validator() -> Any:
    schema = job.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def validate(content: bytes) -> None:
    """Raise jsonschema.ValidationError unless `content` is a record as the schema has it."""
    _validator().validate(json.loads(content))


def validate_spool(root: Path) -> int:
    """Validate every record in the spool; how many there are."""
    records = sorted(root.glob("jobs/*/job.json"))
    for path in records:
        validate(path.read_bytes())
    return len(records)
