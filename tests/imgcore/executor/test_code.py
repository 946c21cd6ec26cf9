# SPDX-License-Identifier: GPL-2.0-or-later
"""Proves imgcore/executor/code.py."""

import subprocess
import sys
from pathlib import Path

from imgcore.executor import code


def write(top: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        target = top / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def run(top: Path, text: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", f"import sys; sys.path.insert(0, {str(top)!r}); {text}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_a_sandbox_does_not_compile_what_is_compiled(tmp_path: Path) -> None:
    files = code.files()
    sources = {name: b"raise RuntimeError('compiled anew')\n" for name in files if name.endswith(".py")}
    write(tmp_path, files | sources)
    assert run(tmp_path, "from imgcore.creator import main, image; print(main.RESULT)") == "result.json\n"


def test_another_interpreter_finds_the_sources(tmp_path: Path) -> None:
    write(tmp_path, {name: content for name, content in code.files().items() if name.endswith(".py")})
    assert run(tmp_path, "from imgcore.creator import main, image; print(main.RESULT)") == "result.json\n"


def test_the_sandbox_gets_the_creator_and_the_leaves_that_it_needs_and_no_more() -> None:
    modules = {name for name in code.files() if name.endswith(".py")}
    others = {name for name in modules if not name.startswith("imgcore/creator/")}
    assert others == {"imgcore/__init__.py", "imgcore/errors.py", "imgcore/run.py", "imgcore/progress.py"}
    assert "imgcore/creator/main.py" in modules
