# SPDX-License-Identifier: GPL-2.0-or-later
"""The first image of a machine: which kickstart, what that takes, and where everything is when it is built."""

from __future__ import annotations

import importlib.util
import itertools
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgcore.cli.terminal import note
from imgcore.config import Config
from imgcore.errors import BuildError, ImagerError, InputError
from imgcore.job import GOOD
from imgcore.spool import Spool

__all__ = ["Asked", "build", "chosen", "found", "lacking"]

#: The example, of the packages for Debian and for others, and of a checkout.
_EXAMPLES = (
    Path("/usr/share/doc/imager/examples/tiny"),
    Path("/usr/share/doc/imager-doc/tiny"),
    Path("/usr/share/doc/packages/imager-doc/tiny"),
    Path(__file__).parents[3] / "examples/tiny",
)
_KICKSTART, _MAKER = "tiny.ks", "make-repository"
#: What makes the example's packages, and the Debian packages that have it.
_PROGRAMS = {"rpmbuild": "rpm", "createrepo_c": "createrepo-c", "cpio": "cpio", "dpkg-deb": "dpkg"}
_LOOKED_AT = 500


@dataclass(frozen=True)
class Asked:
    """What is to be built, and with which configuration."""

    kickstart: Path
    image_type: str
    tokenmap: str | None
    config: Config
    config_file: Path | None


def chosen(given: Path | None) -> Path:
    """The kickstart that was given, or the example's. Raises InputError."""
    if given is not None:
        if not given.is_file():
            raise InputError(f"{given} is not there", "name a kickstart with --ks")
        return given
    place = next((each for each in _EXAMPLES if (each / _KICKSTART).is_file()), None)
    if place is None:
        raise InputError("the example is not here", "install imager-doc, or name a kickstart with --ks")
    return place / _KICKSTART


def lacking(kickstart: Path) -> list[str]:
    """The packages that are to be installed for this kickstart, beside what every build needs."""
    if not _is_example(kickstart):
        return []
    return [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]


def found(asked: Asked) -> dict[str, Any] | None:
    """Where the last good image of that name is, if there is one."""
    spool = Spool(asked.config.spool)
    jobs = itertools.islice(spool.newest(), _LOOKED_AT)
    ours = (job for job in jobs if job.name == asked.kickstart.stem and job.status in GOOD)
    job = next((job for job in ours if job.image_type == asked.image_type and Path(job.directory).is_dir()), None)
    if job is None:
        return None
    note(f"{asked.kickstart.name} was built before; `img build` builds it anew")
    return _told(asked, job.image_id, Path(job.directory), job.artifacts)


def build(asked: Asked) -> dict[str, Any]:
    """Build it with `img build`, as a person would; where everything is. Raises ImagerError."""
    tokens = asked.tokenmap
    if _is_example(asked.kickstart) and tokens is None:
        tokens = f"REPO:{_repository(asked)},RELEASE:1.0,GREETING:hello"
    note(f"building {asked.kickstart} as {asked.image_type}")
    command = ["build", str(asked.kickstart.absolute()), "--type", asked.image_type, "--json"]
    done = _img(asked, *command, *(["--tokenmap", tokens] if tokens else []))
    if done.returncode:
        # It has said why.
        raise BuildError("the first image was not built", "mend that, then `img setup` again")
    record = json.loads(done.stdout)
    return _told(asked, record["image_id"], Path(record["directory"]), record["artifacts"])


def _is_example(kickstart: Path) -> bool:
    return kickstart.name == _KICKSTART and (kickstart.parent / _MAKER).is_file()


def _repository(asked: Asked) -> str:
    """Make the example's packages; the repository's path."""
    place = asked.config.cache / "example"
    maker = asked.kickstart.parent / _MAKER
    path = ""
    note("making the example's packages of Debian's busybox and kernel, which are downloaded once")
    with subprocess.Popen([maker, place], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            # It may download for minutes.
            note(line.rstrip())
            path = line.removeprefix("repository: ").strip()
    if process.returncode or not path:
        raise ImagerError("the example's packages were not made", "name a kickstart of your own with --ks")
    return path


def _img(asked: Asked, *arguments: str) -> subprocess.CompletedProcess[str]:
    more = ["--spool", str(asked.config.spool), *(["--config", str(asked.config_file)] if asked.config_file else [])]
    # -P: modules of the directory that somebody stands in are not ours.
    start = [sys.executable, "-P", "-c", "from imgcore.cli import main; main()"]
    return subprocess.run(
        [*start, *arguments, *more], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
    )


def _told(asked: Asked, image_id: str, directory: Path, artifacts: Any) -> dict[str, Any]:
    page = ""
    if importlib.util.find_spec("imgcore.report") is not None:
        page = _img(asked, "report").stdout.strip()
    images = [directory / each["name"] for each in artifacts if each["kind"] in ("image", "archive")]
    log = Spool(asked.config.spool).log(image_id)
    return {"job": image_id, "image": str(images[0]) if images else "", "log": str(log), "page": page}
