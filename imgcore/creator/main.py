# SPDX-License-Identifier: GPL-2.0-or-later
"""The creator as a program: reads plan.json, makes the image, and tells how it goes on standard output.

    main()            inside the sandbox, with the places of plan.Workplace
    main([DIRECTORY]) the same places below DIRECTORY (in, out, build, root, tree as build/root, …)

Ends with 0 after `out/result.json` was written as the very last thing; otherwise with 1 after a line that
`errors.parse` understands. Nothing else writes result.json, so its presence is the proof of success.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from imgcore.creator import attachments, packages, scripts, strays, system, traces
from imgcore.creator.build import Build, disk_full
from imgcore.creator.packages.repositories import save
from imgcore.creator.packages.rpmdb import normalise
from imgcore.creator.plan import Plan, Workplace, from_json
from imgcore.creator.tree import Tree
from imgcore.errors import BuildError, render
from imgcore.progress import Progress
from imgcore.progress import render as render_progress

__all__ = ["RESULT", "create", "main", "workplace_below"]

#: The file in `out` that proves success.
RESULT = "result.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one build. `argv` (default: the command line's) may name the directory of the places."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    place = workplace_below(Path(arguments[0])) if arguments else Workplace()
    try:
        create(_read_plan(place), place)
    except BuildError as error:
        return _fail(error)
    except MemoryError:
        return _fail(BuildError("there was not enough memory", "raise [limits] memory", "out-of-memory"))
    except Exception as error:  # the last resort: whatever else happens is a fault of ours, and is told as such
        full = disk_full(error)
        if full is not None:
            return _fail(full)
        traceback.print_exc(file=sys.stdout)
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return _fail(BuildError(f"the creator failed: {text}", "report this with the log", "internal"))
    return 0


def workplace_below(top: Path) -> Workplace:
    """A workplace whose directories are all below `top`."""
    return Workplace(
        inputs=top / "in",
        out=top / "out",
        build=top / "build",
        root=top / "root",
        tree=top / "build" / "root",
        cache=top / "cache",
        tmp=top / "tmp",
        home=top / "home",
    )


def create(plan: Plan, place: Workplace) -> None:
    """Make the image that `plan` describes. Raises BuildError."""
    build = Build(plan, place, lambda progress: _print(render_progress(progress)), _print)
    # rpm and libraries look into HOME and TMPDIR, and stamp what they make with SOURCE_DATE_EPOCH.
    os.environ.update(build.environment())
    os.umask(0o022)
    strays.adopt()
    tree = Tree(place.tree)
    scripts.check(build)
    scripts.run_all(build, "pre")
    scripts.run_all(build, "pre-install")
    installed, extra = _make_tree(build, tree)
    made = [*extra, *_make_image(build)]
    scripts.run_all(build, "pack")
    _finish(build, installed, made)


def _make_tree(build: Build, tree: Tree) -> tuple[packages.Installed, list[tuple[str, str]]]:
    """Everything up to the finished root tree; what was copied out of it."""
    with traces.lend_resolver(tree):
        installed = packages.install(build, tree)
        _end_strays(build)
    traces.forget_identity(tree)
    save(build, tree)
    system.configure(build, tree)
    # Only now: it belongs to others, and what came before works without it.
    from imgcore.creator import image

    for warning in image.prepare(build.plan, build.place.tree):
        build.warn(warning)
    with traces.lend_resolver(tree):
        scripts.run_all(build, "post")
    extra = [(name, "attachment") for name in attachments.copy_attachments(build, tree, installed.files)]
    if build.plan.copy_kernel:
        kernels = image.copy_kernels(build.plan, build.place.tree, build.place.out)
        extra += [(made.name, made.kind) for made in kernels]
        if not kernels:
            build.warn("there is no kernel in /boot to copy")
    normalise(build, tree, installed.database)
    owned = frozenset(path for paths in installed.files.values() for path in paths)
    traces.strip(build, tree, owned)
    return installed, extra


def _end_strays(build: Build) -> None:
    names = strays.end(build.place.root / "proc")
    if names:
        build.say(f"Ended what scriptlets left running: {', '.join(sorted(set(names)))}")


def _make_image(build: Build) -> list[tuple[str, str]]:
    from imgcore.creator import image

    build.announce(Progress("image", 0, 1, build.plan.image_type))
    return [(made.name, made.kind) for made in image.make(build.plan, build.place, build.announce)]


def _finish(build: Build, installed: packages.Installed, made: list[tuple[str, str]]) -> None:
    """Write the list of packages and, last, the result."""
    out = build.place.out
    listing = f"{build.plan.name}.packages"
    (out / listing).write_text("".join(f"{_nevra(package)}\n" for package in installed.manifest), "utf-8")
    kinds = {name: kind for name, kind in made if (out / name).is_file()}
    kinds[listing] = "packages"
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        # What a script left there is delivered too.
        if path.is_file() and not path.is_symlink() and name != RESULT:
            kinds.setdefault(name, "file")
    result = {
        "artifacts": [{"name": name, "kind": kind} for name, kind in kinds.items()],
        "packages": [dataclasses.asdict(package) for package in installed.manifest],
        "warnings": build.warnings,
    }
    (out / RESULT).write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def _nevra(package: packages.Package) -> str:
    epoch = f"{package.epoch}:" if package.epoch else ""
    return f"{package.name}-{epoch}{package.version}-{package.release}.{package.arch}"


def _read_plan(place: Workplace) -> Plan:
    path = place.inputs / "plan.json"
    try:
        return from_json(path.read_text("utf-8"))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BuildError(
            f"the plan {path} cannot be read: {error}", "report this with the log", "internal"
        ) from error


def _print(line: str) -> None:
    print(line, flush=True)


def _fail(error: BuildError) -> int:
    _print(render(error))
    return 1


if __name__ == "__main__":
    sys.exit(main())
