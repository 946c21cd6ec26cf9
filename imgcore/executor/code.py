# SPDX-License-Identifier: GPL-2.0-or-later
"""Imager's own code as the sandbox gets it: files to be written, compiled already.

The sandbox's users can read nothing of ours, and what they write there is gone after each job: without this each
would compile all modules anew. A leaf: standard library only.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import marshal
from collections.abc import Sequence
from pathlib import Path

__all__ = ["CREATOR", "files"]

#: What the built-in creator is made of, below the package's directory.
CREATOR = ("__init__.py", "errors.py", "run.py", "progress.py", "creator")
#: PEP 552: a file that is never compared with its source, which has another time in each sandbox.
_UNCHECKED = (1).to_bytes(4, "little")


def files(parts: Sequence[str] = CREATOR) -> dict[str, bytes]:
    """Relative path to content: each module of these parts of the package, and this interpreter's code of it."""
    package = Path(__file__).resolve().parents[1]
    paths = [package / each for each in parts]
    found = {}
    for path in [file for each in paths for file in (sorted(each.rglob("*.py")) if each.is_dir() else [each])]:
        name = f"{package.name}/{path.relative_to(package)}"
        found[name] = path.read_bytes()
        found[importlib.util.cache_from_source(name)] = _compiled(path, found[name])
    return found


def _compiled(path: Path, source: bytes) -> bytes:
    # As an import would: from __pycache__ where that is up to date, and put there where it may be.
    code = importlib.machinery.SourceFileLoader(path.stem, str(path)).get_code(path.stem)
    return importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(source) + marshal.dumps(code)
